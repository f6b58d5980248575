// The owner's end of publish streams: takes items of the current attempt, each only after the one
// it names.
//
// So what was refused (the owner was not ready, a lease had run out) refuses all that follows it
// until the loop begins again, and nothing overtakes. All of it is volatile: a new term, or a new
// owner, starts with no stream and waits for Begin.
//
// Pure. Thread: the worker of the topic's shard. Owner: one for each shard it leads.
// Errors: what does not fit is refused or ignored; no content of an item can do more. Bounded by
// `streams_max` loops.
// Spec: rules R-2.
#pragma once

#include <cstdint>
#include <map>

#include "cluster/stream/stream.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

enum class Acceptance : uint8_t {
    Accept,
    Refuse,  // answer refused(attempt): the loop begins again
    Ignore,  // of an attempt that is over, or QoS 0 that lost its place
};

class StreamAcceptor {
  public:
    explicit StreamAcceptor(uint32_t streams_max = 65'536) : streams_max_(streams_max) {}

    // This replica leads the shard, with this term.
    void lead(Term term);
    void follow();

    // `ready`: the owner may act now (OwnerGate). When it is not, the item counts as not accepted.
    [[nodiscard]] Acceptance begin(const StreamName& name, const StreamBegin& begin, bool ready);
    [[nodiscard]] Acceptance item(const StreamName& name, const StreamItem& item, bool ready);
    // It and earlier incarnations of its node are down.
    void down(Incarnation incarnation);

    [[nodiscard]] std::size_t streams() const { return streams_.size(); }

  private:
    struct Stream {
        uint32_t attempt = 0;
        uint64_t last = 0;  // accepted in this attempt, or `first` - 1
    };

    uint32_t streams_max_;
    Term term_;
    bool leading_ = false;
    std::map<StreamName, Stream> streams_;
};

}  // namespace quorate::cluster
