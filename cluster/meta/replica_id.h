// Replica ids: one node's copy of one group, given out by `meta` as (node, number).
//
// The founding replicas of every group are number 1 of their node; every later copy gets the next
// number of its node, whatever the group. So within a group an id is never given twice, not even to
// a copy whose disk was lost. *Thread*: any; values. *Spec*: rules, "Raft members are replica ids".
#pragma once

#include <cstdint>

#include "proto/base/ids.h"

namespace quorate::cluster {

inline constexpr uint32_t kFoundingReplica = 1;

[[nodiscard]] constexpr ReplicaId replica_id(NodeId node, uint32_t number) {
    return ReplicaId((uint64_t{node.value()} << 32U) | number);
}
[[nodiscard]] constexpr NodeId node_of(ReplicaId replica) {
    return NodeId(static_cast<uint32_t>(replica.value() >> 32U));
}
[[nodiscard]] constexpr uint32_t number_of(ReplicaId replica) {
    return static_cast<uint32_t>(replica.value());
}

}  // namespace quorate::cluster
