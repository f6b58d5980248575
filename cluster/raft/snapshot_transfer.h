// Both ends of one snapshot on its way, without the snapshot: offsets, chunks in flight, and what
// to do after a break.
//
//   leader                                        follower
//   SnapshotSender ──InstallSnapshot(offset)──> SnapshotReceiver
//        ^                                             │
//        └────InstallSnapshotReply(next offset)────────┘
//
// Chunks that are not acknowledged are kept, so that a short break costs their repetition only.
// When the receiver wants something older (it was restarted) the whole transfer begins again under
// a new number. *Thread*: one at a time. *Owner*: the RaftNode. *Spec*: Raft §5, figure 5.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "cluster/raft/messages.h"

namespace quorate::raft {

struct SnapshotLimits {
    std::size_t chunk_bytes = std::size_t{256} << 10;
    std::size_t chunks_in_flight = 4;
};

class SnapshotSender {
  public:
    SnapshotSender(TransferId transfer, SnapshotLimits limits)
        : transfer_(transfer), limits_(limits) {}

    [[nodiscard]] TransferId transfer() const { return transfer_; }
    // What is being sent; nothing before the first chunk was read.
    [[nodiscard]] const std::optional<SnapshotMeta>& snapshot() const { return snapshot_; }

    // The offset of a chunk to be read now; asked for once. Nothing while enough is under way.
    [[nodiscard]] std::optional<uint64_t> take_request();
    // It was read. False for what was not asked for, or of another snapshot than before.
    bool add(const SnapshotMeta& snapshot, uint64_t offset, SharedBytes data, bool done);
    // What is to be sent now.
    [[nodiscard]] std::vector<InstallSnapshot> take_chunks();

    // The receiver wants what is at `offset`, or did when it said so: answers may overtake.
    void acknowledged(uint64_t offset);
    // The receiver lives. When it has acknowledged nothing since the last time, what is in flight
    // is sent again; when it has everything, the end is, to learn whether it still knows. False
    // when it has forgotten what it had, so that the transfer has to begin again.
    [[nodiscard]] bool heard();
    // Check-quorum found it silent; how often in a row.
    [[nodiscard]] uint32_t silent() { return ++silent_rounds_; }

    // See RaftNode::fingerprint.
    [[nodiscard]] uint64_t fingerprint() const;

  private:
    struct Chunk {
        uint64_t offset = 0;
        SharedBytes data;
        bool done = false;
        bool sent = false;
    };
    [[nodiscard]] InstallSnapshot message(const Chunk& chunk) const;

    const TransferId transfer_;
    const SnapshotLimits limits_;
    std::optional<SnapshotMeta> snapshot_;
    std::deque<Chunk> chunks_;  // read and not acknowledged
    uint64_t read_ = 0;         // up to here
    uint64_t acknowledged_ = 0;
    uint64_t acknowledged_when_heard_ = UINT64_MAX;
    bool asked_ = false;
    bool all_read_ = false;
    bool ask_end_ = false;
    bool behind_ = false;  // its last word was of less than it had acknowledged
    uint32_t silent_rounds_ = 0;
};

class SnapshotReceiver {
  public:
    // True when the chunk is the next one, to be taken by the holder. A first chunk of another
    // transfer begins anew. Either way `wanted()` is what to answer.
    bool take(ReplicaId from, Term term, const InstallSnapshot& chunk);
    // The next offset of the transfer that the last chunk belonged to.
    [[nodiscard]] uint64_t wanted() const { return wanted_; }
    // Forgets what was received.
    void reset() { current_.reset(); }

    // See RaftNode::fingerprint.
    [[nodiscard]] uint64_t fingerprint(std::span<const uint64_t> names) const;

  private:
    struct Current {
        ReplicaId from;
        Term term;
        TransferId transfer;
        EntryId last;
        uint64_t offset = 0;
        bool done = false;
    };
    std::optional<Current> current_;
    uint64_t wanted_ = 0;
};

}  // namespace quorate::raft
