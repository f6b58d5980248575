#include "cluster/sessions/shared_dispatcher.h"
#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

Destination session(uint64_t id) {
    return Destination::to_session(ShardId(0), SessionId(id));
}

std::vector<GroupMember> members(uint64_t count) {
    std::vector<GroupMember> out;
    for (uint64_t i = 1; i <= count; ++i) {
        out.push_back({session(i), mqtt::QoS::AtLeastOnce, RouteSerial(i)});
    }
    return out;
}

SharedDispatcher dispatcher(SharedStrategy strategy, uint64_t count, uint32_t credit) {
    SharedDispatcher out(strategy, 7);
    out.set_members(members(count));
    for (uint64_t i = 1; i <= count; ++i)
        out.set_credit(session(i), credit);
    return out;
}

uint64_t picked(SharedDispatcher& from, const SharedMessage& message = {}) {
    const auto member = from.pick(message);
    return member ? member->member.session.value() : 0;
}

TEST_CASE("Round robin goes round and passes over a member without credit", "[MQTT-4.8.2-3]") {
    auto group = dispatcher(SharedStrategy::RoundRobin, 3, 2);
    CHECK(picked(group) == 1);
    CHECK(picked(group) == 2);
    CHECK(picked(group) == 3);
    group.set_credit(session(1), 0);
    CHECK(picked(group) == 2);
    CHECK(picked(group) == 3);
    CHECK(picked(group) == 0);
    group.unpick(session(3));
    CHECK(picked(group) == 3);
}

TEST_CASE("Connected members come before those that are away, each in turn") {
    auto group = dispatcher(SharedStrategy::RoundRobin, 4, 100);
    group.all_durable_away();
    CHECK(picked(group) == 1);
    CHECK(picked(group) == 2);
    group.set_connected(session(1), true);
    group.set_connected(session(4), true);
    CHECK(picked(group) == 4);
    CHECK(picked(group) == 1);
    CHECK(picked(group) == 4);
    group.set_credit(session(1), 0);
    group.set_credit(session(4), 0);
    CHECK(picked(group) == 2);
    CHECK(picked(group) == 3);
}

TEST_CASE("A member that is away with QoS 0 gets QoS 1 only when there is nobody else") {
    SharedDispatcher group(SharedStrategy::RoundRobin, 7);
    const std::vector<GroupMember> two = {
        {session(1), mqtt::QoS::AtMostOnce, RouteSerial(1)},
        {session(2), mqtt::QoS::AtLeastOnce, RouteSerial(2)},
    };
    group.set_members(two);
    group.set_credit(session(1), 100);
    group.set_credit(session(2), 1);
    group.all_durable_away();
    CHECK(picked(group) == 2);
    CHECK(picked(group) == 0);  // the other is only out of credit
    CHECK(picked(group, {0, 0, mqtt::QoS::AtMostOnce}) == 1);
    group.set_members({two.data(), 1});
    CHECK(picked(group) == 1);
    group.set_connected(session(1), true);
    CHECK(picked(group) == 1);
}

TEST_CASE("Hash strategies keep a publisher or a topic with its member") {
    auto by_client = dispatcher(SharedStrategy::HashClientId, 3, 100);
    auto by_topic = dispatcher(SharedStrategy::HashTopic, 3, 100);
    for (uint64_t i = 0; i < 30; ++i) {
        CHECK(picked(by_client, {i % 3, i}) == i % 3 + 1);
        CHECK(picked(by_topic, {i, i % 3}) == i % 3 + 1);
    }
    by_client.set_credit(session(2), 0);
    CHECK(picked(by_client, {1, 0}) == 3);
}

TEST_CASE("Sticky stays with a member until it has no credit or leaves") {
    auto group = dispatcher(SharedStrategy::Sticky, 3, 3);
    const uint64_t first = picked(group);
    CHECK(picked(group) == first);
    CHECK(picked(group) == first);
    const uint64_t second = picked(group);
    CHECK(second != first);
    CHECK(picked(group) == second);
    auto left = members(3);
    std::erase_if(left, [&](const GroupMember& m) { return m.member == session(second); });
    group.set_members(left);
    CHECK(picked(group) != second);
}

TEST_CASE("Random reaches everybody and is the same for the same seed") {
    auto one = dispatcher(SharedStrategy::Random, 4, 1000);
    auto two = dispatcher(SharedStrategy::Random, 4, 1000);
    std::vector<int> counts(5);
    for (int i = 0; i < 1000; ++i) {
        const uint64_t member = picked(one);
        CHECK(member == picked(two));
        ++counts[member];
    }
    for (std::size_t i = 1; i <= 4; ++i)
        CHECK(counts[i] > 150);
}

TEST_CASE("Credit of those that stay outlives a change of members") {
    auto group = dispatcher(SharedStrategy::RoundRobin, 2, 5);
    auto next = members(3);
    next.erase(next.begin());
    group.set_members(next);
    CHECK(group.members() == 2);
    CHECK(group.credit(session(1)) == 0);
    CHECK(group.credit(session(2)) == 5);
    CHECK(group.credit(session(3)) == 0);
}

TEST_CASE("Nobody is picked where nobody is or gives credit") {
    SharedDispatcher group(SharedStrategy::Random, 1);
    CHECK_FALSE(group.pick({}).has_value());
    group.set_members(members(2));
    CHECK_FALSE(group.pick({}).has_value());
}

}  // namespace
}  // namespace quorate::cluster
