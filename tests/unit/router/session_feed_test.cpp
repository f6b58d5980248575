#include "cluster/router/leader/session_feed.h"

#include "tests/unit/catch.h"
#include "tests/unit/router/node.h"

namespace quorate::cluster::testing {
namespace {

std::unique_ptr<Logger> quiet_logger() {
    LogOptions options;
    options.level = LogLevel::Error;
    auto logger = Logger::open(options);
    REQUIRE(logger.ok());
    return std::move(logger).value();
}

using Numbers = std::vector<uint64_t>;

constexpr uint64_t kPlenty = 1U << 20;
// Of each message here: topic and payload are one byte each.
constexpr uint64_t kMessageBytes = 2;

struct Setup {
    explicit Setup(uint16_t receive_maximum, const ShardOptions& options = {}) : node(options) {
        session = node.attach("c", 1, receive_maximum);
        node.subscribe(session, "t");
    }
    void enqueue(int count, std::optional<uint32_t> expiry_s = {}) {
        const std::string message = flat("t", "m", mqtt::QoS::AtLeastOnce, false, expiry_s);
        for (int i = 0; i < count; ++i)
            node.shard.apply(node.shard.header(), Enqueue{message, {}, {}}, false);
    }
    void ack(const Numbers& numbers) {
        Ack ack{session.session, session.epoch, {}};
        for (const uint64_t number : numbers)
            ack.items.push_back({MessageNumber(number), AckKind::Puback});
        node.shard.apply(node.shard.header(), ack, false);
        feed.windows_moved();
    }
    void want(uint64_t next, uint32_t credit, uint64_t received = 0, uint64_t room = kPlenty) {
        feed.want({ShardId(0), session.session, session.epoch, MessageNumber(next), credit,
                   received, room});
    }
    // The numbers that a turn sends.
    Numbers send() {
        feed.send(node.shard.state(), node.shard.now, expired);
        node.turn();
        Numbers out;
        for (const auto& parcel : node.to_loop) {
            parcel->deliveries.for_each([&](const DeliveryView& delivery) {
                CHECK(delivery.connection == Node::connection(1));
                CHECK(delivery.session == session.session);
                CHECK(delivery.epoch == session.epoch);
                CHECK(delivery.message.payload == "m");
                out.push_back(delivery.number.value());
            });
        }
        return out;
    }

    Node node;
    AttachResult session;
    std::unique_ptr<Logger> logger = quiet_logger();
    SessionFeed feed{ShardId(0), node.router, Log(*logger, "test")};
    std::vector<SessionFeed::Expired> expired;
};

TEST_CASE("Nothing is sent that was not asked for", "[R-6]") {
    Setup setup(10);
    setup.enqueue(3);
    setup.feed.touch(setup.session.session);
    CHECK(setup.send().empty());
    setup.want(1, 2);
    CHECK(setup.send() == Numbers{1, 2});
    CHECK(setup.send().empty());
}

TEST_CASE("Credit that is left is used for what comes later", "[R-6]") {
    Setup setup(10);
    setup.want(1, 3);
    CHECK(setup.send().empty());
    setup.enqueue(2);
    setup.feed.touch(setup.session.session);
    CHECK(setup.send() == Numbers{1, 2});
    setup.enqueue(2);
    setup.feed.touch(setup.session.session);
    CHECK(setup.send() == Numbers{3});
    setup.feed.touch(setup.session.session);
    CHECK(setup.send().empty());
    // Asked while 3 was on its way: it is not sent twice.
    setup.want(3, 2);
    CHECK(setup.send() == Numbers{4});
}

TEST_CASE("Nothing is sent beyond the Receive Maximum after the first unacknowledged",
          "[R-6][MQTT-3.3.4-9]") {
    Setup setup(3);
    setup.enqueue(8);
    setup.want(1, 100);
    CHECK(setup.send() == Numbers{1, 2, 3});
    setup.ack({2, 3});
    CHECK(setup.send().empty());
    setup.ack({1});
    CHECK(setup.send() == Numbers{4, 5, 6});
    setup.ack({4});
    CHECK(setup.send() == Numbers{7});
}

TEST_CASE("A connection whose output is full gets nothing until it has room", "[R-6][R-9]") {
    Setup setup(10);
    setup.enqueue(6);
    setup.want(1, 10, 0, 0);
    CHECK(setup.send().empty());
    setup.want(1, 10, 0, 2 * kMessageBytes);
    CHECK(setup.send() == Numbers{1, 2});
    CHECK(setup.send().empty());
    // What is on its way to the connection when it asks counts as sent.
    setup.want(2, 10, kMessageBytes, 2 * kMessageBytes);
    CHECK(setup.send() == Numbers{3});
    // One message may be larger than the room.
    setup.want(4, 10, 3 * kMessageBytes, 1);
    CHECK(setup.send() == Numbers{4});
    CHECK(setup.send().empty());
}

TEST_CASE("A feed that begins in the middle of a connection counts from what that has received",
          "[R-6]") {
    Setup setup(10);
    setup.enqueue(3);
    setup.want(1, 10, 1000, 2 * kMessageBytes);
    CHECK(setup.send() == Numbers{1, 2});
}

TEST_CASE("What stands behind dropped messages is sent when the window has passed them", "[R-6]") {
    ShardOptions options;
    options.queue_messages_max = 8;
    Setup setup(3, options);
    setup.enqueue(3);
    setup.want(1, 3);
    CHECK(setup.send() == Numbers{1, 2, 3});
    // 4 to 15 are dropped again; 1 to 3 may have been received and stay.
    setup.enqueue(17);
    setup.feed.touch(setup.session.session);
    CHECK(setup.send().empty());
    setup.ack({1});
    setup.want(4, 1);
    CHECK(setup.send().empty());
    // The loop asks as soon as it has the acknowledgements, before they are committed.
    setup.want(4, 3);
    CHECK(setup.send().empty());
    setup.ack({2, 3});
    CHECK(setup.send() == Numbers{16, 17, 18});
}

TEST_CASE("A long queue is sent in pages, all of it and in order", "[R-6]") {
    Setup setup(1000);
    setup.enqueue(700);
    setup.want(1, 1000);
    Numbers all;
    int turns = 0;
    for (Numbers page = setup.send(); !page.empty(); page = setup.send()) {
        all.insert(all.end(), page.begin(), page.end());
        ++turns;
    }
    CHECK(turns == 3);
    REQUIRE(all.size() == 700);
    for (std::size_t i = 0; i < all.size(); ++i)
        REQUIRE(all[i] == i + 1);
}

TEST_CASE("An expired message is named for settling and never sent", "[R-6][MQTT-3.3.2-5]") {
    Setup setup(10);
    setup.enqueue(1, 1);
    setup.enqueue(1);
    setup.node.shard.now = ClusterTime(setup.node.shard.now.value() + 5000);
    setup.want(1, 10);
    CHECK(setup.send() == Numbers{2});
    REQUIRE(setup.expired.size() == 1);
    CHECK(setup.expired[0].number == MessageNumber(1));
    CHECK(setup.expired[0].session == setup.session.session);
}

TEST_CASE("An earlier connection gets nothing", "[R-6][R-7]") {
    Setup setup(10);
    setup.enqueue(1);
    const AttachResult old = setup.session;
    setup.want(1, 10);
    Detached detached;
    detached.session = old.session;
    detached.epoch = old.epoch;
    setup.node.shard.apply(setup.node.shard.header(), detached, false);
    CHECK(setup.send().empty());
    setup.session = setup.node.attach("c", 1);
    REQUIRE(setup.session.session == old.session);
    setup.feed.want({ShardId(0), old.session, old.epoch, MessageNumber(1), 10, 0, kPlenty});
    CHECK(setup.send().empty());
    setup.want(1, 10);
    CHECK(setup.send() == Numbers{1});
    setup.feed.want({ShardId(0), old.session, old.epoch, MessageNumber(1), 10, 0, kPlenty});
    CHECK(setup.send().empty());
}

TEST_CASE("A feed that was ended or cleared waits to be asked again", "[R-6]") {
    Setup setup(10);
    setup.want(1, 10);
    setup.enqueue(1);
    setup.feed.ended(setup.session.session);
    CHECK(setup.send().empty());
    setup.want(1, 10);
    setup.feed.clear();
    CHECK(setup.send().empty());
    setup.want(1, 10);
    CHECK(setup.send() == Numbers{1});
}

TEST_CASE("What a full queue dropped beyond the window does not stop its deliveries", "[R-6]") {
    ShardOptions options;
    options.queue_messages_max = 8;
    Setup setup(4, options);
    setup.want(1, 100);
    setup.enqueue(20);
    setup.feed.touch(setup.session.session);
    Numbers all;
    for (Numbers page = setup.send(); !page.empty(); page = setup.send()) {
        all.insert(all.end(), page.begin(), page.end());
        setup.ack(page);
    }
    // The oldest four were under way and stayed; of the others the newest four.
    CHECK(all == Numbers{1, 2, 3, 4, 17, 18, 19, 20});
    CHECK(setup.node.shard.state().session(setup.session.session)->queued == 0);
}

}  // namespace
}  // namespace quorate::cluster::testing
