// Raft §6.4 (read-only requests without the log).
//
// A read gets the commit index of now; it may be answered from a state that holds it as soon as
// a quorum has said, after the read came, that this replica still leads. One heartbeat asks for all
// reads that wait: it names the newest, and a follower's answer names it again. An id is never used
// twice, or the late answer to an earlier read would vouch for a later one.
#include <algorithm>
#include <iterator>

#include "cluster/raft/mutants.h"
#include "cluster/raft/raft_node.h"

namespace quorate::raft {

Result<ReadId> RaftNode::read_index() {
    if (role_ != Role::Leader) return Error{ErrorCode::NotLeader, "this replica does not lead"};
    // Until then its commit index may be behind what earlier leaders have committed.
    if (log_.committed() < term_start_ && !mutated(Mutant::ReadBeforeOwnTerm)) {
        return Error{ErrorCode::Unavailable, "no entry of this term is committed yet"};
    }
    if (reads_.size() >= options_.reads_max) {
        return Error{ErrorCode::LimitExceeded, "too many reads wait for a quorum"};
    }
    wake();
    const bool reuse = mutated(Mutant::ReadIdReused) && last_read_.value() % 2 == 1;
    if (!reuse) ++last_read_;
    reads_.push_back(ReadState{last_read_, log_.committed()});
    confirm_reads();
    return last_read_;
}

void RaftNode::confirm_reads() {
    while (!reads_.empty()) {
        const ReadId wanted = reads_.front().id;
        const auto vouched = [this, wanted](ReplicaId voter) {
            if (voter == options_.self) return true;
            const auto found = progress_.find(voter);
            return found != progress_.end() && found->second.read_echo() >= wanted;
        };
        if (!configuration().quorum(vouched) && !mutated(Mutant::ReadWithoutQuorum)) return;
        reads_confirmed_.push_back(reads_.front());
        reads_.pop_front();
    }
}

// One round at a time; reads that come meanwhile share the next. A round that was lost is made up
// for by the next regular heartbeat.
void RaftNode::send_read_round() {
    if (reads_.empty() || reads_.front().id <= read_round_) return;
    read_round_ = last_read_;
    for (const auto& [replica, progress] : progress_) {
        if (configuration().votes(replica)) send_heartbeat(replica, progress);
    }
}

void RaftNode::drop_reads() {
    for (const ReadState& read : reads_) {
        reads_failed_.push_back(read.id);
    }
    reads_.clear();
    read_round_ = ReadId(0);
}

}  // namespace quorate::raft
