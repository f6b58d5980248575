// The words of a publish stream: what a front-end loop and the owner of a topic shard say.
//
// A stream is (incarnation, loop) → topic shard. Numbers rise for as long as the loop lives, over
// all owners and terms; every attempt to bring them to an owner has a number of its own, and each
// item names the one that goes before it in that attempt.
//
// Pure values. Thread: any. Spec: rules R-2 (Front-end: stream, resend, order), R-5.
#pragma once

#include <chrono>
#include <cstdint>

#include "cluster/sessions/outbox_source.h"
#include "cluster/shard/command.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// The key of the table of retained numbers at the topic's shard is the same: there a number that is
// not above the last one writes nothing.
using StreamName = RetainStream;

// Begins an attempt. Its first item names `first` - 1.
struct StreamBegin {
    uint32_t attempt = 0;
    Term term;  // of the owner it is meant for
    uint64_t first = 0;
};

struct StreamItem {
    uint32_t attempt = 0;
    uint64_t number = 0;  // 0: QoS 0 between two numbers
    uint64_t prev = 0;    // the number before it in this attempt
    uint64_t done = 0;    // every number up to it is settled: H of R-5, with nothing unfinished
    SharedBytes message;  // flat
};

// By which the destinations of a publish of QoS 2 know it again, whoever brings it. `shard`
// is the topic's.
[[nodiscard]] inline OutboxSource source_of(const StreamName& name, ShardId shard,
                                            const StreamItem& item) {
    OutboxSource out;
    out.stream.source = shard;
    out.stream.target = {OutboxTargetKind::Publisher, shard, name.incarnation, name.loop};
    out.number = OutboxNumber(item.number);
    out.high = OutboxNumber(item.done);
    return out;
}

}  // namespace quorate::cluster
