#include "broker/app/desks/replay_schedule.h"

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

using Then = ReplaySchedule::Then;
using Who = ReplaySchedule::Who;

ReplaySchedule::Replay replay(const std::string& filter, uint32_t subscription_id = 0) {
    ReplaySchedule::Replay out;
    out.entry.filter = filter;
    out.subscription_id = subscription_id;
    return out;
}

// Asks for pages as long as it may; their tokens are the numbers of the clients' slots.
std::vector<uint32_t> ask(ReplaySchedule& schedule, uint32_t pages_max) {
    std::vector<uint32_t> slots;
    while (const auto who = schedule.next(pages_max)) {
        schedule.ask(*who, who->slot);
        slots.push_back(who->slot);
    }
    return slots;
}

void arrive(ReplaySchedule& schedule, uint64_t token, Then then) {
    Who who;
    REQUIRE(schedule.arrived(token, who) != nullptr);
    schedule.settle(who, then);
}

using Slots = std::vector<uint32_t>;

TEST_CASE("Clients take turns page by page, however many replays one of them has") {
    ReplaySchedule schedule;
    for (int i = 0; i < 100; ++i)
        schedule.add({1, 1}, replay("a/" + std::to_string(i)));
    CHECK(ask(schedule, 1) == Slots{1});
    schedule.add({2, 1}, replay("b"));
    arrive(schedule, 1, Then::GoOn);
    CHECK(ask(schedule, 1) == Slots{2});
    arrive(schedule, 2, Then::GoOn);
    CHECK(ask(schedule, 1) == Slots{1});
    arrive(schedule, 1, Then::Done);
    CHECK(ask(schedule, 1) == Slots{2});
}

TEST_CASE("A client has one page under way at a time") {
    ReplaySchedule schedule;
    schedule.add({1, 1}, replay("a"));
    schedule.add({1, 1}, replay("b"));
    CHECK(ask(schedule, 16) == Slots{1});
    CHECK(schedule.front({1, 1})->entry.filter == "a");
    arrive(schedule, 1, Then::Done);
    CHECK(ask(schedule, 16) == Slots{1});
    CHECK(schedule.front({1, 1})->entry.filter == "b");
}

TEST_CASE("A client waits with at most one replay of a filter that has not begun",
          "[MQTT-3.8.4-3]") {
    ReplaySchedule schedule;
    for (uint32_t i = 0; i < 1000; ++i) {
        schedule.add({1, 1}, replay("a", i));
        if (i == 0) CHECK(ask(schedule, 1) == Slots{1});
    }
    CHECK(schedule.replays() == 2);  // the one that has begun, and the last
    arrive(schedule, 1, Then::Done);
    CHECK(schedule.front({1, 1})->subscription_id == 999);
}

TEST_CASE("A client that waits for room holds up nobody and goes on when woken") {
    ReplaySchedule schedule;
    schedule.add({1, 1}, replay("a"));
    schedule.add({2, 1}, replay("b"));
    CHECK(ask(schedule, 1) == Slots{1});
    arrive(schedule, 1, Then::Wait);
    CHECK(ask(schedule, 1) == Slots{2});
    arrive(schedule, 2, Then::GoOn);
    CHECK(ask(schedule, 1) == Slots{2});
    schedule.wake({1, 1});
    schedule.wake({1, 1});
    arrive(schedule, 2, Then::GoOn);
    CHECK(ask(schedule, 1) == Slots{1});
    CHECK(schedule.waiting().empty());
}

TEST_CASE("A page that comes after the subscription has ended is nobody's", "[MQTT-3.10.4-2]") {
    ReplaySchedule schedule;
    schedule.add({1, 1}, replay("a"));
    CHECK(ask(schedule, 1) == Slots{1});
    schedule.cancel({1, 1}, "a");
    // A new subscription of the filter begins anew.
    schedule.add({1, 1}, replay("a", 7));
    Who who;
    CHECK(schedule.arrived(1, who) == nullptr);
    CHECK(ask(schedule, 1) == Slots{1});
    CHECK(schedule.front({1, 1})->subscription_id == 7);
}

TEST_CASE("A replay that waits for its turn or for room ends with its subscription",
          "[MQTT-3.10.4-2]") {
    ReplaySchedule schedule;
    schedule.add({1, 1}, replay("a"));
    schedule.add({1, 1}, replay("b"));
    CHECK(ask(schedule, 1) == Slots{1});
    arrive(schedule, 1, Then::Wait);
    schedule.cancel({1, 1}, "a");
    CHECK(ask(schedule, 1) == Slots{1});
    CHECK(schedule.front({1, 1})->entry.filter == "b");
    schedule.cancel({1, 1}, "b");
    Who who;
    CHECK(schedule.arrived(1, who) == nullptr);
    CHECK(schedule.replays() == 0);
    schedule.cancel({1, 1}, "b");
    CHECK(schedule.front({1, 1}) == nullptr);
}

TEST_CASE("What is left of a client that has gone takes a page's place until the page has come") {
    ReplaySchedule schedule;
    schedule.add({1, 1}, replay("a"));
    schedule.add({2, 1}, replay("b"));
    CHECK(ask(schedule, 1) == Slots{1});
    schedule.drop({1, 1});
    schedule.add({1, 2}, replay("c"));  // the next client in the slot
    CHECK(ask(schedule, 1).empty());
    Who who;
    CHECK(schedule.arrived(1, who) == nullptr);
    CHECK(schedule.arrived(1, who) == nullptr);
    CHECK(ask(schedule, 2) == Slots{2, 1});
}

}  // namespace
}  // namespace quorate::broker
