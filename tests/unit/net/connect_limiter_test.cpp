#include "broker/net/connect_limiter.h"

#include <chrono>
#include <cstdint>

#include "tests/unit/catch.h"

using namespace std::chrono_literals;
using quorate::broker::ConnectLimiter;
using quorate::broker::PeerAddress;

namespace {

PeerAddress address(PeerAddress::Family family, uint8_t network, uint8_t host) {
    PeerAddress peer;
    peer.family = family;
    peer.bytes[3] = network;
    peer.bytes[15] = host;
    return peer;
}

}  // namespace

TEST_CASE("a loop lets in a second's worth at once and then the rate") {
    ConnectLimiter limiter({.per_loop = 10, .per_address = 0}, 1);
    std::chrono::nanoseconds now = 100s;
    int admitted = 0;
    for (; limiter.loop_ready(now); ++admitted)
        limiter.count_loop(now);
    CHECK(admitted == 10);
    now += 99ms;
    CHECK_FALSE(limiter.loop_ready(now));
    now += 1ms;
    CHECK(limiter.loop_ready(now));
    limiter.count_loop(now);
    CHECK_FALSE(limiter.loop_ready(now));
}

TEST_CASE("an address has its own limit, an IPv6 network shares one") {
    using Family = PeerAddress::Family;
    ConnectLimiter limiter({.per_loop = 0, .per_address = 2}, 1);
    std::chrono::nanoseconds now = 100s;
    CHECK(limiter.admit(address(Family::V4, 1, 0), now));
    CHECK(limiter.admit(address(Family::V4, 1, 0), now));
    CHECK_FALSE(limiter.admit(address(Family::V4, 1, 0), now));
    CHECK(limiter.admit(address(Family::V4, 2, 0), now));
    CHECK(limiter.admit(address(Family::V6, 9, 1), now));
    CHECK(limiter.admit(address(Family::V6, 9, 2), now));
    CHECK_FALSE(limiter.admit(address(Family::V6, 9, 3), now));
    CHECK(limiter.admit(address(Family::V4, 1, 0), now + 500ms));
}

TEST_CASE("no limit means none") {
    ConnectLimiter limiter({.per_loop = 0, .per_address = 0}, 1);
    for (int i = 0; i < 100'000; ++i) {
        REQUIRE(limiter.loop_ready(0ns));
        limiter.count_loop(0ns);
        REQUIRE(limiter.admit(address(PeerAddress::Family::V4, 1, 1), 0ns));
    }
}

TEST_CASE("a rate of ten a minute lets ten in at once and then one in six seconds") {
    ConnectLimiter limiter({.per_loop = 10,
                            .per_address = 10,
                            .loop_period = std::chrono::minutes(1),
                            .address_period = std::chrono::minutes(1)},
                           1);
    const PeerAddress peer = address(PeerAddress::Family::V4, 1, 1);
    for (int i = 0; i < 10; ++i) {
        REQUIRE(limiter.loop_ready(1s));
        limiter.count_loop(1s);
        REQUIRE(limiter.admit(peer, 1s));
    }
    CHECK_FALSE(limiter.loop_ready(6s));
    CHECK_FALSE(limiter.admit(peer, 6s));
    CHECK(limiter.loop_ready(8s));
    CHECK(limiter.admit(peer, 8s));
}

TEST_CASE("limits that change count for what comes next") {
    ConnectLimiter limiter({.per_loop = 0, .per_address = 0}, 1);
    const PeerAddress peer = address(PeerAddress::Family::V4, 1, 1);
    limiter.set_limits({.per_loop = 1, .per_address = 1});
    limiter.count_loop(1s);
    CHECK_FALSE(limiter.loop_ready(1s));
    CHECK(limiter.admit(peer, 1s));
    CHECK_FALSE(limiter.admit(peer, 1s));
    limiter.set_limits({.per_loop = 0, .per_address = 0});
    CHECK(limiter.loop_ready(1s));
    CHECK(limiter.admit(peer, 1s));
}
