// What holds a publisher back: unacknowledged messages, and messages not yet received.
#include <vector>

#include "bench/load/ack_window.h"
#include "bench/load/publisher.h"
#include "tests/unit/catch.h"

using quorate::bench::Ack;
using quorate::bench::AckOutcome;
using quorate::bench::AckWindow;
using quorate::bench::Nanos;
using quorate::bench::PacketType;
using quorate::bench::Receipts;

TEST_CASE("QoS 1 messages take a place until PUBACK") {
    AckWindow window(1, 2);
    Nanos latency{0};
    CHECK(window.begin(0, Nanos(100)) == 1);
    CHECK(window.begin(1, Nanos(110)) == 2);
    CHECK_FALSE(window.has_room());
    CHECK(window.on_ack(PacketType::puback, Ack{1, 0}, Nanos(150), latency) == AckOutcome::done);
    CHECK(latency == Nanos(50));
    CHECK(window.has_room());
    CHECK(window.unacknowledged() == 1);
    CHECK(window.lowest_unacknowledged(2) == 1);
}

TEST_CASE("QoS 2 messages take a place until PUBCOMP") {
    AckWindow window(2, 1);
    Nanos latency{0};
    CHECK(window.begin(0, Nanos(0)) == 1);
    CHECK(window.on_ack(PacketType::pubcomp, Ack{1, 0}, Nanos(1), latency) == AckOutcome::stray);
    CHECK(window.on_ack(PacketType::pubrec, Ack{1, 0}, Nanos(1), latency) == AckOutcome::release);
    CHECK_FALSE(window.has_room());
    CHECK(window.lowest_unacknowledged(1) == 1);
    CHECK(window.on_ack(PacketType::pubrec, Ack{1, 0}, Nanos(1), latency) == AckOutcome::stray);
    CHECK(window.on_ack(PacketType::pubcomp, Ack{1, 0}, Nanos(9), latency) == AckOutcome::done);
    CHECK(window.has_room());
}

TEST_CASE("an acknowledgement of nothing, of the wrong kind or repeated is stray") {
    AckWindow window(1, 4);
    Nanos latency{0};
    CHECK(window.on_ack(PacketType::puback, Ack{1, 0}, Nanos(0), latency) == AckOutcome::stray);
    CHECK(window.begin(0, Nanos(0)) == 1);
    CHECK(window.on_ack(PacketType::pubrec, Ack{1, 0}, Nanos(0), latency) == AckOutcome::stray);
    CHECK(window.on_ack(PacketType::puback, Ack{9, 0}, Nanos(0), latency) == AckOutcome::stray);
    CHECK(window.on_ack(PacketType::puback, Ack{1, 0}, Nanos(0), latency) == AckOutcome::done);
    CHECK(window.on_ack(PacketType::puback, Ack{1, 0}, Nanos(0), latency) == AckOutcome::stray);
}

TEST_CASE("a Reason Code of 0x80 ends a message as refused, at PUBREC too") {
    Nanos latency{0};
    AckWindow one(1, 4);
    CHECK(one.begin(0, Nanos(0)) == 1);
    CHECK(one.on_ack(PacketType::puback, Ack{1, 0x97}, Nanos(0), latency) == AckOutcome::refused);
    CHECK(one.unacknowledged() == 0);
    AckWindow two(2, 4);
    CHECK(two.begin(0, Nanos(0)) == 1);
    CHECK(two.on_ack(PacketType::pubrec, Ack{1, 0x97}, Nanos(0), latency) == AckOutcome::refused);
    CHECK(two.unacknowledged() == 0);
}

TEST_CASE("packet identifiers wrap past zero and are never in use twice") {
    AckWindow window(1, 3);
    Nanos latency{0};
    std::vector<bool> in_use(65536, false);
    std::vector<std::uint16_t> order;
    for (std::uint64_t i = 0; i < 140'000; ++i) {
        if (!window.has_room()) {
            REQUIRE(window.on_ack(PacketType::puback, Ack{order.front(), 0}, Nanos(0), latency) ==
                    AckOutcome::done);
            in_use[order.front()] = false;
            order.erase(order.begin());
        }
        const std::uint16_t id = window.begin(i, Nanos(0));
        REQUIRE(id != 0);
        REQUIRE_FALSE(in_use[id]);
        in_use[id] = true;
        order.push_back(id);
    }
}

TEST_CASE("with several receivers a message counts as received when the last has it") {
    Receipts receipts(2, 3, false);
    for (std::uint64_t i = 0; i < 3; ++i)
        receipts.on_sent(i);
    CHECK_FALSE(receipts.has_room(3));
    receipts.on_received(0, 2);  // the first receiver: all three, two of them at once
    CHECK(receipts.head() == 0);
    receipts.on_received(0, 0);
    CHECK(receipts.head() == 1);
    CHECK(receipts.has_room(3));
    receipts.on_sent(3);
    receipts.on_received(1, 2);
    CHECK(receipts.head() == 3);
}

TEST_CASE("with one receiver a later message settles the earlier ones") {
    Receipts receipts(1, 4, false);
    receipts.on_received(0, 5);
    CHECK(receipts.head() == 6);
}

TEST_CASE("in a shared group any member's receipt frees one place") {
    Receipts receipts(1, 2, true);
    CHECK_FALSE(receipts.has_room(2));
    receipts.on_received_by_any(2);
    CHECK(receipts.has_room(2));
    receipts.give_up(7);
    receipts.on_received_by_any(7);
    CHECK(receipts.head() == 7);
}

TEST_CASE("what is given up is not waited for, and may still come") {
    Receipts receipts(2, 2, false);
    receipts.on_sent(0);
    receipts.on_sent(1);
    receipts.give_up(2);
    receipts.on_sent(2);
    receipts.on_sent(3);
    receipts.on_received(0, 2);
    receipts.on_received(0, 1);
    CHECK(receipts.head() == 2);
    receipts.on_received(2, 2);
    CHECK(receipts.head() == 3);
}

TEST_CASE("without a limit nothing is waited for") {
    Receipts receipts(1000, 0, false);
    receipts.on_sent(5);
    CHECK(receipts.has_room(1'000'000));
}
