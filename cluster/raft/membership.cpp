// Raft §4.1 (safety of changes), §4.2.1 (learners), §4.2.2 (who may be removed), §4.3 (joint
// consensus).
//
// Who campaigns, and why that is enough. A replica stands for election when it is a voter of the
// configuration that it knows to be committed; votes are counted by the configuration in force,
// the newest in its log. So nobody campaigns who is a voter only by an uncommitted change, and
// a voter that an uncommitted change removes goes on doing so (§4.2.2, figure 4.6).
//
// That could leave a group without a leader: with the old leader gone, the longest log of those
// that are left could lie with a learner or a new voter that may not stand, and that refuses its
// vote to whoever may. Therefore a leader sends to replicas that are no voters of the committed
// configuration only what a majority of those voters holds already (`send_limit`). Then whenever
// majorities of all configurations concerned are up, one of the electors among them has a log that
// is at least as up-to-date as every other: it holds what those got, or what replaced it in a later
// term. It costs learners nothing, since nothing is applied before such a majority holds it, and
// new voters one round trip until their change is committed. A replica that got more than that
// was told of the commit in the same message, and stores both in the same write.
#include <algorithm>
#include <functional>
#include <utility>

#include "cluster/raft/mutants.h"
#include "cluster/raft/raft_node.h"

namespace quorate::raft {

bool RaftNode::knows(ReplicaId replica) const {
    return std::binary_search(known_.begin(), known_.end(), replica) ||
           configurations_.mentions(replica);
}

void RaftNode::set_known(std::vector<ReplicaId> replicas) {
    std::sort(replicas.begin(), replicas.end());
    known_ = std::move(replicas);
}

bool RaftNode::alone() const {
    return configuration().quorum([this](ReplicaId voter) { return voter == options_.self; });
}

bool RaftNode::may_campaign() const {
    if (term_.value() >= kCountMax) return false;
    if (mutated(Mutant::CampaignOnUncommittedChange)) return configuration().votes(options_.self);
    return configurations_.at(log_.committed()).configuration.votes(options_.self);
}

std::optional<Configuration> RaftNode::configuration_at(LogIndex index) const {
    if (mutated(Mutant::UncommittedChangeInSnapshot)) return configuration();
    const ConfigurationEntry& entry = configurations_.at(index);
    const bool own_idea = entry.index.value() == 0 && !entry.configuration.contains(options_.self);
    if (own_idea) return std::nullopt;
    return entry.configuration;
}

Result<EntryId> RaftNode::change(const Configuration& target) {
    if (role_ != Role::Leader) return Error{ErrorCode::NotLeader, "this replica does not lead"};
    if (!valid(target) || target.joint() || target == configuration()) {
        return Error{ErrorCode::InvalidArgument, "not a configuration to change to"};
    }
    // §4.1: otherwise a change of an earlier leader, unknown here, could still become committed.
    if (log_.committed() < term_start_ && !mutated(Mutant::ChangeBeforeOwnTerm)) {
        return Error{ErrorCode::Unavailable, "no entry of this term is committed yet"};
    }
    const bool in_flight =
        configurations_.latest_index() > log_.committed() || configuration().joint();
    if (in_flight && !mutated(Mutant::ChangeWhileInFlight)) {
        return Error{ErrorCode::Unavailable, "another change is not complete yet"};
    }
    if (transfer_) return Error{ErrorCode::Unavailable, "leadership is being handed over"};
    wake();
    Configuration next = target;
    if (target.voters != configuration().voters) next.outgoing = configuration().voters;
    append_configuration(next);
    return log_.last();
}

void RaftNode::append_configuration(const Configuration& configuration) {
    append_own(EntryKind::Configuration, SharedBytes(as_bytes(encode(configuration))));
    configurations_.append(log_.last().index, configuration);
    update_progress();
    confirm_reads();  // by fewer voters than before, perhaps
}

// Entries go to everybody of the configuration in force, and to everybody of the committed one
// until the change is: who is removed learns of it that way.
void RaftNode::update_progress() {
    const Configuration& now = configuration();
    const Configuration& committed = configurations_.at(log_.committed()).configuration;
    std::erase_if(progress_, [&](const auto& entry) {
        const bool gone = !now.contains(entry.first) && !committed.contains(entry.first);
        if (gone) end_transfer(entry.first);
        return gone;
    });
    const auto add = [this](ReplicaId replica) {
        if (replica == options_.self) return;
        progress_.emplace(replica, Progress(log_.last().index.next()));
    };
    now.for_each(add);
    committed.for_each(add);
}

// The newest configuration is committed, by this leader.
void RaftNode::configuration_committed() {
    if (configuration().joint()) {
        append_configuration(configuration().completed());
        return;
    }
    for (const auto& [replica, progress] : progress_) {
        if (!configuration().contains(replica)) {
            // A last word, so that it does not stand for election any more.
            send_heartbeat(replica, progress);
        }
    }
    update_progress();
    if (configuration().votes(options_.self)) return;
    // §3.10: one that holds everything need not wait until it misses its leader.
    const ReplicaId next = successor(std::nullopt);
    if (next.value() != 0 && progress_.at(next).match() == log_.last().index) {
        send(next, TimeoutNow{});
    }
    become_follower(term_, ReplicaId(0));
}

// The highest index that a majority of these holds. 0 for nobody.
LogIndex RaftNode::reached(const std::vector<ReplicaId>& voters) const {
    if (voters.empty()) return LogIndex(0);
    std::vector<LogIndex> matches;
    matches.reserve(voters.size());
    for (const ReplicaId voter : voters) {
        if (voter == options_.self) {
            const bool early = mutated(Mutant::OwnCopyBeforeDurable);
            matches.push_back(early ? log_.last().index : log_.stable());
        } else {
            const auto found = progress_.find(voter);
            matches.push_back(found == progress_.end() ? LogIndex(0) : found->second.match());
        }
    }
    const auto middle = matches.begin() + static_cast<std::ptrdiff_t>(voters.size() / 2);
    std::nth_element(matches.begin(), middle, matches.end(), std::greater<>());
    return *middle;
}

// What the configuration in force holds by majority of each half.
LogIndex RaftNode::quorum_index() const {
    const Configuration& now = configuration();
    if (mutated(Mutant::LearnerCounts) && !now.learners.empty()) {
        std::vector<ReplicaId> all = now.voters;
        all.insert(all.end(), now.learners.begin(), now.learners.end());
        return reached(all);
    }
    const LogIndex held = reached(now.voters);
    if (!now.joint() || mutated(Mutant::JointByNewHalf)) return held;
    return std::min(held, reached(now.outgoing));
}

LogIndex RaftNode::held_by_electors() const {
    const Configuration& electors = configurations_.at(log_.committed()).configuration;
    const LogIndex held = reached(electors.voters);
    return electors.joint() ? std::min(held, reached(electors.outgoing)) : held;
}

LogIndex RaftNode::send_limit(ReplicaId to) const {
    if (configurations_.at(log_.committed()).configuration.votes(to)) return log_.last().index;
    return std::min(held_by_electors(), log_.last().index);
}

}  // namespace quorate::raft
