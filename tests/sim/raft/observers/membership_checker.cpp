#include "tests/sim/raft/observers/membership_checker.h"

#include <fmt/format.h>

namespace quorate::sim {

const SimDisk* MembershipChecker::disk(ReplicaId id) const {
    return id.value() == 0 || id.value() > kReplicasEver ? nullptr : disks_[id.value() - 1];
}

bool MembershipChecker::held(uint32_t replica, LogIndex index, uint64_t chain) const {
    const SimDisk* disk = disks_[replica];
    if (disk == nullptr) return false;
    if (disk->base().index >= index) return true;
    const ChainedEntry* stored = disk->at(index);
    return stored != nullptr && stored->chain == chain;
}

Finding MembershipChecker::appended(const ReplicaView& view, bool own_term_committed,
                                    LogIndex committed) const {
    const std::size_t count = view.log.changes().size();
    const raft::ConfigurationEntry& before = view.log.changes()[count - 2];
    const raft::Configuration& from = before.configuration;
    const raft::Configuration& to = view.log.latest().configuration;
    const char* wrong = nullptr;
    if (!own_term_committed) wrong = "before an entry of its term is committed";
    if (before.index > committed) wrong = "while another change is in flight";
    if (from.joint()) {
        if (to != from.completed()) wrong = "that does not complete the joint one";
    } else if (to.joint() ? to.outgoing != from.voters : to.voters != from.voters) {
        wrong = "that changes the voters without a joint one";
    }
    if (wrong == nullptr) return {};
    return fmt::format("R7: leader {} appends at {} a configuration {}", view.id().value(),
                       view.log.latest().index.value(), wrong);
}

Finding MembershipChecker::in_force(const ReplicaView& view) const {
    if (view.node.configuration() == view.log.latest().configuration) return {};
    return fmt::format("R7: replica {} goes by another configuration than that at {}",
                       view.id().value(), view.log.latest().index.value());
}

Finding MembershipChecker::campaigns(const ReplicaView& view) const {
    const LogIndex committed = view.node.log().committed();
    if (view.log.change_at(committed).configuration.votes(view.id())) return {};
    return fmt::format("R7: replica {} campaigns and is no voter as of its commit index {}",
                       view.id().value(), committed.value());
}

void MembershipChecker::committed_change(const raft::ConfigurationEntry& change) {
    if (committed_changes_.empty() || committed_changes_.back().index < change.index) {
        committed_changes_.push_back(change);
    }
}

Finding MembershipChecker::in_snapshot(const ReplicaView& view, LogIndex index,
                                       const raft::Configuration& configuration) const {
    for (auto change = committed_changes_.rbegin(); change != committed_changes_.rend(); ++change) {
        if (change->index > index) continue;
        if (change->configuration == configuration) return {};
        break;
    }
    return fmt::format("R7: replica {} keeps another configuration than the committed one for {}",
                       view.id().value(), index.value());
}

Finding MembershipChecker::transfers(const ReplicaView& view, ReplicaId to) const {
    const SimDisk* disk = this->disk(to);
    if (disk == nullptr || disk->hard_state().term > view.node.term()) return {};
    const auto index = static_cast<uint32_t>(to.value() - 1);
    LogIndex last = view.log.last();
    // The leader may have ended a joint configuration between asking and sending.
    if (view.log.latest().index == last && last > view.log.base().index) {
        last = LogIndex(last.value() - 1);
    }
    if (held(index, last, view.log.at(last)->chain)) return {};
    return fmt::format("R9: leader {} hands over to {}, which does not hold everything",
                       view.id().value(), to.value());
}

Finding MembershipChecker::elected(const ReplicaView& view) const {
    const Term term = view.node.term();
    const bool chosen = quorum_of(view.log.latest().configuration, [&](ReplicaId voter) {
        const SimDisk* disk = this->disk(voter);
        if (disk == nullptr) return false;
        const raft::HardState& hard = disk->hard_state();
        return hard.term > term || (hard.term == term && hard.voted_for == view.id());
    });
    if (chosen) return {};
    return fmt::format("R1: replica {} leads in term {} without the durable votes of a quorum",
                       view.id().value(), term.value());
}

Finding MembershipChecker::committed(const ReplicaView& view, LogIndex index) const {
    const LogMirror::Mark& mark = *view.log.at(index);
    if (mark.term != view.node.term()) {
        return fmt::format("R3: leader {} of term {} commits {} of term {} by counting",
                           view.id().value(), view.node.term().value(), index.value(),
                           mark.term.value());
    }
    // The node's, for a commit may end a joint configuration and the new voters commit more at
    // once.
    const bool held_by_quorum = quorum_of(view.node.configuration(), [&](ReplicaId voter) {
        return voter.value() <= kReplicasEver &&
               held(static_cast<uint32_t>(voter.value() - 1), index, mark.chain);
    });
    if (held_by_quorum) return {};
    return fmt::format("R3: leader {} of term {} commits {}, which no quorum of disks holds",
                       view.id().value(), view.node.term().value(), index.value());
}

}  // namespace quorate::sim
