#include "tests/sim/raft/checkers.h"

#include <utility>
#include <variant>

#include <fmt/format.h>

namespace quorate::sim {
namespace {

template <typename Value>
Value& grown(std::vector<Value>& values, uint64_t at) {
    if (at >= values.size()) values.resize(at + 1 + at / 2);
    return values[at];
}

uint64_t number(uint32_t replica) {
    return uint64_t{replica} + 1;
}

}  // namespace

void RaftCheckers::violate(std::string what) {
    if (violation_.empty()) violation_ = std::move(what);
}

void RaftCheckers::started(const ReplicaView& view) {
    Watched& watched = watched_[view.replica];
    watched.committed = LogIndex(0);
    watched.led = Term(0);
    const raft::HardState& hard = view.disk.hard_state();
    const Promised& promised = watched.promised;
    const bool vote_lost =
        hard.term == promised.term && promised.vote.value() != 0 && hard.voted_for != promised.vote;
    const bool log_lost = hard.term == promised.term && view.disk.last().index < promised.accepted;
    if (hard.term < promised.term || vote_lost || log_lost) {
        violate(fmt::format(
            "R6: replica {} begins with term {}, vote {}, last index {}; it promised term {}, vote "
            "{}, index {}",
            number(view.replica), hard.term.value(), hard.voted_for.value(),
            view.disk.last().index.value(), promised.term.value(), promised.vote.value(),
            promised.accepted.value()));
    }
    if (view.machine.applied.index > view.disk.last().index) {
        violate(fmt::format("R5: replica {} has applied {} and its log ends at {}",
                            number(view.replica), view.machine.applied.index.value(),
                            view.disk.last().index.value()));
    }
}

void RaftCheckers::handed_out(uint32_t replica, const ChainedEntry& entry) {
    const EntryId id = entry.entry.id;
    uint32_t* link = &grown(heads_, id.index.value());
    while (*link != 0) {
        Seen& seen = seen_[*link - 1];
        if (seen.term == id.term) {
            if (seen.chain != entry.chain) {
                violate(fmt::format("R2: replica {} has another log up to entry {} of term {}",
                                    number(replica), id.index.value(), id.term.value()));
            }
            return;
        }
        link = &seen.next;
    }
    *link = static_cast<uint32_t>(seen_.size()) + 1;
    seen_.push_back(Seen{id.term, entry.chain, 0});
}

RaftCheckers::Promised& RaftCheckers::promise(uint32_t replica, Term term) {
    Promised& promised = watched_[replica].promised;
    if (promised.term < term) promised = Promised{term, ReplicaId(0), LogIndex(0)};
    return promised;
}

void RaftCheckers::sent(const ReplicaView& view, const raft::Message& message) {
    if (const auto* vote = std::get_if<raft::RequestVoteReply>(&message.body)) {
        if (vote->granted && !vote->pre) check_vote(view, message, *vote);
    } else if (const auto* reply = std::get_if<raft::AppendEntriesReply>(&message.body)) {
        if (reply->accepted) check_acceptance(view, message, reply->index);
    }
}

void RaftCheckers::check_vote(const ReplicaView& view, const raft::Message& message,
                              const raft::RequestVoteReply& /*reply*/) {
    const raft::HardState& hard = view.disk.hard_state();
    if (hard.term < message.term || (hard.term == message.term && hard.voted_for != message.to)) {
        violate(fmt::format("R5: replica {} votes for {} in term {}; its disk says {} in term {}",
                            number(view.replica), message.to.value(), message.term.value(),
                            hard.voted_for.value(), hard.term.value()));
    }
    Promised& promised = promise(view.replica, message.term);
    if (promised.term != message.term) return;
    if (promised.vote.value() != 0 && promised.vote != message.to) {
        violate(fmt::format("R6: replica {} votes for {} and for {} in term {}",
                            number(view.replica), promised.vote.value(), message.to.value(),
                            message.term.value()));
    }
    promised.vote = message.to;
}

void RaftCheckers::check_acceptance(const ReplicaView& view, const raft::Message& message,
                                    LogIndex index) {
    const SimDisk& disk = view.disk;
    // In a later term what was accepted in this one may have been replaced.
    if (disk.hard_state().term > message.term) return;
    if (disk.hard_state().term < message.term || disk.last().index < index) {
        violate(fmt::format(
            "R5: replica {} accepts up to {} in term {}; its disk ends at {} in term {}",
            number(view.replica), index.value(), message.term.value(), disk.last().index.value(),
            disk.hard_state().term.value()));
    }
    Promised& promised = promise(view.replica, message.term);
    if (promised.term == message.term && promised.accepted < index) promised.accepted = index;
}

void RaftCheckers::observe(const ReplicaView& view, bool handed_out) {
    const bool leads = view.node.role() == raft::Role::Leader;
    if (leads) check_leader(view);
    if (!leads && !handed_out) return;
    if (view.node.log().committed() > watched_[view.replica].committed) check_commit(view);
}

void RaftCheckers::check_leader(const ReplicaView& view) {
    Watched& watched = watched_[view.replica];
    const Term term = view.node.term();
    if (watched.led == term) return;
    watched.led = term;
    ++counts_[RaftCount::Elections];
    ReplicaId& leader = grown(leaders_, term.value());
    if (leader.value() != 0) {
        violate(fmt::format("R1: replicas {} and {} lead in term {}", leader.value(),
                            number(view.replica), term.value()));
    }
    leader = ReplicaId(number(view.replica));
    const raft::HardState& hard = view.disk.hard_state();
    if (hard.term != term || hard.voted_for != leader) {
        violate(fmt::format("R5: replica {} leads in term {} before its own vote is durable",
                            leader.value(), term.value()));
    }
    // R3: all that was committed in earlier terms. Equal hashes at the last mean equal prefixes.
    LogIndex needed;
    for (auto run = runs_.rbegin(); run != runs_.rend() && needed.value() == 0; ++run) {
        if (run->term < term) needed = run->last;
    }
    if (view.log.last().value() > committed_.size()) {
        ++counts_[RaftCount::LeaderWithUncommittedTail];
    }
    if (needed <= view.log.base().index) return;
    const LogMirror::Mark* mark = view.log.at(needed);
    if (mark == nullptr || mark->chain != committed_[needed.value() - 1].chain) {
        violate(fmt::format("R3: leader {} of term {} lacks the committed entry {}", leader.value(),
                            term.value(), needed.value()));
    }
}

void RaftCheckers::check_commit(const ReplicaView& view) {
    Watched& watched = watched_[view.replica];
    const LogIndex committed = view.node.log().committed();
    LogIndex index = std::max(watched.committed, view.log.base().index);
    watched.committed = committed;
    const bool leads = view.node.role() == raft::Role::Leader;
    while (index < committed) {
        ++index;
        const LogMirror::Mark* mark = view.log.at(index);
        if (mark == nullptr) {
            violate(fmt::format("R3: replica {} commits {}, which its log does not have",
                                number(view.replica), index.value()));
            return;
        }
        if (index.value() <= committed_.size()) {
            if (committed_[index.value() - 1].chain == mark->chain) continue;
            violate(fmt::format("R4: replica {} commits another entry at {}", number(view.replica),
                                index.value()));
            return;
        }
        committed_.push_back(*mark);
        ++counts_[RaftCount::Committed];
        if (runs_.empty() || runs_.back().term < view.node.term()) {
            runs_.push_back(Run{view.node.term(), index});
        }
        runs_.back().last = index;
        if (!leads) {
            violate(fmt::format("R3: replica {}, who does not lead, is the first to commit {}",
                                number(view.replica), index.value()));
        }
        if (index == committed) check_quorum(view, index);
    }
}

bool RaftCheckers::held(uint32_t replica, LogIndex index, const LogMirror::Mark& mark) const {
    const SimDisk* disk = disks_[replica];
    if (disk == nullptr) return false;
    if (disk->base().index >= index) return true;
    const ChainedEntry* stored = disk->at(index);
    return stored != nullptr && stored->chain == mark.chain;
}

void RaftCheckers::check_quorum(const ReplicaView& view, LogIndex index) {
    const LogMirror::Mark& mark = *view.log.at(index);
    if (mark.term != view.node.term()) {
        violate(fmt::format("R3: leader {} of term {} commits {} of term {} by counting",
                            number(view.replica), view.node.term().value(), index.value(),
                            mark.term.value()));
    }
}

void RaftCheckers::applied(const ReplicaView& view) {
    const MachineState& machine = view.machine;
    const uint64_t at = machine.applied.index.value();
    ++counts_[RaftCount::Applied];
    if (at > committed_.size() || committed_[at - 1].chain != machine.chain) {
        violate(fmt::format("R4: replica {} applies at {} what was not committed there",
                            number(view.replica), at));
    }
    uint64_t& digest = grown(digests_, at);
    if (digest == 0) digest = machine.digest;
    if (digest != machine.digest) {
        violate(
            fmt::format("R4: replica {} comes to another state at {}", number(view.replica), at));
    }
    if (!held(view.replica, machine.applied.index,
              LogMirror::Mark{machine.applied.term, machine.chain})) {
        violate(fmt::format("R5: replica {} applies {} before it is durable", number(view.replica),
                            at));
    }
}

}  // namespace quorate::sim
