#include "cluster/router/node_loop_port.h"

#include <string>

#include "tests/unit/catch.h"

namespace quorate::cluster::testing {
namespace {

constexpr uint64_t kUnreadMax = 10'000;
constexpr std::size_t kPayload = 1000;

// Counts what reaches a loop.
class CountingSink final : public LoopSink {
  public:
    uint32_t publishes = 0;
    std::vector<Ticket> tickets;
    int credits = 0;

    void on_publishes(const PublishBatch& batch) override {
        publishes += batch.count;
        batch.for_each([this](Ticket ticket, uint8_t, const mqtt::MessageView&) {
            if (ticket != 0) tickets.push_back(ticket);
        });
    }
    void on_credit() override { ++credits; }
    void on_moved(ShardId) override {}
    void on_retained(const RetainedPage&) override {}
    void on_taken(const TakenBatch&) override {}
    void on_answer(uint64_t, const Answer&) override {}
    void on_deliveries(const DeliveryBatch&) override {}
    void on_shared(const SharedDelivery&) override {}
    void on_let_go(const LetGoRequest&) override {}
    void on_shown(uint64_t) override {}
};

// Two loops and a worker that never reads.
struct Setup {
    Setup() {
        exchange.set_loop(LoopId(0), [](std::optional<LoopId>) {});
        exchange.set_loop(LoopId(1), [](std::optional<LoopId>) {});
        exchange.set_workers([this](WorkerId, std::unique_ptr<WorkerParcel> parcel) {
            to_worker.push_back(std::move(parcel));
        });
    }
    [[nodiscard]] NodeLoopPort::Context context(uint16_t loop) {
        LoopCredit credit;
        credit.loop_publishes_max = 8;
        credit.loop_bytes_max = kUnreadMax;
        return {
            exchange, directory, ShardLayout{1, 0}, LoopId(loop), make_incarnation(NodeId(1), 1),
            1,        credit};
    }
    [[nodiscard]] mqtt::MessageView message(std::size_t size = kPayload) {
        payload.assign(size, 'x');
        mqtt::MessageView view;
        view.topic = "t";
        view.payload = payload;
        return view;
    }

    std::string payload;
    std::vector<std::unique_ptr<WorkerParcel>> to_worker;
    Exchange exchange{2, 1, kUnreadMax};
    Directory directory{3};
    CountingSink near;
    CountingSink far;
    NodeLoopPort here{context(0), near};
    NodeLoopPort there{context(1), far};
};

TEST_CASE("QoS 0 for a loop that does not read is dropped and counted, beyond a bound", "[R-9]") {
    Setup setup;
    // Over many turns, since what waits is what counts, not what one turn brings.
    for (int i = 0; i < 50; ++i) {
        setup.here.publish_to_loop(LoopId(1), 0, setup.message());
        if (i % 3 == 0) setup.here.flush();
    }
    setup.here.flush();
    const uint64_t unread = setup.exchange.unread();
    CHECK(unread > kUnreadMax / 2);
    CHECK(unread <= kUnreadMax + kPayload);
    setup.there.receive();
    CHECK(setup.far.publishes + setup.exchange.dropped() == 50);
    CHECK(setup.exchange.dropped() > 0);
    CHECK(setup.exchange.unread() == 0);
    // It reads again: nothing is dropped any more.
    const uint64_t dropped = setup.exchange.dropped();
    setup.here.publish_to_loop(LoopId(1), 0, setup.message());
    setup.here.flush();
    CHECK(setup.exchange.dropped() == dropped);
}

TEST_CASE("A message larger than the bound is passed on when nothing else waits", "[R-9]") {
    Setup setup;
    setup.here.publish_to_loop(LoopId(1), 0, setup.message(kUnreadMax * 3));
    setup.here.publish_to_loop(LoopId(1), 0, setup.message(1));
    setup.here.flush();
    setup.there.receive();
    CHECK(setup.far.publishes == 1);
    CHECK(setup.exchange.dropped() == 1);
}

TEST_CASE("QoS 0 for sessions of a worker that does not read is bounded the same way", "[R-9]") {
    Setup setup;
    for (int i = 0; i < 50; ++i) {
        setup.here.publish_to_shard(ShardId(0), setup.message());
        CHECK(setup.here.publish_to_group({ShardId(0), "g/t"}, 0, setup.message()));
        setup.here.flush();
    }
    CHECK(setup.exchange.unread() <= kUnreadMax + kPayload);
    CHECK(setup.exchange.dropped() > 50);
}

TEST_CASE("What is answered is never dropped: the publisher waits until the loop has caught up",
          "[R-9]") {
    Setup setup;
    Ticket ticket = 0;
    while (setup.here.loops_ready(0b10)) {
        setup.here.publish_to_loop(LoopId(1), ++ticket, setup.message());
        REQUIRE(ticket < 100);
    }
    CHECK(ticket == 8);
    CHECK(setup.here.loops_ready(0));
    setup.here.flush();
    setup.there.receive();
    CHECK(setup.far.tickets.size() == 8);
    CHECK(setup.exchange.dropped() == 0);
    const auto answer = [&](std::size_t from, std::size_t to) {
        for (std::size_t i = from; i < to; ++i)
            setup.there.taken(local_port(PortId(0)),
                              {setup.far.tickets[i], 1, mqtt::ReasonCode::Success});
        setup.there.flush();
        setup.here.receive();
    };
    answer(0, 3);
    CHECK(setup.near.credits == 0);
    answer(3, 8);
    CHECK(setup.near.credits == 1);
    CHECK(setup.here.loops_ready(0b10));
}

TEST_CASE("Few large publishes fill the credit of a loop as many small ones do", "[R-9]") {
    Setup setup;
    setup.here.publish_to_loop(LoopId(1), 1, setup.message(kUnreadMax));
    CHECK_FALSE(setup.here.loops_ready(0b10));
    setup.here.flush();
    setup.there.receive();
    setup.there.taken(local_port(PortId(0)), {1, 0, mqtt::ReasonCode::Success});
    setup.there.flush();
    setup.here.receive();
    CHECK(setup.near.credits == 1);
    CHECK(setup.here.loops_ready(0b10));
}

}  // namespace
}  // namespace quorate::cluster::testing
