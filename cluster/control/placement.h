// Which nodes a group belongs to, and which of them is to lead it: rendezvous hashing.
//
// Each node has a weight for each group; the nodes of the highest weights own it. So a node more or
// less moves only what it gains or loses, about 1/N of the groups. Weights of unequal nodes are
// reserved: every node counts as 1 today. Part of what a running cluster has agreed on: never
// change the mix.
//
// Pure functions; the answer depends on the sets alone, not on their order. Thread: any.
// Spec: design §2 (idea 1), rules "Voters".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cluster/meta/meta_command.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// Of the groups that are on every node; the rest of the nodes are learners.
inline constexpr uint32_t kEverywhereVotersMax = 5;

[[nodiscard]] uint64_t placement_weight(GroupId group, NodeId node);

// The largest odd number that neither exceeds.
[[nodiscard]] uint32_t voters_for(uint32_t replication_factor, std::size_t nodes);

// All of `nodes`, the highest weight first.
[[nodiscard]] std::vector<NodeId> ranked(GroupId group, std::span<const NodeId> nodes);
// The first `count` of them, or as many as there are.
[[nodiscard]] std::vector<NodeId> owners(GroupId group, std::span<const NodeId> nodes,
                                         std::size_t count);

// A group that needs a preferred leader. Requires: voters not empty.
struct LedGroup {
    GroupId group;
    std::vector<NodeId> voters;
    NodeId leader;  // 0: none so far
};
// Gives every group one of its voters as leader, so that no node leads two more than another that
// could take one of them over; who leads already goes on where that allows it. Voters that may not
// lead are chosen only where there is no other.
void balance_leaders(std::vector<LedGroup>& groups, std::span<const NodeId> may_lead);

// Where a new cluster of nodes 1 to `nodes` begins: `meta`, `wildcards` and every shard.
// Requires: nodes > 0, shards > 0.
[[nodiscard]] std::vector<FoundingGroup> founding_groups(uint32_t nodes,
                                                         uint32_t replication_factor,
                                                         uint32_t shards);

}  // namespace quorate::cluster
