#include "broker/app/desks/route_cache.h"

#include "tests/unit/app/fake_port.h"
#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

struct Setup {
    LocalSubscriptions local;
    test::FakePort port{nullptr, LoopId(1)};
    RouteCache cache{local, port};

    void subscribe(std::string_view filter, uint32_t client) {
        LocalSubscriber subscriber;
        subscriber.client = client;
        local.add(filter, subscriber);
    }
};

TEST_CASE("Long topics that are not repeated hold a bounded amount of memory") {
    Setup setup;
    setup.subscribe("#", 1);
    const std::string level(4000, 'l');
    for (int i = 0; i < 5000; ++i)
        REQUIRE(setup.cache.plan(std::to_string(i) + level).local.size() == 1);
    CHECK(setup.cache.topic_bytes() <= 4U << 20);
    const RoutePlan& plan = setup.cache.plan("short");
    CHECK(plan.topic == "short");
    CHECK(plan.local.size() == 1);
}

TEST_CASE("A topic that was asked for is matched again only when a table changed") {
    Setup setup;
    setup.subscribe("a/+", 1);
    setup.port.route("a/#", {{ShardId(3), mqtt::QoS::AtLeastOnce}});
    for (int i = 0; i < 3; ++i) {
        const RoutePlan& plan = setup.cache.plan("a/b");
        CHECK(plan.topic == "a/b");
        CHECK(plan.local.size() == 1);
        CHECK(plan.remote.shards.size() == 1);
        CHECK(plan.commits);
    }
    CHECK(setup.port.matches == 1);
    setup.subscribe("#", 2);
    CHECK(setup.cache.plan("a/b").local.size() == 2);
    CHECK(setup.port.matches == 1);
    setup.port.route("a/#", {{ShardId(3), mqtt::QoS::AtMostOnce}});
    CHECK_FALSE(setup.cache.plan("a/b").commits);
    CHECK(setup.port.matches == 2);
    (void)setup.local.remove("a/+", 1);
    REQUIRE(setup.cache.plan("a/b").local.size() == 1);
    CHECK(setup.cache.plan("a/b").local[0].client == 2);
}

TEST_CASE("This loop is not among the others a topic leads to") {
    Setup setup;
    setup.port.loop_subscribes("a", 0);
    setup.port.loop_subscribes("a", 1);
    setup.port.loop_subscribes("a", 5);
    CHECK(setup.cache.plan("a").remote.loops == ((1U << 5) | 1U));
}

TEST_CASE("Who asks for this loop's subscribers alone makes no other match") {
    Setup setup;
    setup.subscribe("a", 1);
    setup.port.route("a", {{ShardId(0), mqtt::QoS::AtLeastOnce}});
    CHECK(setup.cache.local_plan("a").local.size() == 1);
    CHECK(setup.port.matches == 0);
    CHECK(setup.cache.plan("a").remote.shards.size() == 1);
    CHECK(setup.port.matches == 1);
}

TEST_CASE("More topics than places are answered as well as few") {
    Setup setup;
    setup.subscribe("t/7/+", 7);
    setup.subscribe("t/#", 1);
    setup.port.route("t/8/#", {{ShardId(8), mqtt::QoS::AtLeastOnce}});
    // Places are fewer than these topics, so that some share one.
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 12'000; ++i) {
            const std::string topic = "t/" + std::to_string(i % 10) + "/" + std::to_string(i);
            const RoutePlan& plan = setup.cache.plan(topic);
            REQUIRE(plan.topic == topic);
            REQUIRE(plan.local.size() == (i % 10 == 7 ? 2 : 1));
            REQUIRE(plan.remote.shards.size() == (i % 10 == 8 ? 1 : 0));
            REQUIRE(plan.commits == (i % 10 == 8));
        }
    }
}

TEST_CASE("Plans with very many targets are dropped, never wrong") {
    Setup setup;
    constexpr uint32_t kClients = 3000;
    for (uint32_t client = 0; client < kClients; ++client)
        setup.subscribe("t/#", client);
    for (int i = 0; i < 800; ++i) {
        const RoutePlan& plan = setup.cache.plan("t/" + std::to_string(i));
        REQUIRE(plan.local.size() == kClients);
    }
    CHECK(setup.cache.plan("t/0").local.size() == kClients);
}

}  // namespace
}  // namespace quorate::broker
