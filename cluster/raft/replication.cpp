// Raft §3.5 (log replication), §3.6.2 (committing entries of earlier terms), §10.2.1 (writing to
// the leader's disk in parallel, pipelining).
#include <algorithm>
#include <vector>

#include "cluster/raft/mutants.h"
#include "cluster/raft/raft_node.h"
#include "proto/base/assert.h"

namespace quorate::raft {
namespace {

std::size_t bytes_of(const std::vector<Entry>& entries) {
    std::size_t bytes = 0;
    for (const Entry& entry : entries) {
        bytes += entry.data.size();
    }
    return bytes;
}

// What a peer sends is checked before it is believed: consecutive, terms never falling and none
// beyond the sender's own, and configurations are some.
bool well_formed(const Message& message, const AppendEntries& append) {
    EntryId previous = append.previous;
    if (previous.index.value() > kCountMax || previous.term > message.term) return false;
    for (const Entry& entry : append.entries) {
        if (entry.id.index != previous.index.next() || entry.id.term < previous.term ||
            entry.id.term > message.term) {
            return false;
        }
        switch (entry.kind) {
            case EntryKind::Empty:
            case EntryKind::Command:
                break;
            case EntryKind::Configuration:
                if (!decode_configuration(entry.data.text())) return false;
                break;
        }
        previous = entry.id;
    }
    return previous.index.value() <= kCountMax;
}

}  // namespace

void RaftNode::append_own(EntryKind kind, SharedBytes data) {
    log_.append(Entry{EntryId{log_.last().index.next(), term_}, kind, std::move(data)});
}

void RaftNode::send_appends() {
    for (auto& [replica, progress] : progress_) {
        const LogIndex limit = send_limit(replica);
        while (progress.next() <= limit &&
               progress.may_send(options_.window_bytes_max, options_.window_entries_max)) {
            const Status sent = send_append(replica, progress, false);
            if (!sent) {
                failure_ = sent.error();
                return;
            }
        }
    }
}

Status RaftNode::send_append(ReplicaId to, Progress& progress, bool allow_empty) {
    const LogIndex previous(progress.next().value() - 1);
    const std::optional<Term> previous_term = log_.term_at(previous);
    if (!previous_term) {
        progress.need_snapshot();
        return {};
    }
    AppendEntries append;
    append.previous = EntryId{previous, *previous_term};
    append.commit = log_.committed();
    if (LogIndex limit = send_limit(to); progress.next() <= limit) {
        limit = std::min(limit, LogIndex(previous.value() + options_.append_entries_max));
        Result<std::vector<Entry>> entries =
            log_.slice(progress.next(), limit, options_.append_bytes_max);
        if (!entries) return entries.error();
        append.entries = std::move(*entries);
    }
    if (append.entries.empty() && !allow_empty) return {};
    const LogIndex last = append.entries.empty() ? previous : append.entries.back().id.index;
    progress.sent(last, bytes_of(append.entries));
    send(to, std::move(append));
    return {};
}

void RaftNode::send_heartbeat(ReplicaId to, const Progress& progress) {
    const bool beyond = mutated(Mutant::CommitBeyondMatch);
    const LogIndex commit =
        beyond ? log_.committed() : std::min(progress.match(), log_.committed());
    send(to, Heartbeat{commit, last_read_});
}

void RaftNode::send_heartbeats() {
    read_round_ = last_read_;
    for (const auto& [replica, progress] : progress_) {
        send_heartbeat(replica, progress);
    }
}

void RaftNode::on_append_entries(const Message& message, const AppendEntries& append) {
    // Two leaders in one term cannot be; a peer that says so is not believed.
    if (role_ == Role::Leader || !well_formed(message, append)) return;
    if (role_ != Role::Follower || leader_ != message.from) {
        become_follower(term_, message.from);
    }
    elapsed_ticks_ = 0;

    if (append.previous.index < log_.committed()) {
        // A late message: everything up to our commit matches already.
        send_after_persist(message.from, term_, AppendEntriesReply{true, log_.committed(), {}});
        return;
    }
    if (!log_.matches(append.previous)) {
        send(message.from,
             AppendEntriesReply{false, append.previous.index,
                                log_.conflict_hint(append.previous.index, append.previous.term)});
        return;
    }
    for (const Entry& entry : append.entries) {
        if (entry.id.index <= log_.last().index) {
            if (log_.matches(entry.id)) continue;
            if (entry.id.index <= log_.committed()) return;  // no correct leader sends this
            truncate(entry.id.index);
        }
        log_.append(entry);
        if (entry.kind == EntryKind::Configuration) {
            configurations_.append(entry.id.index, *decode_configuration(entry.data.text()));
        }
    }
    const LogIndex match(append.previous.index.value() + append.entries.size());
    log_.commit_to(std::max(log_.committed(), std::min(append.commit, match)));
    // §3.8: acceptance promises the entries, so it waits for the disk.
    send_after_persist(message.from, term_, AppendEntriesReply{true, match, {}});
}

void RaftNode::truncate(LogIndex from) {
    log_.truncate(from);
    if (!mutated(Mutant::ChangeKeptOnTruncation)) configurations_.truncate(from);
    truncate_from_ = std::min(truncate_from_.value_or(from), from);
    unsent_from_ = std::min(unsent_from_, from);
    for (Write& write : writes_) {
        if (mutated(Mutant::StaleCompletion)) continue;
        write.last = std::min(write.last, log_.last().index);
    }
}

void RaftNode::on_append_entries_reply(const Message& message, const AppendEntriesReply& reply) {
    const auto found = progress_.find(message.from);
    if (role_ != Role::Leader || found == progress_.end()) return;
    Progress& progress = found->second;
    progress.set_active();
    if (!reply.accepted) {
        // The highest position of ours that the follower's log could share.
        const EntryId hint =
            log_.conflict_hint(std::min(reply.hint.index, log_.last().index), reply.hint.term);
        progress.rejected(reply.index, hint.index);
        return;
    }
    if (reply.index > log_.last().index) return;
    const bool moved = progress.accepted(reply.index, log_.base().index);
    if (progress.state() != Progress::State::Snapshot) end_transfer(message.from);
    if (!moved) return;
    advance_commit();
    continue_transfer();
}

void RaftNode::on_heartbeat(const Message& message, const Heartbeat& heartbeat) {
    if (role_ == Role::Leader) return;
    if (role_ != Role::Follower || leader_ != message.from) {
        become_follower(term_, message.from);
    }
    elapsed_ticks_ = 0;
    // The leader named at most what it knows to match here.
    if (heartbeat.commit <= log_.last().index) log_.commit_to(heartbeat.commit);
    follow_into_quiescence(heartbeat);
    send(message.from, HeartbeatReply{heartbeat.read, priority_});
}

void RaftNode::on_heartbeat_reply(const Message& message, const HeartbeatReply& reply) {
    const auto found = progress_.find(message.from);
    if (role_ != Role::Leader || found == progress_.end()) return;
    Progress& progress = found->second;
    progress.set_active();
    progress.set_priority(reply.priority);
    if (reply.read <= last_read_) progress.echoed(reply.read);
    confirm_reads();
    if (transfer_ && transfer_->to == message.from) {
        transfer_->asked = false;  // TimeoutNow may have been lost
        continue_transfer();
    }
    const auto sender = senders_.find(message.from);
    if (sender != senders_.end()) {
        snapshot_work_ = true;
        if (!sender->second.heard()) end_transfer(message.from);
    }
    if (progress.state() == Progress::State::Snapshot) return;
    const bool stalled = progress.heard();
    if (progress.match() >= log_.last().index) return;
    if (progress.state() == Progress::State::Replicate) {
        if (!stalled) return;
        progress.probe();
    }
    const Status sent = send_append(message.from, progress, true);
    if (!sent) failure_ = sent.error();
}

// §3.6.2: only an entry of the own term is committed by counting; it commits what lies before it.
void RaftNode::advance_commit() {
    const LogIndex before = log_.committed();
    const LogIndex commit = quorum_index();
    if (commit <= before) return;
    if (log_.term_at(commit) != term_ && !mutated(Mutant::CommitOldTermByCounting)) return;
    log_.commit_to(commit);
    // Followers need the commit index to apply; with a busy log the next entries carry it.
    for (auto& [replica, progress] : progress_) {
        if (progress.next() > log_.last().index) {
            send_heartbeat(replica, progress);
        }
    }
    const LogIndex changed = configurations_.latest_index();
    if (changed <= commit && (changed > before || configuration().joint())) {
        configuration_committed();
    }
}

LogIndex RaftNode::cut_limit(bool too_long) const {
    LogIndex limit = log_.applied();
    for (const auto& [replica, progress] : progress_) {
        const auto sender = senders_.find(replica);
        if (sender != senders_.end()) {
            const std::optional<SnapshotMeta>& sent = sender->second.snapshot();
            limit = std::min(limit, sent ? sent->last.index : log_.base().index);
        } else if (!too_long && progress.silent_rounds() < options_.hold_log_rounds &&
                   progress.state() != Progress::State::Snapshot) {
            limit = std::min(limit, progress.match());
        }
    }
    // Below the first configuration that the group gave it, a newcomer has none to continue from.
    if (limit <= log_.base().index || !configuration_at(limit)) return log_.base().index;
    return limit;
}

}  // namespace quorate::raft
