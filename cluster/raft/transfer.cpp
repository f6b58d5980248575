// Raft §3.10 (leadership transfer), and priorities, by which leaders are spread over the nodes.
//
// A hand-over takes the way of §3.10: no new proposals, the target gets what it lacks, TimeoutNow
// makes it campaign at once, without asking first (§9.6) and with a mark that passes the leases of
// §4.2.3. When it has not won within an election timeout the leader goes on.
//
// Priority is a wish, never a condition: a lower one waits longer before it campaigns, and
// a leader that meets a higher one hands over now and then.
#include <algorithm>

#include "cluster/raft/mutants.h"
#include "cluster/raft/raft_node.h"

namespace quorate::raft {

Status RaftNode::transfer(ReplicaId to) {
    if (role_ != Role::Leader) return Error{ErrorCode::NotLeader, "this replica does not lead"};
    const Configuration& electors = configurations_.at(log_.committed()).configuration;
    if (to == options_.self || !configuration().votes(to) || !electors.votes(to)) {
        return Error{ErrorCode::InvalidArgument, "not a replica that could lead"};
    }
    if (transfer_ && transfer_->to != to) {
        return Error{ErrorCode::Unavailable, "another hand-over is under way"};
    }
    if (transfer_) return {};
    wake();
    transfer_ = Transfer{to, options_.election_ticks, false};
    continue_transfer();
    return {};
}

bool RaftNode::hand_over() {
    const ReplicaId to = successor(priority_);
    if (to.value() == 0 || transfer_) return false;
    return transfer(to).ok();
}

void RaftNode::set_priority(uint32_t priority) {
    priority_ = priority;
}

// The one that is asked may still lack entries: the others would refuse it their votes.
void RaftNode::continue_transfer() {
    if (!transfer_ || transfer_->asked) return;
    const auto target = progress_.find(transfer_->to);
    if (target == progress_.end()) {
        transfer_.reset();
        return;
    }
    const bool caught_up = target->second.match() == log_.last().index;
    if (!caught_up && !mutated(Mutant::TransferToLaggard)) return;
    transfer_->asked = true;
    send(transfer_->to, TimeoutNow{});
}

void RaftNode::tick_transfer() {
    if (transfer_ && --transfer_->ticks_left == 0) transfer_.reset();
}

// After a round of check-quorum. Bounded to one attempt in `hand_over_rounds`, and never while
// anything else is under way.
void RaftNode::consider_hand_over() {
    if (options_.hand_over_rounds == 0) return;
    if (++rounds_led_ < options_.hand_over_rounds) return;
    if (hand_over()) rounds_led_ = 0;
}

// The active voter of the highest priority above `above` that holds all that is committed; among
// equals the one that holds most. 0: there is none, or now is not the time.
ReplicaId RaftNode::successor(std::optional<uint32_t> above) const {
    const bool changing =
        configuration().joint() || configurations_.latest_index() > log_.committed();
    if (role_ != Role::Leader || changing || log_.committed() < term_start_) return ReplicaId(0);
    ReplicaId best;
    const Progress* of_best = nullptr;
    for (const auto& [replica, progress] : progress_) {
        if (!configuration().votes(replica) || !progress.recently_active() ||
            progress.match() < log_.committed() || (above && progress.priority() <= *above)) {
            continue;
        }
        const bool better =
            of_best == nullptr || progress.priority() > of_best->priority() ||
            (progress.priority() == of_best->priority() && progress.match() > of_best->match());
        if (!better) continue;
        best = replica;
        of_best = &progress;
    }
    return best;
}

void RaftNode::on_timeout_now(const Message& message) {
    if (role_ != Role::Follower || leader_ != message.from || !may_campaign()) return;
    become_candidate();
    ask_for_votes(Asking::ForTransfer);
}

}  // namespace quorate::raft
