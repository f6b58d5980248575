#include "cluster/raft/raft_node.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "cluster/raft/mutants.h"
#include "proto/base/assert.h"

namespace quorate::raft {
namespace {

template <typename... Visitors>
struct Overloaded : Visitors... {
    using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

// What only the leader of its term says.
bool of_leader(const Message& message) {
    return std::holds_alternative<AppendEntries>(message.body) ||
           std::holds_alternative<Heartbeat>(message.body) ||
           std::holds_alternative<InstallSnapshot>(message.body);
}

}  // namespace

const char* to_string(Role role) {
    switch (role) {
        case Role::Follower:
            return "follower";
        case Role::PreCandidate:
            return "pre-candidate";
        case Role::Candidate:
            return "candidate";
        case Role::Leader:
            return "leader";
    }
    return "unknown";
}

RaftNode::RaftNode(RaftOptions options, const HardState& hard_state, const LogStart& log,
                   const LogReader& reader)
    : options_(std::move(options)),
      random_(options_.seed),
      log_(log, reader, options_.log_memory_bytes),
      configurations_(log.base.index, log.configuration, log.configurations),
      term_(hard_state.term),
      voted_for_(hard_state.voted_for),
      priority_(options_.priority),
      saved_(hard_state),
      unsent_from_(log.last.index.next()) {
    ASSERT(options_.self.value() != 0, "a replica without an id");
    ASSERT(configurations_.latest_index() <= log_.last().index, "a configuration above the log");
    ASSERT(term_ >= log_.last().term, "a log of a later term than the replica ever was in");
    reset_election_timer();
}

// §3.3: whoever learns of a later term follows; whoever speaks of an earlier one is told.
void RaftNode::step(const Message& message) {
    const bool stranger = message.to != options_.self || !knows(message.from);
    if (message.from == options_.self || message.term.value() > kCountMax ||
        (stranger && !mutated(Mutant::StrangersHeard))) {
        return;
    }
    wake_for(message);
    if (message.term > term_) {
        const auto* request = std::get_if<RequestVote>(&message.body);
        if (request != nullptr && !request->transfer && in_lease(message)) return;
        const auto* reply = std::get_if<RequestVoteReply>(&message.body);
        // A pre-vote asks about a term that may never be; a grant echoes that term.
        const bool changes_term = !(request != nullptr && request->pre) &&
                                  !(reply != nullptr && reply->pre && reply->granted);
        if (changes_term) accept_term(message);
    } else if (message.term < term_) {
        // A leader or candidate of an old term must learn of the new one, or a replica that was
        // cut off with pre-vote could neither win nor be won over.
        if (of_leader(message)) {
            send(message.from, AppendEntriesReply{});
        } else if (const auto* request = std::get_if<RequestVote>(&message.body)) {
            send(message.from, RequestVoteReply{request->pre, false});
        }
        return;
    }
    std::visit(
        Overloaded{
            [&](const RequestVote& body) { on_request_vote(message, body); },
            [&](const RequestVoteReply& body) { on_request_vote_reply(message, body); },
            [&](const AppendEntries& body) { on_append_entries(message, body); },
            [&](const AppendEntriesReply& body) { on_append_entries_reply(message, body); },
            [&](const Heartbeat& body) { on_heartbeat(message, body); },
            [&](const HeartbeatReply& body) { on_heartbeat_reply(message, body); },
            [&](const TimeoutNow&) { on_timeout_now(message); },
            [&](const InstallSnapshot& body) { on_install_snapshot(message, body); },
            [&](const InstallSnapshotReply& body) { on_install_snapshot_reply(message, body); }},
        message.body);
}

void RaftNode::accept_term(const Message& message) {
    become_follower(message.term, of_leader(message) ? message.from : ReplicaId(0));
}

void RaftNode::tick() {
    if (quiescent_) return;
    switch (role_) {
        case Role::Follower:
        case Role::PreCandidate:
        case Role::Candidate:
            tick_election();
            break;
        case Role::Leader:
            tick_leader();
            break;
    }
}

Result<EntryId> RaftNode::propose(SharedBytes data) {
    if (role_ != Role::Leader) return Error{ErrorCode::NotLeader, "this replica does not lead"};
    if (transfer_) return Error{ErrorCode::Unavailable, "leadership is being handed over"};
    wake();
    append_own(EntryKind::Command, std::move(data));
    return log_.last();
}

bool RaftNode::has_ready() const {
    return failure_ || !messages_.empty() || !messages_after_.empty() || restored_ ||
           (snapshot_work_ && role_ == Role::Leader) || !snapshot_requests_.empty() ||
           !transfers_ended_.empty() || !snapshot_parts_.empty() || truncate_from_ ||
           unsent_from_ <= log_.last().index || log_.has_committed() || vote_unsaved() ||
           !reads_confirmed_.empty() || !reads_failed_.empty() ||
           (!reads_.empty() && reads_.front().id > read_round_);
}

Result<Ready> RaftNode::ready() {
    if (role_ == Role::Leader) {
        send_appends();
        send_snapshots();
        send_read_round();
    }
    if (failure_) return *failure_;
    Ready ready;
    if (log_.has_committed()) {
        Result<std::vector<Entry>> committed = log_.take_committed(options_.apply_bytes_max);
        if (!committed) return committed.error();
        ready.committed = std::move(*committed);
    }
    ready.messages = std::exchange(messages_, {});
    ready.snapshot_requests = std::exchange(snapshot_requests_, {});
    ready.transfers_ended = std::exchange(transfers_ended_, {});
    ready.snapshot_parts = std::exchange(snapshot_parts_, {});
    ready.reads = std::exchange(reads_confirmed_, {});
    ready.reads_failed = std::exchange(reads_failed_, {});
    if (unsent_from_ <= log_.last().index) {
        // What was never handed out is still in memory.
        Result<std::vector<Entry>> entries = log_.slice(unsent_from_, log_.last().index, SIZE_MAX);
        if (!entries) return entries.error();
        ready.entries = std::move(*entries);
        unsent_from_ = log_.last().index.next();
    }
    ready.truncate_from = std::exchange(truncate_from_, std::nullopt);
    ready.messages_after = std::exchange(messages_after_, {});
    ready.restored = std::exchange(restored_, std::nullopt);
    const bool must_write =
        !ready.entries.empty() || ready.truncate_from || ready.restored || vote_unsaved();
    if (!must_write && writes_.empty()) {
        // Everything these messages promise is durable already.
        std::move(ready.messages_after.begin(), ready.messages_after.end(),
                  std::back_inserter(ready.messages));
        ready.messages_after.clear();
    }
    if (must_write || !ready.messages_after.empty()) {
        // The commit hint travels along; alone it is not worth a write.
        const HardState now = hard_state();
        if (now != saved_) ready.hard_state = now;
        saved_ = now;
        ++last_number_;
        ready.persist = last_number_;
        writes_.push_back(Write{last_number_, log_.last().index, term_, voted_for_});
    }
    return ready;
}

// Writes complete in order. An entry that was truncated after it had been handed out may be
// replaced by another at the same index: `truncate` lowered the end of the older writes, so that
// their completion says nothing of the newer entry, whatever its term (the "ABA" of asynchronous
// storage).
void RaftNode::persisted(PersistNumber number) {
    ASSERT(!writes_.empty() && writes_.front().number == number, "writes complete in order");
    const Write write = writes_.front();
    writes_.pop_front();
    log_.stable_to(std::min(write.last, log_.last().index));
    // §3.4: the own vote counts once it cannot be forgotten.
    if (role_ == Role::Candidate && write.term == term_ && write.voted_for == options_.self) {
        count_vote(options_.self, true);
    }
    if (role_ == Role::Leader) advance_commit();
}

void RaftNode::applied(LogIndex index) {
    log_.applied_to(index);
}

void RaftNode::cut(EntryId id) {
    if (id.index <= log_.base().index) return;
    log_.cut_to(id);
    configurations_.cut(id.index);
}

bool RaftNode::needs_ticks() const {
    if (quiescent_) return false;
    // A hand-over is given up by ticks, and refuses proposals until then.
    return role_ != Role::Leader || !alone() || !progress_.empty() || transfer_.has_value();
}

void RaftNode::send(ReplicaId to, MessageBody body) {
    send(to, term_, std::move(body));
}

void RaftNode::send(ReplicaId to, Term term, MessageBody body) {
    messages_.push_back(Message{options_.self, to, term, std::move(body)});
}

void RaftNode::send_after_persist(ReplicaId to, Term term, MessageBody body) {
    if (mutated(Mutant::AcknowledgeBeforeDurable) &&
        std::holds_alternative<AppendEntriesReply>(body)) {
        send(to, std::move(body));
        return;
    }
    messages_after_.push_back(Message{options_.self, to, term, std::move(body)});
}

bool RaftNode::vote_unsaved() const {
    const HardState now = hard_state();
    return saved_.term != now.term || saved_.voted_for != now.voted_for;
}

HardState RaftNode::hard_state() const {
    // Only what the same write or an earlier one makes durable may be called committed.
    const ReplicaId vote = mutated(Mutant::VoteNotPersisted) ? ReplicaId(0) : voted_for_;
    return HardState{term_, vote, log_.committed()};
}

}  // namespace quorate::raft
