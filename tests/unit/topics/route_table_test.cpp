#include "cluster/topics/route_table.h"

#include <set>

#include "cluster/topics/route_records.h"
#include "proto/base/environment.h"
#include "storage/memory_stores.h"
#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

const Incarnation kNode = make_incarnation(NodeId(2), 1);

TEST_CASE("An older change never beats a newer one", "[R-4]") {
    RouteTable table;
    const Destination shard = Destination::to_shard(ShardId(1));
    CHECK(table.change({"a", shard, mqtt::QoS::AtLeastOnce, false, RouteSerial(5)}));
    CHECK_FALSE(table.change({"a", shard, mqtt::QoS::AtLeastOnce, true, RouteSerial(4)}));
    CHECK_FALSE(table.change({"a", shard, mqtt::QoS::ExactlyOnce, false, RouteSerial(5)}));
    CHECK(table.size() == 1);
    CHECK(table.change({"a", shard, mqtt::QoS::AtLeastOnce, true, RouteSerial(6)}));
    CHECK_FALSE(table.change({"a", shard, mqtt::QoS::AtLeastOnce, true, RouteSerial(6)}));
    CHECK(table.size() == 0);
}

TEST_CASE("Routes to a node go in bounded steps and leave the others") {
    RouteTable table;
    for (int i = 0; i < 5; ++i) {
        const std::string filter = "f/" + std::to_string(i);
        table.change({filter, Destination::to_node(kNode), {}, false, RouteSerial(1)});
        table.change({filter, Destination::to_shard(ShardId(3)), {}, false, RouteSerial(1)});
    }
    std::set<std::string> removed;
    const auto note = [&removed](std::string_view filter, const RouteEntry&) {
        removed.emplace(filter);
    };
    CHECK(table.nodes() == std::vector<Incarnation>{kNode});
    CHECK(table.remove_node(kNode, 3, note));
    CHECK(removed.size() == 3);
    CHECK_FALSE(table.remove_node(kNode, 3, note));
    CHECK(removed.size() == 5);
    CHECK(table.size() == 5);
    CHECK(table.nodes().empty());
}

TEST_CASE("A match visits the routes of every matching filter") {
    RouteTable table;
    table.change({"a/b", Destination::to_shard(ShardId(1)), {}, false, RouteSerial(1)});
    table.change({"a/+", Destination::to_shard(ShardId(2)), {}, false, RouteSerial(1)});
    table.change({"c", Destination::to_shard(ShardId(3)), {}, false, RouteSerial(1)});
    std::set<uint32_t> shards;
    table.match("a/b", [&](const RouteEntry& e) { shards.insert(e.destination.shard.value()); });
    CHECK(shards == std::set<uint32_t>{1, 2});
}

TEST_CASE("Records bring the table back; damaged ones are an error") {
    RouteTable table;
    storage::MemoryStateStore store;
    storage::StateBatch batch;
    Random random(5);
    for (uint64_t i = 1; i < 200; ++i) {
        const std::string filter = "f/" + std::to_string(random.below(20));
        const Destination to =
            Destination::to_shard(ShardId(static_cast<uint32_t>(random.below(5))));
        const bool remove = random.chance(1, 3);
        if (!table.change({filter, to, mqtt::QoS::AtLeastOnce, remove, RouteSerial(i)})) continue;
        if (remove) {
            remove_route(batch, filter, to);
        } else {
            put_route(batch, filter, {to, mqtt::QoS::AtLeastOnce, RouteSerial(i)});
        }
    }
    REQUIRE(store.write(batch).ok());
    RouteTable again;
    REQUIRE(load_routes(store, again).ok());
    std::string one;
    std::string two;
    table.for_each([&one](auto f, const RouteEntry& e) {
        one += std::string(f) + std::to_string(e.serial.value()) + " ";
    });
    again.for_each([&two](auto f, const RouteEntry& e) {
        two += std::string(f) + std::to_string(e.serial.value()) + " ";
    });
    CHECK(one == two);
    CHECK(load_route("k", "garbage", again).error().code == ErrorCode::Corrupt);
}

}  // namespace
}  // namespace quorate::cluster
