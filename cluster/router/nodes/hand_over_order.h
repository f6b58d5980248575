// Whether an owner takes an outbox entry that a shard hands over: each only after the one it names,
// in the latest attempt of the latest leader of that shard.
//
// A link that breaks may lose an entry and bring the next; the shard's leader finds out and begins
// again from its first unfinished entry, as another attempt. Without the order an entry that came
// through would reach a subscriber before one that was published earlier (G5).
//
// Pure. Thread: the worker's. Owner: the WorkerRouter. Errors: a verdict. Bounded: one entry for
// each shard and target shard. Spec: R-5 ("Begin at first unfinished"), R-0.
#pragma once

#include <cstdint>
#include <map>

#include "cluster/router/traffic.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

class HandOverOrder {
  public:
    [[nodiscard]] bool accept(const HandOver& entry) {
        Stream& stream = streams_[entry.source.stream];
        const Attempt attempt{entry.term, entry.attempt};
        const bool begins = entry.prev == OutboxNumber();
        if (attempt < stream.attempt) return false;
        if (attempt == stream.attempt ? entry.prev != stream.last : !begins) return false;
        stream = {attempt, entry.source.number};
        return true;
    }

  private:
    struct Attempt {
        Term term;  // of the leader of the source shard
        uint32_t number = 0;
        auto operator<=>(const Attempt&) const = default;
    };
    struct Stream {
        Attempt attempt;
        OutboxNumber last;
    };
    std::map<OutboxStream, Stream> streams_;
};

}  // namespace quorate::cluster
