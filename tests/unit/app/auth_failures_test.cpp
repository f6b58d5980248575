#include "broker/app/auth_failures.h"

#include <string>

#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

PeerAddress address(uint8_t last, PeerAddress::Family family = PeerAddress::Family::V4) {
    PeerAddress peer;
    peer.family = family;
    peer.bytes[family == PeerAddress::Family::V4 ? 3 : 15] = last;
    return peer;
}

TEST_CASE("So many failures are let through, then attempts are refused until time has passed") {
    AuthFailures failures(1);
    failures.set_rate(3, minutes(1));
    milliseconds now{1'000'000};
    for (int i = 0; i < 3; ++i) {
        CHECK_FALSE(failures.banned("u", address(1), now));
        failures.failed("u", address(1), now);
    }
    CHECK(failures.banned("u", address(1), now));
    CHECK(failures.banned("u", address(1), now + milliseconds(19'999)));
    CHECK_FALSE(failures.banned("u", address(1), now + milliseconds(20'000)));
    now += milliseconds(20'000);
    failures.failed("u", address(1), now);
    CHECK(failures.banned("u", address(1), now));
    CHECK_FALSE(failures.banned("u", address(1), now + minutes(1)));
}

TEST_CASE("Others are not banned with one user of one address") {
    AuthFailures failures(1);
    failures.set_rate(1, minutes(1));
    const milliseconds now{5};
    failures.failed("u", address(1), now);
    CHECK(failures.banned("u", address(1), now));
    CHECK_FALSE(failures.banned("v", address(1), now));
    CHECK_FALSE(failures.banned("u", address(2), now));
}

TEST_CASE("An IPv6 customer does not get another chance with another address of his network") {
    AuthFailures failures(1);
    failures.set_rate(1, minutes(1));
    failures.failed("u", address(1, PeerAddress::Family::V6), milliseconds(5));
    CHECK(failures.banned("u", address(2, PeerAddress::Family::V6), milliseconds(5)));
}

TEST_CASE("Without a rate nobody is banned") {
    AuthFailures failures(1);
    for (const bool was_set : {false, true}) {
        if (was_set) failures.set_rate(0, minutes(1));
        for (int i = 0; i < 100; ++i)
            failures.failed("u", address(1), milliseconds(5));
        CHECK_FALSE(failures.banned("u", address(1), milliseconds(5)));
    }
}

}  // namespace
}  // namespace quorate::broker
