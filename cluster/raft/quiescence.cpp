// Idle groups: a leader whose followers hold everything tells them that no heartbeats will follow,
// and neither side needs ticks until something happens. Safety never rests on ticks; that the
// leader's node is alive is watched once for all groups (cluster/group/heartbeats.h), which calls
// `wake` where it is not. (Not in the dissertation; §6.2 is what ticks are for.)
#include <algorithm>
#include <utility>

#include "cluster/raft/raft_node.h"

namespace quorate::raft {

bool RaftNode::idle() const {
    const LogIndex last = log_.last().index;
    if (log_.committed() != last || log_.stable() != last || log_.applied() != last) return false;
    if (!reads_.empty() || transfer_ || configuration().joint()) return false;
    if (successor(priority_).value() != 0 && options_.hand_over_rounds != 0) return false;
    return std::all_of(progress_.begin(), progress_.end(), [last](const auto& entry) {
        return entry.second.match() == last && entry.second.recently_active();
    });
}

// After a round of check-quorum.
void RaftNode::consider_quiescence() {
    const LogIndex last = log_.last().index;
    const bool nothing_new = std::exchange(last_of_round_, last) == last;
    idle_rounds_ = nothing_new && idle() ? idle_rounds_ + 1 : 0;
    if (options_.quiesce_rounds == 0 || idle_rounds_ < options_.quiesce_rounds) return;
    quiescent_ = true;
    for (const auto& [replica, progress] : progress_) {
        send(replica, Heartbeat{log_.committed(), last_read_, true});
    }
}

// What a follower is told; it agrees when it holds everything, too.
void RaftNode::follow_into_quiescence(const Heartbeat& heartbeat) {
    quiescent_ = heartbeat.quiesce && heartbeat.commit == log_.last().index &&
                 log_.committed() == log_.last().index;
}

void RaftNode::wake() {
    if (!quiescent_) return;
    quiescent_ = false;
    idle_rounds_ = 0;
    if (role_ == Role::Leader) {
        elapsed_ticks_ = 0;
        heartbeat_elapsed_ticks_ = 0;
        send_heartbeats();
    } else {
        // Its leader was silent for an election timeout already; only the random part is left.
        elapsed_ticks_ = std::max(elapsed_ticks_, options_.election_ticks);
    }
}

// Somebody is awake: what the leader says tells its follower more than this does.
void RaftNode::wake_for(const Message& message) {
    if (!quiescent_) return;
    if (role_ == Role::Leader) {
        // The answers to its last heartbeat.
        if (!std::holds_alternative<HeartbeatReply>(message.body)) wake();
        return;
    }
    const auto* heartbeat = std::get_if<Heartbeat>(&message.body);
    if (heartbeat != nullptr && heartbeat->quiesce) return;
    quiescent_ = false;
    elapsed_ticks_ = 0;
}

}  // namespace quorate::raft
