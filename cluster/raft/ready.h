// What a replica wants done after it was stepped: what to persist, send and apply, in which order.
#pragma once

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

// The holder
//  1. sends `messages` at once (AppendEntries leave while the own write is under way, §10.2.1);
//  2. writes, as one atomic unit: truncation, then `entries`, then `hard_state`;
//  3. when that is durable: sends `messages_after`, calls `persisted(number)`;
//  4. applies `committed`, which is durable already, and calls `applied`.
// Steps 2 and 3 exist only when `persist` is not zero. *Spec*: Raft §3.8.
struct Ready {
    std::vector<Message> messages;

    PersistNumber persist;                  // 0: nothing to write
    std::optional<LogIndex> truncate_from;  // remove this and what follows, before appending
    std::vector<Entry> entries;
    std::optional<HardState> hard_state;
    std::vector<Message> messages_after;

    std::vector<Entry> committed;  // in order, each exactly once

    // Reads that may be answered from a state that has applied `index`, and those that never will
    // be because the leadership ended: whoever still wants one asks again (§6.4).
    std::vector<ReadState> reads;
    std::vector<ReadId> reads_failed;

    // Followers that lack what the log no longer holds: only a snapshot helps them.
    std::vector<ReplicaId> lacking;

    [[nodiscard]] bool empty() const {
        return messages.empty() && persist.value() == 0 && committed.empty() && lacking.empty() &&
               reads.empty() && reads_failed.empty();
    }
};

}  // namespace quorate::raft
