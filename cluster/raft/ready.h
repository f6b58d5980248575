// What a replica wants done after it was stepped: what to persist, send and apply, in which order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "cluster/raft/messages.h"

namespace quorate::raft {

enum class Role : uint8_t { Follower, PreCandidate, Candidate, Leader };

[[nodiscard]] const char* to_string(Role role);

// One write of a replica to its log. Writes complete in the order they were handed out, and
// `RaftNode::persisted` is told the number.
using PersistNumber = Id<struct PersistNumberTag, uint64_t>;

struct ReadState {
    ReadId id;
    LogIndex index;
};

struct SnapshotRequest {
    ReplicaId to;
    TransferId transfer;
    uint64_t offset = 0;
    std::size_t bytes_max = 0;
};

struct SnapshotPart {
    SnapshotMeta snapshot;
    uint64_t offset = 0;
    SharedBytes data;
    bool done = false;
};

// The holder
//  1. sends `messages` at once (AppendEntries leave while the own write is under way, §10.2.1);
//  2. writes, as one atomic unit: `restored` (the state's new generation, the log's new base and
//     configuration; nothing that was in the log before remains), or else truncation; then
//     `entries`, then `hard_state`;
//  3. when that is durable: sends `messages_after`, calls `persisted(number)`;
//  4. applies `committed`, which is durable already, and calls `applied`.
// Steps 2 and 3 exist only when `persist` is not zero. *Spec*: Raft §3.8.
struct Ready {
    std::vector<Message> messages;

    PersistNumber persist;                  // 0: nothing to write
    std::optional<SnapshotMeta> restored;   // what `restore` was told
    std::optional<LogIndex> truncate_from;  // remove this and what follows, before appending
    std::vector<Entry> entries;
    std::optional<HardState> hard_state;
    std::vector<Message> messages_after;

    std::vector<Entry> committed;  // in order, each exactly once

    // Reads that may be answered from a state that has applied `index`, and those that never will
    // be because the leadership ended: whoever still wants one asks again (§6.4).
    std::vector<ReadState> reads;
    std::vector<ReadId> reads_failed;

    // To be read and handed to `snapshot_chunk`, now or later. The first of a transfer opens the
    // snapshot: the state as it is then, described by `snapshot_point`.
    std::vector<SnapshotRequest> snapshot_requests;
    std::vector<TransferId> transfers_ended;  // nothing more will be asked of these
    // Received: each follows the one before it, or begins a new snapshot with offset 0, which voids
    // what was kept of an older one. After the last one: `restore`, or `abandon_snapshot`.
    std::vector<SnapshotPart> snapshot_parts;

    [[nodiscard]] bool empty() const {
        return messages.empty() && persist.value() == 0 && committed.empty() && reads.empty() &&
               reads_failed.empty() && snapshot_requests.empty() && transfers_ended.empty() &&
               snapshot_parts.empty();
    }
};

}  // namespace quorate::raft
