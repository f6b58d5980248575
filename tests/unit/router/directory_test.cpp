#include "cluster/router/directory.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "proto/base/environment.h"
#include "proto/mqtt/topic.h"
#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

DirectoryOp loop_op(bool add, std::string filter, uint16_t loop) {
    DirectoryOp op;
    op.kind = add ? DirectoryOp::Kind::AddLoop : DirectoryOp::Kind::RemoveLoop;
    op.filter = std::move(filter);
    op.loop = LoopId(loop);
    return op;
}

DirectoryOp routes_op(std::string filter, std::vector<ShardRoute> shards,
                      std::vector<GroupRoute> groups = {}) {
    DirectoryOp op;
    op.kind = DirectoryOp::Kind::SetRoutes;
    op.filter = std::move(filter);
    op.shards = std::move(shards);
    op.groups = std::move(groups);
    return op;
}

Destinations match(const DirectoryTable& table, std::string_view topic) {
    Destinations out;
    CHECK(table.match(topic, out));
    return out;
}

TEST_CASE("A topic leads once to each destination of all its filters", "[R-4][directory]") {
    DirectoryTable table;
    table.apply(loop_op(true, "a/b", 0));
    table.apply(loop_op(true, "a/+", 63));
    table.apply(loop_op(true, "#", 63));
    table.apply(loop_op(true, "x", 5));
    table.apply(routes_op("a/b", {{ShardId(1), mqtt::QoS::AtMostOnce}}, {{ShardId(2), "g/a/b"}}));
    table.apply(routes_op(
        "a/#", {{ShardId(1), mqtt::QoS::ExactlyOnce}, {ShardId(4), mqtt::QoS::AtLeastOnce}},
        {{ShardId(2), "g/a/b"}, {ShardId(3), "h/a/#"}}));
    Destinations out = match(table, "a/b");
    std::ranges::sort(out.shards, {}, &ShardRoute::shard);
    std::ranges::sort(out.groups, {}, &GroupRoute::shard);
    CHECK(out.loops == ((uint64_t{1} << 63) | 1));
    CHECK(out.shards == std::vector<ShardRoute>{{ShardId(1), mqtt::QoS::ExactlyOnce},
                                                {ShardId(4), mqtt::QoS::AtLeastOnce}});
    CHECK(out.groups == std::vector<GroupRoute>{{ShardId(2), "g/a/b"}, {ShardId(3), "h/a/#"}});
    CHECK(out.replicated());
    out.clear();
    CHECK_FALSE(out.replicated());
    CHECK(out.loops == 0);
    CHECK(match(table, "$SYS/a").loops == 0);
}

TEST_CASE("A filter that leads nowhere any more is gone", "[directory]") {
    DirectoryTable table;
    table.apply(loop_op(true, "a", 1));
    table.apply(routes_op("a", {{ShardId(1), mqtt::QoS::AtLeastOnce}}));
    CHECK(table.filters() == 1);
    table.apply(loop_op(false, "a", 1));
    CHECK(match(table, "a").loops == 0);
    CHECK(match(table, "a").shards.size() == 1);
    table.apply(routes_op("a", {}));
    CHECK(table.filters() == 0);
    // What was never there can be removed.
    table.apply(loop_op(false, "b/+", 1));
    table.apply(routes_op("b/+", {}));
    CHECK(table.filters() == 0);
}

TEST_CASE("The table answers as a list of all filters would", "[R-4][directory]") {
    const std::vector<std::string> levels = {"a", "b", "+", "#"};
    const std::vector<std::string> topics = {"a", "b", "a/a", "a/b", "b/a", "a/b/a", "b/b/b"};
    std::vector<std::string> filters;
    for (const std::string& first : levels) {
        filters.push_back(first);
        if (first == "#") continue;
        for (const std::string& second : levels) {
            filters.push_back(first + "/" + second);
            if (second != "#") filters.push_back(first + "/" + second + "/#");
        }
    }
    DirectoryTable table;
    std::map<std::string, std::set<uint16_t>> loops;
    std::map<std::string, std::vector<ShardRoute>> routes;
    Random random(5);
    for (int step = 0; step < 1000; ++step) {
        const std::string& filter = filters[random.below(filters.size())];
        const auto loop = static_cast<uint16_t>(random.below(6));
        if (random.chance(1, 3)) {
            std::vector<ShardRoute> shards;
            for (uint32_t shard = 0; shard < 3; ++shard) {
                if (random.chance(1, 2)) continue;
                shards.push_back({ShardId(shard), static_cast<mqtt::QoS>(random.below(3))});
            }
            table.apply(routes_op(filter, shards));
            routes[filter] = shards;
        } else if (random.chance(1, 2)) {
            table.apply(loop_op(true, filter, loop));
            loops[filter].insert(loop);
        } else {
            table.apply(loop_op(false, filter, loop));
            loops[filter].erase(loop);
        }
        const std::string& topic = topics[random.below(topics.size())];
        uint64_t mask = 0;
        std::map<ShardId, mqtt::QoS> best;
        for (const std::string& each : filters) {
            if (!mqtt::filter_matches(each, topic)) continue;
            for (const uint16_t bit : loops[each])
                mask |= uint64_t{1} << bit;
            for (const ShardRoute& route : routes[each])
                best[route.shard] = std::max(best[route.shard], route.best_qos);
        }
        const Destinations out = match(table, topic);
        REQUIRE(out.loops == mask);
        std::map<ShardId, mqtt::QoS> found;
        for (const ShardRoute& route : out.shards)
            found[route.shard] = route.best_qos;
        REQUIRE(found == best);
        REQUIRE(found.size() == out.shards.size());
    }
    std::size_t used = 0;
    for (const std::string& filter : filters)
        used += loops[filter].empty() && routes[filter].empty() ? 0U : 1U;
    CHECK(table.filters() == used);
}

// Every filter of so many levels, each `a` or `+`: a topic of `a` visits them all.
void branch(DirectoryTable& table, std::size_t levels) {
    for (uint32_t filter = 0; filter < 1U << levels; ++filter) {
        std::string text;
        for (std::size_t level = 0; level < levels; ++level)
            text += (filter >> level & 1U) != 0 ? "/+" : "/a";
        table.apply(loop_op(true, text.substr(1), static_cast<uint16_t>(filter % 64)));
    }
}

TEST_CASE("A match cut off at its step limit says so, and can be had whole", "[R-1][directory]") {
    constexpr std::size_t kLevels = 18;
    std::string topic = "a";
    for (std::size_t level = 1; level < kLevels; ++level)
        topic += "/a";
    DirectoryTable table;
    branch(table, kLevels);
    table.apply(routes_op("#", {{ShardId(1), mqtt::QoS::AtLeastOnce}}));
    Destinations out;
    CHECK_FALSE(table.match(topic, out));
    Destinations whole;
    CHECK(table.match(topic, whole, DirectoryTable::kNoStepLimit));
    CHECK(whole.loops == UINT64_MAX);
    CHECK(whole.shards.size() == 1);
    // Sixteen levels cannot branch far enough.
    CHECK(table.match(topic.substr(0, 2 * 16 - 1), out));
}

// Waits for a number that another thread raises.
bool reaches(const std::atomic<uint64_t>& number, uint64_t target) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (number.load(std::memory_order_acquire) < target) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::yield();
    }
    return true;
}

TEST_CASE("A change is told as shown when no reader is left in the older table",
          "[R-4][R-10][directory]") {
    Directory directory(2);
    auto slow = directory.reader(0);
    auto quick = directory.reader(1);
    Destinations out;
    CHECK(slow.pin().match("a", out));
    CHECK(out.loops == 0);
    std::atomic<uint64_t> shown{0};
    directory.change({loop_op(true, "a", 3)}, [&shown] { ++shown; });
    // Readers that pin now get it as soon as it is published; it is not shown while one has not.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (out.loops == 0 && std::chrono::steady_clock::now() < deadline) {
        CHECK(quick.pin().match("a", out));
        quick.unpin();
        std::this_thread::yield();
    }
    CHECK(out.loops == 8);
    CHECK(shown == 0);
    out.clear();
    CHECK(slow.pin().match("a", out));
    CHECK(out.loops == 0);
    slow.unpin();
    CHECK(reaches(shown, 1));
    CHECK(slow.pin().match("a", out));
    CHECK(out.loops == 8);
    slow.unpin();
    CHECK(directory.filters() == 1);
    directory.stop();
    directory.stop();
}

TEST_CASE("Every change of many threads is shown, in the order of its caller", "[R-4][directory]") {
    constexpr uint16_t kThreads = 3;
    constexpr uint64_t kChanges = 200;
    Directory directory(kThreads);
    std::atomic<uint64_t> wrong{0};
    std::atomic<uint64_t> late{0};
    std::vector<std::thread> threads;
    for (uint16_t index = 0; index < kThreads; ++index) {
        threads.emplace_back([&, index] {
            auto reader = directory.reader(index);
            std::atomic<uint64_t> shown{0};
            const std::string topic = "t/" + std::to_string(index);
            for (uint64_t change = 0; change < kChanges; ++change) {
                const bool add = change % 2 == 0;
                directory.change({loop_op(!add, topic, index), loop_op(add, topic, index)},
                                 [&shown] { shown.fetch_add(1, std::memory_order_release); });
                if (!reaches(shown, change + 1)) ++late;
                Destinations out;
                if (!reader.pin().match(topic, out)) ++wrong;
                if ((out.loops != 0) != add) ++wrong;
                reader.unpin();
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(wrong == 0);
    CHECK(late == 0);
    CHECK(directory.filters() == 0);
}

}  // namespace
}  // namespace quorate::cluster
