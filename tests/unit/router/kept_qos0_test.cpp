#include "cluster/router/leader/kept_qos0.h"

#include <string>

#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

KeptQos0::Message message(const std::string& text) {
    KeptQos0::Message out;
    out.flat = SharedBytes(as_bytes(text));
    return out;
}

std::string taken(KeptQos0& kept, SessionId session) {
    std::string out;
    for (const auto& each : kept.take(session))
        out += each.flat.text();
    return out;
}

constexpr SessionId kOne{1};
constexpr SessionId kTwo{2};

TEST_CASE("What is kept for a session comes back once and in order") {
    KeptQos0 kept({10, 1U << 20U});
    CHECK_FALSE(kept.holds(kOne));
    for (const char* text : {"a", "b", "c"})
        kept.keep(kOne, message(text));
    kept.keep(kTwo, message("z"));
    CHECK(kept.holds(kOne));
    CHECK(kept.messages() == 4);
    CHECK(taken(kept, kOne) == "abc");
    CHECK_FALSE(kept.holds(kOne));
    CHECK(taken(kept, kOne).empty());
    CHECK(kept.messages() == 1);
    CHECK(kept.dropped() == 0);
}

TEST_CASE("A full queue drops its oldest and counts it") {
    KeptQos0 kept({2, 1U << 20U});
    for (const char* text : {"a", "b", "c", "d"})
        kept.keep(kOne, message(text));
    CHECK(kept.dropped() == 2);
    CHECK(taken(kept, kOne) == "cd");
}

TEST_CASE("The bytes of all sessions are bounded, and one session cannot drop another's") {
    KeptQos0 kept({100, 10'000});
    kept.keep(kOne, message(std::string(6'000, 'x')));
    kept.keep(kTwo, message(std::string(6'000, 'y')));
    CHECK(kept.dropped() == 1);
    CHECK_FALSE(kept.holds(kTwo));
    kept.keep(kOne, message(std::string(7'000, 'z')));
    CHECK(kept.dropped() == 2);
    CHECK(taken(kept, kOne) == std::string(7'000, 'z'));
    CHECK(kept.bytes() == 0);
    kept.keep(kOne, message(std::string(20'000, 'x')));
    CHECK(kept.dropped() == 3);
    CHECK_FALSE(kept.holds(kOne));
    CHECK(kept.bytes() == 0);
}

TEST_CASE("With a bound of no messages nothing is kept") {
    KeptQos0 kept({0, 10'000});
    kept.keep(kOne, message("a"));
    CHECK_FALSE(kept.holds(kOne));
    CHECK(kept.dropped() == 1);
}

TEST_CASE("The end of a session is the end of its queue") {
    KeptQos0 kept({10, 10'000});
    kept.keep(kOne, message("a"));
    kept.ended(kOne);
    CHECK_FALSE(kept.holds(kOne));
    CHECK(kept.messages() == 0);
    kept.keep(kOne, message("a"));
    kept.clear();
    CHECK(kept.bytes() == 0);
}

}  // namespace
}  // namespace quorate::cluster
