#include "broker/app/time_wheel.h"

#include <map>

#include "proto/base/environment.h"
#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

using std::chrono::milliseconds;

std::vector<uint32_t> due(TimeWheel& wheel, milliseconds now) {
    std::vector<uint32_t> out;
    wheel.advance(now, [&out](TimeWheel::Entry entry) { out.push_back(entry.slot); });
    return out;
}

TEST_CASE("An entry is looked at when its time has passed, not before, and once") {
    TimeWheel wheel(milliseconds(500));
    wheel.put({7, 3}, milliseconds(2300));
    CHECK(due(wheel, milliseconds(2299)).empty());
    CHECK(due(wheel, milliseconds(2999)).empty());
    uint32_t generation = 0;
    wheel.advance(milliseconds(3000), [&](TimeWheel::Entry entry) {
        CHECK(entry.slot == 7);
        generation = entry.generation;
    });
    CHECK(generation == 3);
    CHECK(due(wheel, milliseconds(10'000)).empty());
}

TEST_CASE("What is due already is looked at within a second or so") {
    TimeWheel wheel(milliseconds(100'000));
    wheel.put({1, 0}, milliseconds(0));
    CHECK(due(wheel, milliseconds(100'999)).empty());
    CHECK(due(wheel, milliseconds(101'000)) == std::vector<uint32_t>{1});
}

TEST_CASE("What lies beyond the wheel is looked at early, never lost") {
    TimeWheel wheel(milliseconds(0));
    wheel.put({1, 0}, std::chrono::hours(20));
    CHECK(due(wheel, milliseconds(1'000'000)).empty());
    CHECK(due(wheel, milliseconds(1'100'000)) == std::vector<uint32_t>{1});
}

TEST_CASE("A visit may put its client again, and a late turn looks at all that was missed") {
    TimeWheel wheel(milliseconds(0));
    wheel.put({1, 0}, milliseconds(500));
    int visits = 0;
    const auto again = [&](TimeWheel::Entry entry) {
        ++visits;
        if (visits < 5) wheel.put(entry, milliseconds(visits * 1000 + 500));
    };
    wheel.advance(milliseconds(1'000), again);
    CHECK(visits == 1);
    wheel.advance(milliseconds(60'000), again);
    CHECK(visits == 5);
}

TEST_CASE("No entry is early by more than nothing or late by more than two seconds") {
    Random random(9);
    TimeWheel wheel(milliseconds(0));
    std::map<uint32_t, milliseconds> at;
    uint32_t next = 0;
    milliseconds now{0};
    uint64_t seen = 0;
    for (int step = 0; step < 2000; ++step) {
        const auto delay = milliseconds(static_cast<int64_t>(random.below(900'000)));
        at[next] = now + delay;
        wheel.put({next, 0}, now + delay);
        ++next;
        // At most a turn a second, as the loop's timer has it.
        now += milliseconds(static_cast<int64_t>(random.below(1000)));
        wheel.advance(now, [&](TimeWheel::Entry entry) {
            const auto found = at.find(entry.slot);
            REQUIRE(found != at.end());
            REQUIRE(found->second <= now);
            REQUIRE(now - found->second < milliseconds(3000));
            at.erase(found);
            ++seen;
        });
    }
    CHECK(seen > 0);
    CHECK(seen + at.size() == 2000);
    for (const auto& [slot, time] : at)
        CHECK(time + milliseconds(2000) > now);
}

}  // namespace
}  // namespace quorate::broker
