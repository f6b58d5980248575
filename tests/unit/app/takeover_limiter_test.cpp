#include "broker/app/desks/takeover_limiter.h"

#include <atomic>
#include <thread>
#include <vector>

#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

TEST_CASE("So many takeovers of an identifier come at once, then one each part of the period") {
    TakeoverLimiter limiter;
    const milliseconds now{1'000'000};
    for (int i = 0; i < 10; ++i)
        CHECK(limiter.take(7, 10, minutes(1), now));
    CHECK_FALSE(limiter.take(7, 10, minutes(1), now));
    CHECK(limiter.take(8, 10, minutes(1), now));
    CHECK_FALSE(limiter.take(7, 10, minutes(1), now + milliseconds(5'999)));
    CHECK(limiter.take(7, 10, minutes(1), now + milliseconds(6'000)));
    CHECK_FALSE(limiter.take(7, 10, minutes(1), now + milliseconds(6'000)));
}

TEST_CASE("Several loops share what is allowed to an identifier") {
    TakeoverLimiter limiter;
    std::atomic<int> allowed{0};
    std::vector<std::thread> loops;
    for (int i = 0; i < 4; ++i) {
        loops.emplace_back([&] {
            for (int k = 0; k < 1'000; ++k)
                allowed += limiter.take(7, 10, minutes(1), milliseconds(5)) ? 1 : 0;
        });
    }
    for (std::thread& loop : loops)
        loop.join();
    CHECK(allowed == 10);
}

TEST_CASE("Without a limit every takeover is allowed, and nothing is kept") {
    TakeoverLimiter limiter;
    for (int i = 0; i < 100; ++i)
        CHECK(limiter.take(7, 0, minutes(1), milliseconds(5)));
}

TEST_CASE("More identifiers than are kept are all allowed") {
    TakeoverLimiter limiter;
    for (uint64_t client = 0; client < 200'000; ++client)
        REQUIRE(limiter.take(client, 1, minutes(1), milliseconds(5)));
}

}  // namespace
}  // namespace quorate::broker
