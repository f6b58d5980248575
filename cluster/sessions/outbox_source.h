// The name of one hand-over between shards, by which its receivers recognise repeats.
//
// Pure values. Thread: any. Spec: rules R-5 (Outbox).
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "cluster/topics/destination.h"

namespace quorate::cluster {

// One numbered stream out of a shard: entries for topics and groups are numbered per shard that
// takes them over, so that a slow shard holds up no other.
enum class OutboxTargetKind : uint8_t {
    Topic = 0,    // the owner of the topic, in `shard`
    Group = 1,    // the leader of a shared group, in `shard`
    Session = 2,  // a session of `shard`: a member of a shared group was picked
    Node = 3,     // incarnation `node`: a connection that is a member was picked
    // Not an outbox: the publishes of QoS 2 that loop `loop` of incarnation `node` brings to the
    // topics of `shard`, for clients whose session ends with their connection. Their numbers are
    // those of the loop's stream.
    Publisher = 4,
};

struct OutboxTarget {
    OutboxTargetKind kind = OutboxTargetKind::Topic;
    ShardId shard;
    Incarnation node;
    LoopId loop{};
    auto operator<=>(const OutboxTarget&) const = default;

    void write(RecordWriter& out) const;
    [[nodiscard]] static OutboxTarget read(RecordReader& in);
};

// What a receiver keeps its repeat filter under.
struct OutboxStream {
    ShardId source;
    Generation generation;  // of the source's outbox: a restored backup starts a new one
    OutboxTarget target;
    auto operator<=>(const OutboxStream&) const = default;
};

// Travels with every hand-over. Numbers up to `high` that `unfinished` does not name are done.
struct OutboxSource {
    OutboxStream stream;
    OutboxNumber number;
    OutboxNumber high;
    std::vector<OutboxNumber> unfinished;  // ascending, at most the driver's window

    void write(RecordWriter& out) const;
    [[nodiscard]] static OutboxSource read(RecordReader& in);
};

}  // namespace quorate::cluster
