#include "cluster/raft/snapshot_transfer.h"

#include <utility>

namespace quorate::raft {

std::optional<uint64_t> SnapshotSender::take_request() {
    if (asked_ || all_read_ || chunks_.size() >= limits_.chunks_in_flight) return std::nullopt;
    asked_ = true;
    return read_;
}

bool SnapshotSender::add(const SnapshotMeta& snapshot, uint64_t offset, SharedBytes data,
                         bool done) {
    const bool same = !snapshot_ || *snapshot_ == snapshot;
    if (!asked_ || offset != read_ || !same) return false;
    asked_ = false;
    snapshot_ = snapshot;
    read_ += data.size();
    all_read_ = done;
    chunks_.push_back(Chunk{offset, std::move(data), done, false});
    return true;
}

InstallSnapshot SnapshotSender::message(const Chunk& chunk) const {
    return InstallSnapshot{*snapshot_, transfer_, chunk.offset, chunk.data, chunk.done};
}

std::vector<InstallSnapshot> SnapshotSender::take_chunks() {
    std::vector<InstallSnapshot> out;
    for (Chunk& chunk : chunks_) {
        if (!std::exchange(chunk.sent, true)) out.push_back(message(chunk));
    }
    if (std::exchange(ask_end_, false)) out.push_back(message(Chunk{read_, {}, true, true}));
    return out;
}

void SnapshotSender::acknowledged(uint64_t offset) {
    silent_rounds_ = 0;
    if (offset > read_) return;
    behind_ = offset < acknowledged_;
    if (behind_) return;
    acknowledged_ = offset;
    while (!chunks_.empty() && chunks_.front().sent &&
           chunks_.front().offset + chunks_.front().data.size() <= offset) {
        chunks_.pop_front();
    }
}

bool SnapshotSender::heard() {
    silent_rounds_ = 0;
    const bool moved = std::exchange(acknowledged_when_heard_, acknowledged_) != acknowledged_;
    if (moved) return true;
    if (behind_) return false;
    for (Chunk& chunk : chunks_) {
        chunk.sent = false;
    }
    ask_end_ = chunks_.empty() && all_read_;
    return true;
}

bool SnapshotReceiver::take(ReplicaId from, Term term, const InstallSnapshot& chunk) {
    const bool known = current_ && current_->from == from && current_->term == term &&
                       current_->transfer == chunk.transfer &&
                       current_->last == chunk.snapshot.last;
    if (!known) {
        wanted_ = 0;
        if (chunk.offset != 0) return false;
        current_ = Current{from, term, chunk.transfer, chunk.snapshot.last, 0, false};
    }
    wanted_ = current_->offset;
    const bool next = chunk.offset == current_->offset && !current_->done;
    if (!next || (chunk.data.empty() && !chunk.done)) return false;
    current_->offset += chunk.data.size();
    current_->done = chunk.done;
    wanted_ = current_->offset;
    return true;
}

}  // namespace quorate::raft
