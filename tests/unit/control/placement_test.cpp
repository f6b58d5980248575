#include "cluster/control/placement.h"

#include <algorithm>
#include <map>

#include "cluster/group/group_ids.h"
#include "proto/base/environment.h"
#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

std::vector<NodeId> nodes(uint32_t count) {
    std::vector<NodeId> out;
    for (uint32_t node = 1; node <= count; ++node)
        out.emplace_back(node);
    return out;
}

GroupId shard(uint32_t index) {
    return group_of(ShardId(index));
}

TEST_CASE("The weights never change: they are part of what clusters have agreed on") {
    CHECK(placement_weight(shard(0), NodeId(1)) == 0xd5747ce0f43bce1c);
    CHECK(placement_weight(shard(511), NodeId(1024)) == 0x2be1838d31129480);
}

TEST_CASE("Voters are the largest odd number that neither nodes nor replication exceed") {
    CHECK(voters_for(3, 0) == 0);
    CHECK(voters_for(3, 1) == 1);
    CHECK(voters_for(3, 2) == 1);
    CHECK(voters_for(3, 3) == 3);
    CHECK(voters_for(3, 9) == 3);
    CHECK(voters_for(5, 4) == 3);
    CHECK(voters_for(4, 9) == 3);
    CHECK(voters_for(1, 9) == 1);
}

TEST_CASE("Every node owns about its share, and leads its share to within one") {
    for (const uint32_t shards : {64U, 512U}) {
        for (uint32_t count = 1; count <= 9; ++count) {
            INFO(shards << " shards on " << count << " nodes");
            std::map<NodeId, uint32_t> owned;
            std::map<NodeId, uint32_t> led;
            for (const FoundingGroup& group : founding_groups(count, 3, shards)) {
                if (!shard_of_group(group.group)) continue;
                for (const NodeId node : group.voters)
                    ++owned[node];
                ++led[group.voters.front()];
            }
            const double share = static_cast<double>(shards) * voters_for(3, count) / count;
            const double spread = shards == 64 ? 0.45 : 0.2;
            for (const NodeId node : nodes(count)) {
                CHECK(owned[node] >= share * (1 - spread));
                CHECK(owned[node] <= share * (1 + spread));
                if (voters_for(3, count) == 1) continue;  // no choice
                CHECK(led[node] >= shards / count);
                CHECK(led[node] <= (shards + count - 1) / count);
            }
        }
    }
}

TEST_CASE("Two nodes with one copy of each shard lead what they own: nothing else is possible") {
    const auto groups = founding_groups(2, 3, 64);
    for (const FoundingGroup& group : groups)
        CHECK(group.voters.size() == 1);
}

TEST_CASE("A node more moves about its share to itself, and nothing between the others") {
    Random random(1);
    for (int round = 0; round < 200; ++round) {
        std::vector<NodeId> before;
        const uint64_t count = 1 + random.below(9);
        while (before.size() < count) {
            const NodeId node(static_cast<uint32_t>(1 + random.below(1'000)));
            if (std::ranges::find(before, node) == before.end()) before.push_back(node);
        }
        const NodeId added(2'000 + static_cast<uint32_t>(round));
        std::vector<NodeId> after = before;
        after.push_back(added);
        uint32_t moved = 0;
        for (uint32_t i = 0; i < 512; ++i) {
            const auto now = owners(shard(i), before, 3);
            const auto then = owners(shard(i), after, 3);
            const bool gained = std::ranges::find(then, added) != then.end();
            if (gained) ++moved;
            for (const NodeId node : then) {
                if (node != added) CHECK(std::ranges::find(now, node) != now.end());
            }
            if (!gained) CHECK(now == then);
        }
        const double share = 512.0 * std::min<double>(3, static_cast<double>(after.size())) /
                             static_cast<double>(after.size());
        CHECK(moved >= share * 0.7);
        CHECK(moved <= share * 1.3);
    }
}

TEST_CASE("The order in which nodes are named changes nothing") {
    Random random(2);
    std::vector<NodeId> shuffled = nodes(9);
    const auto expected = owners(shard(3), shuffled, 9);
    for (int round = 0; round < 100; ++round) {
        for (std::size_t i = shuffled.size(); i > 1; --i)
            std::swap(shuffled[i - 1], shuffled[random.below(i)]);
        CHECK(owners(shard(3), shuffled, 9) == expected);
    }
}

TEST_CASE("Leaders stay where they are as far as balance allows, and none is nobody's voter") {
    std::vector<LedGroup> groups;
    for (uint32_t i = 0; i < 64; ++i)
        groups.push_back({shard(i), owners(shard(i), nodes(3), 3), {}});
    balance_leaders(groups, nodes(3));
    auto again = groups;
    balance_leaders(again, nodes(3));
    for (std::size_t i = 0; i < groups.size(); ++i)
        CHECK(again[i].leader == groups[i].leader);
    // Node 3 may not lead: only what it led goes elsewhere.
    balance_leaders(again, nodes(2));
    std::map<NodeId, int> led;
    int moved = 0;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        ++led[again[i].leader];
        if (again[i].leader != groups[i].leader) ++moved;
    }
    CHECK(led[NodeId(1)] == 32);
    CHECK(led[NodeId(2)] == 32);
    CHECK(moved <= 22);
    // Nobody may lead: the heaviest voter is named all the same.
    std::vector<LedGroup> lone{{shard(1), {NodeId(5)}, {}}};
    balance_leaders(lone, nodes(2));
    CHECK(lone.front().leader == NodeId(5));
}

}  // namespace
}  // namespace quorate::cluster
