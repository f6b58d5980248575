// How far the retained messages that a SUBSCRIBE asked for have come into a durable session's
// queue.
//
// They come page by page, shards in ascending order, topics of a shard in order of text. The shard
// of the session keeps the position with the subscription, so that a connection that ends in the
// middle costs none of them: the next one goes on from there.
//
// Pure values. Thread: any. Spec: rules R-4; MQTT 5 §3.3.1.3, §3.8.4.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proto/base/bytes.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// Names the SUBSCRIBE that asked. 0, 0: none.
struct ReplayId {
    Epoch epoch;           // of the connection that sent it,
    CommandNumber number;  // and of the command in that connection's lane
    bool operator==(const ReplayId&) const = default;
};

// Retained messages that are not all in the queue: those of lower shards, and of `shard` up to the
// topic `after`, are.
struct PendingReplay {
    ReplayId id;
    ShardId shard;
    std::string after;
    bool operator==(const PendingReplay&) const = default;
};

void write_replay(RecordWriter& out, const PendingReplay& replay);
// Nothing for bytes that no version wrote.
[[nodiscard]] std::optional<PendingReplay> read_replay(std::string_view value);

}  // namespace quorate::cluster
