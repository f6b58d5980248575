#include "cluster/control/placement.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "cluster/group/group_ids.h"
#include "proto/base/assert.h"

namespace quorate::cluster {
namespace {

// The finalizer of SplitMix64: every bit of the input reaches every bit of the output.
constexpr uint64_t mix(uint64_t x) {
    x ^= x >> 30U;
    x *= 0xBF58476D1CE4E5B9U;
    x ^= x >> 27U;
    x *= 0x94D049BB133111EBU;
    x ^= x >> 31U;
    return x;
}

using Loads = std::map<NodeId, std::size_t>;

bool has(const std::vector<NodeId>& nodes, NodeId node) {
    return std::ranges::find(nodes, node) != nodes.end();
}

NodeId least_loaded(const LedGroup& group, const Loads& loads) {
    NodeId best;
    for (const NodeId node : ranked(group.group, group.voters)) {
        const auto load = loads.find(node);
        if (load == loads.end()) continue;
        if (best.value() == 0 || load->second < loads.at(best)) best = node;
    }
    return best;
}

// Hands one group from `from` on, along a chain of groups that each change their leader, to a node
// that leads at least two fewer. False: there is no such chain.
bool relieve(std::vector<LedGroup>& groups, Loads& loads, NodeId from) {
    std::map<NodeId, LedGroup*> reached_by;  // the group through which a node was reached
    std::deque<NodeId> open{from};
    reached_by[from] = nullptr;
    while (!open.empty()) {
        const NodeId at = open.front();
        open.pop_front();
        if (loads.at(at) + 2 <= loads.at(from)) {
            ++loads.at(at);
            --loads.at(from);
            for (NodeId to = at; to != from;) {
                LedGroup* group = reached_by.at(to);
                to = std::exchange(group->leader, to);
            }
            return true;
        }
        for (LedGroup& group : groups) {
            if (group.leader != at) continue;
            for (const NodeId voter : group.voters) {
                if (!loads.contains(voter) || reached_by.contains(voter)) continue;
                reached_by[voter] = &group;
                open.push_back(voter);
            }
        }
    }
    return false;
}

}  // namespace

uint64_t placement_weight(GroupId group, NodeId node) {
    const uint64_t of_group = mix(0x9E3779B97F4A7C15U + group.value());
    return mix(of_group + 0xD1B54A32D192ED03U * node.value());
}

uint32_t voters_for(uint32_t replication_factor, std::size_t nodes) {
    const std::size_t most = std::min<std::size_t>(replication_factor, nodes);
    return static_cast<uint32_t>(most % 2 == 1 || most == 0 ? most : most - 1);
}

std::vector<NodeId> ranked(GroupId group, std::span<const NodeId> nodes) {
    std::vector<std::pair<uint64_t, NodeId>> weighed;
    for (const NodeId node : nodes)
        weighed.emplace_back(placement_weight(group, node), node);
    std::ranges::sort(weighed, [](const auto& a, const auto& b) {
        return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    std::vector<NodeId> out;
    for (const auto& each : weighed)
        out.push_back(each.second);
    return out;
}

std::vector<NodeId> owners(GroupId group, std::span<const NodeId> nodes, std::size_t count) {
    std::vector<NodeId> out = ranked(group, nodes);
    if (out.size() > count) out.resize(count);
    return out;
}

void balance_leaders(std::vector<LedGroup>& groups, std::span<const NodeId> may_lead) {
    std::ranges::sort(groups, {}, &LedGroup::group);
    Loads loads;
    for (const NodeId node : may_lead)
        loads[node] = 0;
    std::vector<LedGroup*> without;
    for (LedGroup& group : groups) {
        ASSERT(!group.voters.empty(), "a group has voters");
        if (has(group.voters, group.leader) && loads.contains(group.leader)) {
            ++loads[group.leader];
        } else {
            without.push_back(&group);
        }
    }
    for (LedGroup* group : without) {
        const NodeId best = least_loaded(*group, loads);
        if (best.value() != 0) {
            group->leader = best;
            ++loads[best];
        } else if (!has(group->voters, group->leader)) {
            group->leader = ranked(group->group, group->voters).front();
        }
    }
    // Each step makes the loads more equal, so this ends.
    for (bool better = true; better;) {
        better = false;
        for (const NodeId node : may_lead)
            better = relieve(groups, loads, node) || better;
    }
}

std::vector<FoundingGroup> founding_groups(uint32_t nodes, uint32_t replication_factor,
                                           uint32_t shards) {
    std::vector<NodeId> all;
    for (uint32_t node = 1; node <= nodes; ++node)
        all.emplace_back(node);
    std::vector<FoundingGroup> out;
    for (const GroupId group : {kMetaGroup, kWildcardsGroup}) {
        std::vector<NodeId> voters = ranked(group, all);
        const auto end = voters.begin() + voters_for(kEverywhereVotersMax, nodes);
        std::vector<NodeId> learners(end, voters.end());
        std::ranges::sort(learners);
        voters.erase(end, voters.end());
        out.push_back({group, std::move(voters), std::move(learners)});
    }
    std::vector<LedGroup> led;
    for (uint32_t shard = 0; shard < shards; ++shard) {
        const GroupId group = group_of(ShardId(shard));
        led.push_back({group, owners(group, all, voters_for(replication_factor, nodes)), {}});
    }
    balance_leaders(led, all);
    for (LedGroup& group : led) {
        std::vector<NodeId> voters{group.leader};
        std::ranges::copy_if(group.voters, std::back_inserter(voters),
                             [&](NodeId node) { return node != group.leader; });
        out.push_back({group.group, std::move(voters), {}});
    }
    return out;
}

}  // namespace quorate::cluster
