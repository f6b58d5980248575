// Raft §5 (log compaction): a follower whose next entry was cut away gets the leader's state
// instead, in chunks, and goes on from there.
//
// The node moves no state. Its holder reads chunks where `snapshot_requests` ask for them, keeps
// what `snapshot_parts` bring under a fresh generation, and when all of it is on stable storage
// calls `restore`. Then one write makes generation, base and configuration durable together, in
// turn with all other writes of this replica, and only after it the leader hears of it. So there is
// no moment at which the state and the log on disk belong to different snapshots.
#include <algorithm>
#include <utility>

#include "cluster/raft/mutants.h"
#include "cluster/raft/raft_node.h"

namespace quorate::raft {
namespace {

// Silent for so many rounds of check-quorum, a receiver is given up: its transfer holds memory.
constexpr uint32_t kSilentRoundsMax = 10;

bool believable(const SnapshotMeta& snapshot, Term now) {
    const EntryId last = snapshot.last;
    return last.index.value() > 0 && last.index.value() <= kCountMax && last.term <= now &&
           valid(snapshot.configuration);
}

}  // namespace

std::optional<SnapshotMeta> RaftNode::snapshot_point() const {
    LogIndex index = log_.applied();
    if (mutated(Mutant::SnapshotIndexOffByOne) && index < log_.last().index) ++index;
    std::optional<Configuration> configuration = configuration_at(index);
    if (!configuration) return std::nullopt;
    return SnapshotMeta{EntryId{index, *log_.term_at(index)}, std::move(*configuration)};
}

void RaftNode::end_transfer(ReplicaId to) {
    const auto found = senders_.find(to);
    if (found == senders_.end()) return;
    snapshot_work_ = true;
    transfers_ended_.push_back(found->second.transfer());
    senders_.erase(found);
}

void RaftNode::end_transfers() {
    while (!senders_.empty()) {
        end_transfer(senders_.begin()->first);
    }
}

// Begins what may begin, asks for what may be read, sends what was read.
void RaftNode::send_snapshots() {
    snapshot_work_ = false;
    for (auto& [replica, progress] : progress_) {
        if (progress.state() != Progress::State::Snapshot) continue;
        auto sender = senders_.find(replica);
        if (sender == senders_.end()) {
            const bool room = senders_.size() < options_.snapshots_max;
            if (!room || !progress.recently_active()) continue;
            ++last_transfer_;
            sender =
                senders_.emplace(replica, SnapshotSender(last_transfer_, options_.snapshot)).first;
        }
        if (const std::optional<uint64_t> offset = sender->second.take_request()) {
            snapshot_requests_.push_back(SnapshotRequest{replica, sender->second.transfer(),
                                                         *offset, options_.snapshot.chunk_bytes});
        }
        for (InstallSnapshot& chunk : sender->second.take_chunks()) {
            send(replica, std::move(chunk));
        }
    }
}

void RaftNode::snapshot_chunk(const SnapshotRequest& request, const SnapshotMeta& snapshot,
                              SharedBytes data, bool done) {
    const auto sender = senders_.find(request.to);
    if (sender == senders_.end() || sender->second.transfer() != request.transfer) return;
    snapshot_work_ = true;
    if (!sender->second.add(snapshot, request.offset, std::move(data), done)) {
        end_transfer(request.to);
    }
}

// A round of check-quorum found this follower silent.
void RaftNode::silent_receiver(ReplicaId replica) {
    const auto sender = senders_.find(replica);
    if (sender == senders_.end() || sender->second.silent() < kSilentRoundsMax) return;
    end_transfer(replica);
}

void RaftNode::on_install_snapshot(const Message& message, const InstallSnapshot& chunk) {
    if (role_ == Role::Leader || !believable(chunk.snapshot, message.term)) return;
    if (role_ != Role::Follower || leader_ != message.from) {
        become_follower(term_, message.from);
    }
    elapsed_ticks_ = 0;
    if (chunk.snapshot.last.index <= log_.committed()) {
        // Nothing new: the leader goes on behind what is here.
        receiver_.reset();
        send_after_persist(message.from, term_, AppendEntriesReply{true, log_.committed(), {}});
        return;
    }
    if (receiver_.take(message.from, term_, chunk)) {
        snapshot_parts_.push_back(
            SnapshotPart{chunk.snapshot, chunk.offset, chunk.data, chunk.done});
    }
    send(message.from, InstallSnapshotReply{chunk.transfer, receiver_.wanted()});
}

void RaftNode::on_install_snapshot_reply(const Message& message,
                                         const InstallSnapshotReply& reply) {
    const auto found = progress_.find(message.from);
    if (role_ != Role::Leader || found == progress_.end()) return;
    found->second.set_active();
    const auto sender = senders_.find(message.from);
    if (sender == senders_.end() || sender->second.transfer() != reply.transfer) return;
    sender->second.acknowledged(reply.offset);
    snapshot_work_ = true;
}

void RaftNode::abandon_snapshot() {
    receiver_.reset();
}

bool RaftNode::restore(const SnapshotMeta& snapshot) {
    receiver_.reset();
    const EntryId last = snapshot.last;
    // A leader has everything that is committed; what is behind the own commit is no news.
    if (role_ == Role::Leader || last.index <= log_.committed() || !believable(snapshot, term_)) {
        return false;
    }
    const bool kept = mutated(Mutant::SnapshotKeepsConflictingSuffix);
    const bool has = kept ? last.index <= log_.last().index : log_.matches(last);
    if (has) {
        // §5: the log goes on behind the snapshot already, so it is only news of the commit.
        log_.commit_to(last.index);
    } else {
        log_.restore(last);
        configurations_ = ConfigurationHistory(last.index, snapshot.configuration, {});
        for (Write& write : writes_) {
            write.last = LogIndex(0);
        }
        truncate_from_.reset();
        unsent_from_ = last.index.next();
        restored_ = snapshot;
    }
    if (leader_.value() != 0) {
        send_after_persist(leader_, term_, AppendEntriesReply{true, last.index, {}});
    }
    return !has;
}

}  // namespace quorate::raft
