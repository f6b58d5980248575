// R1 to R7 in one state, by what disks hold, messages say and anybody committed.
#include <algorithm>
#include <variant>

#include <fmt/format.h>

#include "tests/sim/search/world.h"

namespace quorate::sim {

// Not that of Configuration, which is under test.
template <typename Holds>
bool SearchWorld::quorum(const raft::Configuration& of, const Holds& holds) {
    const auto majority = [&](const std::vector<ReplicaId>& list) {
        const auto count = std::count_if(list.begin(), list.end(),
                                         [&](ReplicaId id) { return holds(id.value() - 1); });
        return 2 * static_cast<std::size_t>(count) > list.size();
    };
    return majority(of.voters) && (of.outgoing.empty() || majority(of.outgoing));
}

Finding SearchWorld::check(uint32_t at, const raft::Configuration& counted) {
    const raft::RaftNode& node = *members_[at]->node;
    if (node.role() == raft::Role::Leader) {
        if (Finding found = check_leader(at); !found.empty()) return found;
    }
    return check_commit(at, counted);
}

Finding SearchWorld::check_leader(uint32_t at) {
    const Member& member = *members_[at];
    const uint64_t term = member.node->term().value();
    if (leaders_[term] == at + 1) return {};
    if (leaders_[term] != 0) {
        return fmt::format("R1: {} and {} lead in term {}", leaders_[term], at + 1, term);
    }
    leaders_[term] = static_cast<uint8_t>(at + 1);
    const bool chosen =
        quorum(member.configuration(LogIndex(UINT64_MAX)).configuration, [&](uint64_t i) {
            const raft::HardState& hard = members_[i]->disk.hard;
            return hard.term.value() > term ||
                   (hard.term.value() == term && hard.voted_for.value() == at + 1);
        });
    if (!chosen) {
        return fmt::format("R1: {} leads in term {} without the durable votes of a quorum", at + 1,
                           term);
    }
    LogIndex needed;
    for (uint64_t t = 1; t < term; ++t) {
        needed = std::max(needed, reached_[t]);
    }
    const raft::RaftLog& log = member.node->log();
    for (LogIndex index = log.base().index.next(); index <= needed; ++index) {
        if (log.term_at(index) == (*committed_)[index.value() - 1].id.term) continue;
        return fmt::format("R3: leader {} of term {} lacks the committed entry {}", at + 1, term,
                           index.value());
    }
    return {};
}

Finding SearchWorld::check_commit(uint32_t at, const raft::Configuration& counted) {
    const Member& member = *members_[at];
    const raft::RaftLog& log = member.node->log();
    const LogIndex commit = log.committed();
    const uint64_t term = member.node->term().value();
    if (commit.value() <= committed_->size()) {
        const bool same = commit <= log.base().index || commit.value() == 0 ||
                          log.term_at(commit) == (*committed_)[commit.value() - 1].id.term;
        if (!same) return fmt::format("R4: {} commits another entry at {}", at + 1, commit.value());
        // What a later leader has committed already, an earlier one may commit in its term, too.
        const bool own = leaders_[term] == at + 1 && log.term_at(commit)->value() == term;
        if (own) reached_[term] = std::max(reached_[term], commit);
        return {};
    }
    // One that commits its own removal leads no more when that is seen.
    if (leaders_[term] != at + 1) {
        return fmt::format("R3: {}, who does not lead, is the first to commit {}", at + 1,
                           commit.value());
    }
    if (log.term_at(commit)->value() != term) {
        return fmt::format("R3: leader {} of term {} commits {} of term {} by counting", at + 1,
                           term, commit.value(), log.term_at(commit)->value());
    }
    const raft::Entry* entry = nullptr;
    auto more = std::make_shared<std::vector<raft::Entry>>(*committed_);
    for (LogIndex index(committed_->size() + 1); index <= commit; ++index) {
        const EntryId id{index, *log.term_at(index)};
        entry = nullptr;
        const bool held = quorum(counted, [&](uint64_t i) {
            const MemberDisk& disk = members_[i]->disk;
            if (disk.holds(id) && disk.at(index) != nullptr) entry = disk.at(index);
            return disk.holds(id);
        });
        if (!held || entry == nullptr) {
            return fmt::format(
                "R3: leader {} of term {} commits {}, which no quorum of disks holds", at + 1, term,
                index.value());
        }
        more->push_back(*entry);
    }
    committed_ = std::move(more);
    reached_[term] = commit;
    return {};
}

// R2: where two logs have an entry of equal index and term, all before it are equal.
Finding SearchWorld::check_matching(uint32_t at) const {
    const raft::RaftLog& mine = members_[at]->node->log();
    for (uint32_t i = 0; i < kSearchNodes; ++i) {
        if (i == at) continue;
        const raft::RaftLog& theirs = members_[i]->node->log();
        const LogIndex from = std::max(mine.base().index, theirs.base().index);
        bool met = false;
        for (LogIndex index = std::min(mine.last().index, theirs.last().index); index > from;
             index = LogIndex(index.value() - 1)) {
            const bool same = mine.term_at(index) == theirs.term_at(index);
            if (met && !same) {
                return fmt::format("R2: {} and {} differ at {} and agree above it", at + 1, i + 1,
                                   index.value());
            }
            const raft::Entry* here = members_[at]->disk.at(index);
            const raft::Entry* there = members_[i]->disk.at(index);
            if (same && here != nullptr && there != nullptr && here->id == there->id &&
                print_of(*here) != print_of(*there)) {
                return fmt::format("R2: {} and {} hold different entries {} of one term", at + 1,
                                   i + 1, index.value());
            }
            met = met || same;
        }
    }
    return {};
}

Finding SearchWorld::check_applied(const Member& member, const raft::Entry& entry) const {
    const uint64_t self = member.node->self().value();
    const uint64_t index = entry.id.index.value();
    if (entry.id.index != member.applied.index.next()) {
        return fmt::format("R4: {} applies {} out of order", self, index);
    }
    if (!member.disk.holds(entry.id)) {
        return fmt::format("R5: {} applies {} before it is durable", self, index);
    }
    if (index > committed_->size() || print_of((*committed_)[index - 1]) != print_of(entry)) {
        return fmt::format("R4: {} applies at {} what was not committed there", self, index);
    }
    return {};
}

// R7, of an entry that is about to be written.
Finding SearchWorld::check_appended(uint32_t at, const raft::Entry& entry) const {
    const Member& member = *members_[at];
    const bool own =
        member.node->role() == raft::Role::Leader && entry.id.term == member.node->term();
    if (!own || entry.kind != raft::EntryKind::Configuration) return {};
    const LogIndex before_it(entry.id.index.value() - 1);
    const raft::ConfigurationEntry before = member.configuration(before_it);
    const raft::Configuration& from = before.configuration;
    const raft::Configuration to = raft::decode_configuration(entry.data.text()).value();
    const char* wrong = nullptr;
    if (reached_[entry.id.term.value()].value() == 0) wrong = "before its term has committed any";
    if (before.index.value() > committed_->size()) wrong = "while another change is in flight";
    if (from.joint()) {
        if (to != from.completed()) wrong = "that does not complete the joint one";
    } else if (to.joint() ? to.outgoing != from.voters : to.voters != from.voters) {
        wrong = "that changes the voters without a joint one";
    }
    if (wrong == nullptr) return {};
    return fmt::format("R7: leader {} appends at {} a configuration {}", at + 1,
                       entry.id.index.value(), wrong);
}

// R6: what a quorum rests on is not taken back.
Finding SearchWorld::check_written(uint32_t at, const MemberWrite& write) const {
    if (!write.truncate_from || write.truncate_from->value() > committed_->size()) return {};
    const raft::Entry& entry = (*committed_)[write.truncate_from->value() - 1];
    const raft::Entry* stored = members_[at]->disk.at(entry.id.index);
    if (stored == nullptr || stored->id != entry.id) return {};
    return fmt::format("R6: {} takes the committed entry {} off its disk", at + 1,
                       entry.id.index.value());
}

// R7: what a snapshot as of `index` carries.
Finding SearchWorld::check_carried(LogIndex index, const raft::Configuration& configuration) const {
    raft::Configuration expected = first_;
    for (uint64_t i = std::min<uint64_t>(index.value(), committed_->size()); i > 0; --i) {
        const raft::Entry& entry = (*committed_)[i - 1];
        if (entry.kind != raft::EntryKind::Configuration) continue;
        expected = raft::decode_configuration(entry.data.text()).value();
        break;
    }
    if (configuration == expected) return {};
    return fmt::format("R7: a snapshot as of {} carries a configuration not committed there",
                       index.value());
}

Finding SearchWorld::check_sent(uint32_t at, const raft::Message& message) const {
    const Member& member = *members_[at];
    const MemberDisk& disk = member.disk;
    const bool later = disk.hard.term > message.term;
    if (const auto* vote = std::get_if<raft::RequestVoteReply>(&message.body)) {
        const bool kept =
            later || (disk.hard.term == message.term && disk.hard.voted_for == message.to);
        if (!vote->granted || vote->pre || kept) return {};
        return fmt::format("R5: {} votes before it is durable", at + 1);
    }
    if (const auto* reply = std::get_if<raft::AppendEntriesReply>(&message.body)) {
        const bool kept = later || (disk.hard.term == message.term && disk.last() >= reply->index);
        if (!reply->accepted || kept) return {};
        return fmt::format("R5: {} accepts up to {} before it is durable", at + 1,
                           reply->index.value());
    }
    if (const auto* request = std::get_if<raft::RequestVote>(&message.body)) {
        const bool asks = !request->pre && member.node->role() == raft::Role::Candidate;
        const LogIndex committed = member.node->log().committed();
        if (!asks || member.configuration(committed).configuration.votes(message.from)) return {};
        return fmt::format("R7: {} campaigns and is no voter as of its commit index", at + 1);
    }
    if (const auto* part = std::get_if<raft::InstallSnapshot>(&message.body)) {
        return check_carried(part->snapshot.last.index, part->snapshot.configuration);
    }
    const Member& to = *members_[message.to.value() - 1];
    if (to.disk.hard.term > message.term) return {};
    const raft::RaftLog& log = member.node->log();
    if (const auto* heartbeat = std::get_if<raft::Heartbeat>(&message.body)) {
        const std::optional<Term> term = log.term_at(heartbeat->commit);
        if (!term || to.disk.holds({heartbeat->commit, *term})) return {};
        return fmt::format("R3: leader {} tells {} to commit {}, which that does not hold", at + 1,
                           message.to.value(), heartbeat->commit.value());
    }
    if (std::holds_alternative<raft::TimeoutNow>(message.body) && !to.disk.holds(log.last())) {
        // The leader may have ended a joint configuration between asking and sending.
        const raft::Configuration& now = member.node->configuration();
        if (now != first_ && !now.joint()) return {};
        return fmt::format("leader {} hands over to {}, which does not hold everything", at + 1,
                           message.to.value());
    }
    return {};
}

}  // namespace quorate::sim
