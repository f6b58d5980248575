// Raft §3.4 (leader election), §3.6.1 (election restriction), §9.6 (pre-vote), §6.2 (a leader that
// hears no quorum steps down; a follower that hears its leader grants no vote).
#include <algorithm>

#include "cluster/raft/mutants.h"
#include "cluster/raft/raft_node.h"
#include "proto/base/assert.h"

namespace quorate::raft {

void RaftNode::become_follower(Term term, ReplicaId leader) {
    ASSERT(term >= term_, "terms never go back");
    if (term > term_) {
        term_ = term;
        voted_for_ = ReplicaId(0);
    }
    role_ = Role::Follower;
    leader_ = leader;
    votes_.clear();
    progress_.clear();
    end_transfers();
    snapshot_requests_.clear();
    transfer_.reset();
    drop_reads();
    quiescent_ = false;
    reset_election_timer();
}

void RaftNode::become_pre_candidate() {
    role_ = Role::PreCandidate;
    leader_ = ReplicaId(0);
    quiescent_ = false;
    votes_.clear();
    reset_election_timer();
    count_vote(options_.self, true);
}

void RaftNode::become_candidate() {
    ++term_;
    voted_for_ = options_.self;
    role_ = Role::Candidate;
    leader_ = ReplicaId(0);
    quiescent_ = false;
    votes_.clear();
    reset_election_timer();
    // The own vote is counted when it is durable: see persisted().
    if (mutated(Mutant::OwnVoteBeforeDurable)) count_vote(options_.self, true);
}

void RaftNode::become_leader() {
    ASSERT(role_ == Role::Candidate, "only a candidate wins");
    role_ = Role::Leader;
    leader_ = options_.self;
    elapsed_ticks_ = 0;
    heartbeat_elapsed_ticks_ = 0;
    rounds_led_ = 0;
    idle_rounds_ = 0;
    progress_.clear();
    update_progress();
    // §3.6.2: entries of earlier terms are committed by one of this term.
    append_own(EntryKind::Empty, SharedBytes());
    term_start_ = log_.last().index;
}

void RaftNode::reset_election_timer() {
    elapsed_ticks_ = 0;
    timeout_ticks_ =
        options_.election_ticks + static_cast<uint32_t>(random_.below(options_.election_ticks));
    if (priority_ < kNormalPriority) {
        timeout_ticks_ += options_.election_ticks * (kNormalPriority - priority_) / kNormalPriority;
    }
}

void RaftNode::tick_election() {
    if (++elapsed_ticks_ >= timeout_ticks_) campaign();
}

void RaftNode::tick_leader() {
    if (++elapsed_ticks_ >= options_.election_ticks) {
        elapsed_ticks_ = 0;
        end_round();
        if (role_ != Role::Leader || quiescent_) return;
    }
    tick_transfer();
    if (++heartbeat_elapsed_ticks_ >= options_.heartbeat_ticks) {
        heartbeat_elapsed_ticks_ = 0;
        send_heartbeats();
    }
}

// §6.2: a leader that no quorum has answered for an election timeout is none.
void RaftNode::end_round() {
    for (auto& [replica, progress] : progress_) {
        if (progress.take_active()) continue;
        progress.probe();
        silent_receiver(replica);
    }
    const auto heard = [this](ReplicaId voter) {
        return voter == options_.self || progress_.at(voter).recently_active();
    };
    if (!configuration().quorum(heard)) {
        become_follower(term_, ReplicaId(0));
        return;
    }
    consider_hand_over();
    consider_quiescence();
}

void RaftNode::campaign() {
    if (role_ == Role::Leader) return;
    if (!may_campaign()) {
        // It waits to be led again, and knows that it is not.
        become_follower(term_, ReplicaId(0));
        return;
    }
    if (alone()) {
        become_candidate();
        return;
    }
    become_pre_candidate();
    ask_for_votes(Asking::Before);
}

void RaftNode::ask_for_votes(Asking asking) {
    const auto ask = [this, asking](ReplicaId voter) {
        if (voter == options_.self) return;
        if (asking == Asking::Before) {
            // For the term it would stand in; nothing is promised, so nothing must be durable.
            send(voter, term_.next(), RequestVote{log_.last(), true});
        } else {
            const bool transfer = asking == Asking::ForTransfer;
            send_after_persist(voter, term_, RequestVote{log_.last(), false, transfer});
        }
    };
    const Configuration& now = configuration();
    std::for_each(now.voters.begin(), now.voters.end(), ask);
    for (const ReplicaId voter : now.outgoing) {
        if (!std::binary_search(now.voters.begin(), now.voters.end(), voter)) ask(voter);
    }
}

void RaftNode::count_vote(ReplicaId from, bool granted) {
    votes_.emplace(from, granted);
    const auto voted = [this](ReplicaId voter, bool silent) {
        const auto vote = votes_.find(voter);
        return vote == votes_.end() ? silent : vote->second;
    };
    const auto yes = [&voted](ReplicaId voter) { return voted(voter, false); };
    const auto not_no = [&voted](ReplicaId voter) { return voted(voter, true); };
    if (configuration().quorum(yes)) {
        if (role_ == Role::PreCandidate) {
            become_candidate();
            ask_for_votes(Asking::ForVotes);
        } else {
            become_leader();
        }
    } else if (!configuration().quorum(not_no)) {
        become_follower(term_, ReplicaId(0));
    }
}

// §6.2, §4.2.3: a replica that hears its leader does not help to depose it.
bool RaftNode::in_lease(const Message& message) const {
    if (leader_ == message.from) return false;
    if (role_ == Role::Leader) return true;
    return leader_.value() != 0 && elapsed_ticks_ < options_.election_ticks;
}

void RaftNode::on_request_vote(const Message& message, const RequestVote& request) {
    if (request.pre) {
        const bool granted = message.term > term_ && log_.up_to_date(request.last);
        // A grant carries the term asked for, a refusal our own, which may be news.
        send(message.from, granted ? message.term : term_, RequestVoteReply{true, granted});
        return;
    }
    const bool free_vote =
        voted_for_ == message.from || (voted_for_.value() == 0 && leader_.value() == 0);
    const bool idle = role_ == Role::Follower || role_ == Role::PreCandidate;
    const bool granted = idle && (free_vote || mutated(Mutant::VoteTwice)) &&
                         (log_.up_to_date(request.last) || mutated(Mutant::VoteForShorterLog));
    if (granted) {
        become_follower(term_, ReplicaId(0));
        voted_for_ = message.from;
    }
    send_after_persist(message.from, term_, RequestVoteReply{false, granted});
}

void RaftNode::on_request_vote_reply(const Message& message, const RequestVoteReply& reply) {
    const Role asking = reply.pre ? Role::PreCandidate : Role::Candidate;
    if (role_ != asking) return;
    // A late grant of an earlier pre-vote round.
    if (reply.pre && reply.granted && message.term != term_.next()) return;
    count_vote(message.from, reply.granted);
}

}  // namespace quorate::raft
