#include "tests/sim/raft/observers/checkers.h"

#include <algorithm>
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

}  // namespace

void RaftCheckers::violate(std::string what) {
    if (violation_.empty() && !what.empty()) violation_ = std::move(what);
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
            view.id().value(), hard.term.value(), hard.voted_for.value(),
            view.disk.last().index.value(), promised.term.value(), promised.vote.value(),
            promised.accepted.value()));
    }
    if (view.machine.applied.index > view.disk.last().index) {
        violate(fmt::format("R5: replica {} has applied {} and its log ends at {}",
                            view.id().value(), view.machine.applied.index.value(),
                            view.disk.last().index.value()));
    }
}

void RaftCheckers::handed_out(const ReplicaView& view, const ChainedEntry& entry) {
    check_same(view, entry);
    const bool own =
        view.node.role() == raft::Role::Leader && entry.entry.id.term == view.node.term();
    if (!own || entry.entry.kind != raft::EntryKind::Configuration) return;
    const bool own_term_committed =
        std::ranges::find(runs_, view.node.term(), &Run::term) != runs_.end();
    violate(members_.appended(view, own_term_committed, committed()));
    if (violation_.empty()) ++counts_[RaftCount::ChangesBegun];
}

void RaftCheckers::check_same(const ReplicaView& view, const ChainedEntry& entry) {
    const EntryId id = entry.entry.id;
    uint32_t* link = &grown(heads_, id.index.value());
    while (*link != 0) {
        Seen& seen = seen_[*link - 1];
        if (seen.term == id.term) {
            if (seen.chain != entry.chain) {
                violate(fmt::format("R2: replica {} has another log up to entry {} of term {}",
                                    view.id().value(), id.index.value(), id.term.value()));
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
    } else if (const auto* request = std::get_if<raft::RequestVote>(&message.body)) {
        // One that waited for the disk may belong to a candidacy that is over.
        const raft::Role asking = request->pre ? raft::Role::PreCandidate : raft::Role::Candidate;
        if (view.node.role() == asking) violate(members_.campaigns(view));
    } else if (const auto* part = std::get_if<raft::InstallSnapshot>(&message.body)) {
        violate(
            members_.in_snapshot(view, part->snapshot.last.index, part->snapshot.configuration));
    } else if (const auto* heartbeat = std::get_if<raft::Heartbeat>(&message.body)) {
        check_heartbeat(view, message, heartbeat->commit);
    } else if (std::holds_alternative<raft::TimeoutNow>(message.body)) {
        ++counts_[RaftCount::TimeoutNowSent];
        violate(members_.transfers(view, message.to));
    }
}

void RaftCheckers::check_vote(const ReplicaView& view, const raft::Message& message,
                              const raft::RequestVoteReply& /*reply*/) {
    const raft::HardState& hard = view.disk.hard_state();
    if (hard.term < message.term || (hard.term == message.term && hard.voted_for != message.to)) {
        violate(fmt::format("R5: replica {} votes for {} in term {}; its disk says {} in term {}",
                            view.id().value(), message.to.value(), message.term.value(),
                            hard.voted_for.value(), hard.term.value()));
    }
    Promised& promised = promise(view.replica, message.term);
    if (promised.term != message.term) return;
    if (promised.vote.value() != 0 && promised.vote != message.to) {
        violate(fmt::format("R6: replica {} votes for {} and for {} in term {}", view.id().value(),
                            promised.vote.value(), message.to.value(), message.term.value()));
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
            view.id().value(), index.value(), message.term.value(), disk.last().index.value(),
            disk.hard_state().term.value()));
    }
    Promised& promised = promise(view.replica, message.term);
    if (promised.term == message.term && promised.accepted < index) promised.accepted = index;
}

// §3.5: followers commit what a heartbeat names without looking at their log.
void RaftCheckers::check_heartbeat(const ReplicaView& view, const raft::Message& message,
                                   LogIndex commit) {
    const SimDisk* to = members_.disk(message.to);
    if (to == nullptr || to->hard_state().term > message.term || commit.value() == 0) return;
    const LogMirror::Mark* mark = view.log.at(commit);
    if (mark == nullptr) return;
    if (members_.held(static_cast<uint32_t>(message.to.value() - 1), commit, mark->chain)) return;
    violate(fmt::format("R3: leader {} tells {} to commit {}, which that does not hold",
                        view.id().value(), message.to.value(), commit.value()));
}

void RaftCheckers::observe(const ReplicaView& view, bool handed_out) {
    if (view.node.role() == raft::Role::Leader) check_leader(view);
    // One that commits its own removal leads no more when that is seen.
    const bool leads = watched_[view.replica].led == view.node.term();
    if (handed_out) violate(members_.in_force(view));
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
                            view.id().value(), term.value()));
    }
    leader = ReplicaId(view.id().value());
    const raft::HardState& hard = view.disk.hard_state();
    if (hard.term != term || hard.voted_for != leader) {
        violate(fmt::format("R5: replica {} leads in term {} before its own vote is durable",
                            leader.value(), term.value()));
    }
    violate(members_.elected(view));
    if (view.log.latest().configuration.joint()) ++counts_[RaftCount::LeaderInJoint];
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
    const EntryId base = view.log.base();
    if (base.index > watched.committed &&
        (base.index.value() > committed_.size() ||
         committed_[base.index.value() - 1].chain != view.log.at(base.index)->chain)) {
        violate(fmt::format("R4: the log of replica {} begins after {}, which was not committed",
                            view.id().value(), base.index.value()));
        return;
    }
    LogIndex index = std::max(watched.committed, base.index);
    watched.committed = committed;
    const bool leads = watched.led == view.node.term();
    while (index < committed) {
        ++index;
        const LogMirror::Mark* mark = view.log.at(index);
        if (mark == nullptr) {
            violate(fmt::format("R3: replica {} commits {}, which its log does not have",
                                view.id().value(), index.value()));
            return;
        }
        if (index.value() <= committed_.size()) {
            if (committed_[index.value() - 1].chain == mark->chain) continue;
            violate(fmt::format("R4: replica {} commits another entry at {}", view.id().value(),
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
                                view.id().value(), index.value()));
        }
        if (leads && index == committed) violate(members_.committed(view, index));
        const raft::ConfigurationEntry& change = view.log.change_at(index);
        if (change.index != index) continue;
        members_.committed_change(change);
        if (change.configuration.joint()) ++counts_[RaftCount::JointCommitted];
    }
    // What a later leader has committed already, an earlier one may commit in its own term, too.
    const Term term = view.node.term();
    const auto run = std::ranges::lower_bound(runs_, term, {}, &Run::term);
    const bool known = run != runs_.end() && run->term == term;
    if (leads && !known && view.log.at(committed)->term == term) {
        runs_.insert(run, Run{term, committed});
    }
}

void RaftCheckers::received(const ReplicaView& view, const SimSnapshot& snapshot) {
    const EntryId last = snapshot.meta.last;
    const MachineState& state = snapshot.state;
    const bool known = last.index.value() > 0 && last.index.value() <= committed_.size();
    if (state.applied == last && known && committed_[last.index.value() - 1].chain == state.chain &&
        grown(digests_, last.index.value()) == state.digest) {
        return;
    }
    violate(fmt::format("R4: replica {} receives a snapshot as of {} with the state of {}",
                        view.id().value(), last.index.value(), state.applied.index.value()));
}

void RaftCheckers::cut(const ReplicaView& view, LogIndex index,
                       const raft::Configuration& configuration) {
    violate(members_.in_snapshot(view, index, configuration));
}

void RaftCheckers::applied(const ReplicaView& view) {
    const MachineState& machine = view.machine;
    const uint64_t at = machine.applied.index.value();
    ++counts_[RaftCount::Applied];
    if (at > committed_.size() || committed_[at - 1].chain != machine.chain) {
        violate(fmt::format("R4: replica {} applies at {} what was not committed there",
                            view.id().value(), at));
    }
    uint64_t& digest = grown(digests_, at);
    if (digest == 0) digest = machine.digest;
    if (digest != machine.digest) {
        violate(fmt::format("R4: replica {} comes to another state at {}", view.id().value(), at));
    }
    if (!members_.held(view.replica, machine.applied.index, machine.chain)) {
        violate(
            fmt::format("R5: replica {} applies {} before it is durable", view.id().value(), at));
    }
}

}  // namespace quorate::sim
