// The words of the links: who, which class, which stream.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/ids.h"
#include "proto/base/metrics.h"

namespace quorate::link {

// The protocol versions this build speaks.
inline constexpr uint32_t kVersionMin = 1;
inline constexpr uint32_t kVersionMax = 1;

// TrafficClass (Consensus, Publishes, Bulk) is a label of the metrics, in proto/base/metric_list.h.
inline constexpr std::size_t kTrafficClasses = 3;
[[nodiscard]] constexpr std::size_t index_of(TrafficClass traffic) {
    return static_cast<std::size_t>(traffic);
}

// Rises with each stream that one incarnation opens to a peer in one class; the first is 1.
using StreamEpoch = Id<struct StreamEpochTag, uint64_t>;

// One start of a node.
struct PeerId {
    NodeId node;
    Incarnation incarnation;
    constexpr auto operator<=>(const PeerId&) const = default;
};

enum class Direction : uint8_t { Out, In };

// One stream, between this node and `peer`. Out: this node dialed it and sends items.
struct StreamId {
    PeerId peer;
    TrafficClass traffic = TrafficClass::Consensus;
    Direction direction = Direction::Out;
    StreamEpoch epoch;
    constexpr auto operator<=>(const StreamId&) const = default;
};

// Who this node says it is. Node 0: not yet a member; then it can ask and answer but has no
// streams.
struct Self {
    std::string cluster_id;  // empty: of no cluster yet
    NodeId node;
    Incarnation incarnation;
};

// A node that this one dials and accepts.
struct Member {
    NodeId node;
    std::string name;  // node.name; what its certificate may be made out to
    std::vector<std::string>
        addresses;  // host:port, tried in turn; a host name is all its addresses
};

[[nodiscard]] std::string_view to_string(TrafficClass traffic);
[[nodiscard]] std::string_view to_string(LinkRefusal refusal);
[[nodiscard]] std::string_view to_string(LinkEnd end);

}  // namespace quorate::link
