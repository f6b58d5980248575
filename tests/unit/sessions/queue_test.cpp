#include "cluster/sessions/queue.h"

#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

QueuedMessage message(mqtt::QoS qos = mqtt::QoS::AtLeastOnce) {
    QueuedMessage out;
    out.bytes = 10;
    out.qos = qos;
    return out;
}

TEST_CASE("Packet identifiers follow from numbers, wrap around and are never 0",
          "[R-6][MQTT-2.2.1-3][MQTT-2.2.1-4]") {
    CHECK(packet_id_of(MessageNumber(1)) == PacketId(2));
    CHECK(packet_id_of(MessageNumber(65'534)) == PacketId(65'535));
    CHECK(packet_id_of(MessageNumber(65'535)) == PacketId(1));
    CHECK(packet_id_of(MessageNumber(65'536)) == PacketId(2));
}

TEST_CASE("Numbers go on over wrap-around, empty queues and restarts", "[R-6]") {
    SessionQueue queue;
    queue.attach(100);
    for (uint64_t n = 1; n <= 200'000; ++n) {
        REQUIRE(queue.push(message()) == MessageNumber(n));
        queue.settle(MessageNumber(n));
        queue.advance();
    }
    CHECK(queue.first_unacked() == MessageNumber(200'001));
    CHECK(queue.span() == 0);
    std::string bytes;
    RecordWriter out(bytes);
    queue.write(out);
    SessionQueue again;
    RecordReader in(bytes);
    REQUIRE(again.read(in));
    again.finish_restore();
    CHECK(again.push(message()) == MessageNumber(200'001));
}

TEST_CASE("Ids are unique in the widest window", "[R-6][MQTT-3.3.4-9]") {
    SessionQueue queue;
    queue.attach(65'535);
    CHECK(queue.sent_mark() == MessageNumber(65'535));
    CHECK(packet_id_of(MessageNumber(1)) == packet_id_of(MessageNumber(65'536)));
    CHECK(MessageNumber(65'536) > queue.sent_mark());
}

TEST_CASE("The mark never falls and never passes what exists", "[R-6]") {
    SessionQueue queue;
    for (int i = 0; i < 5; ++i)
        queue.push(message());
    queue.attach(3);
    queue.detach(MessageNumber(2));
    CHECK(queue.mark() == MessageNumber(2));
    queue.attach(3);
    queue.detach(MessageNumber());
    CHECK(queue.mark() == MessageNumber(2));
    queue.attach(3);
    queue.detach_unknown();
    CHECK(queue.mark() == MessageNumber(3));
    queue.attach(60'000);
    queue.detach_unknown();
    CHECK(queue.mark() == MessageNumber(5));
}

TEST_CASE("What is acknowledged leaves the store in coarse ranges, holes one by one") {
    SessionQueue queue;
    queue.attach(1000);
    for (int i = 0; i < 600; ++i)
        queue.push(message());
    queue.settle(MessageNumber(3));
    queue.settle(MessageNumber(1));
    queue.advance();
    CHECK(queue.take_holes() == std::vector<MessageNumber>{MessageNumber(3)});
    CHECK_FALSE(queue.take_freed(false).has_value());
    queue.settle(MessageNumber(2));
    queue.advance();
    CHECK(queue.first_unacked() == MessageNumber(4));
    CHECK(queue.take_freed(true)->second == MessageNumber(4));
    for (uint64_t n = 4; n < 260; ++n)
        queue.settle(MessageNumber(n));
    queue.advance();
    CHECK(queue.take_holes().empty());
    const auto freed = queue.take_freed(false);
    REQUIRE(freed.has_value());
    CHECK(freed->first == MessageNumber(4));
    CHECK(freed->second == MessageNumber(260));
}

TEST_CASE("A replica that was loaded later frees the same ranges at the same time", "[R4]") {
    SessionQueue queue;
    queue.attach(1000);
    const auto large = [] {
        QueuedMessage out = message();
        out.bytes = 100U << 10U;
        return out;
    };
    for (int i = 0; i < 5; ++i)
        queue.push(large());
    // One as a hole that stays one, one as a hole that is passed, one from the front.
    for (const uint64_t n : {4U, 2U, 1U})
        queue.settle(MessageNumber(n));
    queue.advance();
    CHECK(queue.take_holes() == std::vector<MessageNumber>{MessageNumber(4)});
    REQUIRE_FALSE(queue.take_freed(false).has_value());
    std::string bytes;
    RecordWriter out(bytes);
    queue.write(out);
    SessionQueue again;
    RecordReader in(bytes);
    REQUIRE(again.read(in));
    for (const uint64_t n : {1U, 2U, 3U, 5U})
        REQUIRE(again.restore(MessageNumber(n), large()));
    again.finish_restore();
    again.attach(1000);
    for (SessionQueue* one : {&queue, &again}) {
        one->settle(MessageNumber(3));
        one->advance();
        CHECK(one->take_holes().empty());
        const auto freed = one->take_freed(false);
        REQUIRE(freed.has_value());
        CHECK(freed->second == MessageNumber(5));
    }
}

TEST_CASE("PUBREC is remembered over a restart, as runs", "[MQTT-4.3.3-4]") {
    SessionQueue queue;
    queue.attach(10);
    for (int i = 0; i < 6; ++i)
        queue.push(message(mqtt::QoS::ExactlyOnce));
    for (const uint64_t n : {2UL, 3UL, 5UL})
        CHECK(queue.pubrec(MessageNumber(n)));
    CHECK_FALSE(queue.pubrec(MessageNumber(2)));
    std::string bytes;
    RecordWriter out(bytes);
    queue.write(out);
    SessionQueue again;
    RecordReader in(bytes);
    REQUIRE(again.read(in));
    for (uint64_t n = 1; n <= 6; ++n) {
        REQUIRE(again.restore(MessageNumber(n), message(mqtt::QoS::ExactlyOnce)));
    }
    again.finish_restore();
    std::string rewritten;
    RecordWriter second(rewritten);
    again.write(second);
    CHECK(rewritten == bytes);
    CHECK(again.find(MessageNumber(3))->state == QueuedState::PubrecKnown);
    CHECK(again.find(MessageNumber(4))->state == QueuedState::Open);
    CHECK_FALSE(again.restore(MessageNumber(7), message()));
}

}  // namespace
}  // namespace quorate::cluster
