// Two nodes without threads: parcels leave one, and arrive at the other when the test says so.
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cluster/group/group_ids.h"
#include "cluster/router/node_loop_port.h"
#include "cluster/router/remote/ingress.h"
#include "cluster/router/remote/leaders.h"
#include "cluster/router/remote/remote_outbound.h"
#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

const ShardId kShard(3);
const GroupId kGroup = group_of(kShard);
constexpr ShardLayout kLayout{8, 0};

// What a loop hears.
class Sink final : public LoopSink {
  public:
    void on_retained(const RetainedPage& page) override { pages.push_back(page.token); }
    void on_publishes(const PublishBatch&) override {}
    void on_taken(const TakenBatch& batch) override {
        for (const auto& taken : batch.taken)
            tickets.push_back(taken.ticket);
    }
    void on_answer(uint64_t token, const Answer&) override { answers.push_back(token); }
    void on_deliveries(const DeliveryBatch& batch) override { deliveries += batch.count; }
    void on_shared(const SharedDelivery&) override {}
    void on_let_go(const LetGoRequest&) override { ++let_gos; }
    void on_shown(uint64_t) override {}
    void on_credit() override {}
    void on_moved(ShardId shard) override { moved.push_back(shard); }

    std::vector<uint64_t> pages;
    std::vector<uint64_t> tickets;
    std::vector<uint64_t> answers;
    uint32_t deliveries = 0;
    int let_gos = 0;
    std::vector<ShardId> moved;
};

struct Leases final : TableLeases {
    [[nodiscard]] bool valid() const override { return true; }
};

// One loop, two workers, of which the test is one.
class TestNode final : public RemoteOffice {
  public:
    explicit TestNode(uint32_t id)
        : incarnation(make_incarnation(NodeId(id), 1)),
          others_{NodeId(id), leaders, *this, peers, leases, clock},
          directory_(exchange_.ports()),
          ingress(exchange_, kLayout, incarnation) {
        exchange_.set_loop(LoopId(0), [](auto) {});
        exchange_.set_workers([this](WorkerId to, std::unique_ptr<WorkerParcel> parcel) {
            to_worker[to.value()].push_back(std::move(parcel));
        });
        NodeLoopPort::Context context{exchange_,   directory_, kLayout,     LoopId(0),
                                      incarnation, 2,          LoopCredit{}};
        context.others = &others_;
        loop = std::make_unique<NodeLoopPort>(context, sink);
        worker = std::make_unique<Outbound>(exchange_, exchange_.port_of(WorkerId(1)), &others_);
    }

    void post(NodeId to, std::string_view item) override { sent.emplace_back(to, item); }
    void pump() override {}

    // Commands that reached the worker of the group.
    [[nodiscard]] std::vector<uint64_t> commands() {
        std::vector<uint64_t> numbers;
        for (const auto& parcel : to_worker[exchange_.worker_of(kGroup).value()]) {
            parcel->commands.for_each([&](GroupId group, std::string_view bytes) {
                CHECK(group == kGroup);
                const auto command = decode_command(bytes);
                REQUIRE(command.ok());
                numbers.push_back(command->header.number.value());
            });
        }
        to_worker[exchange_.worker_of(kGroup).value()].clear();
        return numbers;
    }

    Incarnation incarnation;
    Leaders leaders{kFirstShardGroup + kLayout.shards};
    Peers peers;
    Leases leases;
    SystemClock clock;
    std::deque<std::pair<NodeId, std::string>> sent;
    std::vector<std::unique_ptr<WorkerParcel>> to_worker[2];
    Sink sink;

  private:
    OtherNodes others_;
    Exchange exchange_{1, 2};
    Directory directory_;

  public:
    Ingress ingress;
    std::unique_ptr<NodeLoopPort> loop;
    std::unique_ptr<Outbound> worker;
};

// Everything a node has sent arrives at the other.
void deliver(TestNode& from, TestNode& to) {
    for (const auto& [node, item] : std::exchange(from.sent, {})) {
        CHECK(node == node_of(to.incarnation));
        to.ingress.arrived(from.incarnation, item);
    }
}

void command(TestNode& node, uint64_t token) {
    node.loop->receive();
    REQUIRE(node.loop->command(kShard, token, EndSession{"c"}));
    node.loop->flush();
}

void answer(TestNode& leader, const TestNode& asker, uint64_t number) {
    GroupAnswer told;
    told.group = kGroup;
    told.answer.lane = {asker.incarnation, 0, LaneClass::Control};
    told.answer.number = CommandNumber(number);
    leader.worker->answers({asker.incarnation, PortId(0)}).push_back(told);
    leader.worker->flush();
}

TEST_CASE("A command goes to the node that leads its group, and the answer comes back",
          "[remote][R-3]") {
    TestNode a(1);
    TestNode b(2);
    a.leaders.learn(kGroup, Term(1), NodeId(2));
    command(a, 11);
    CHECK(a.commands().empty());
    deliver(a, b);
    CHECK(b.commands() == std::vector<uint64_t>{1});
    answer(b, a, 1);
    deliver(b, a);
    a.loop->receive();
    CHECK(a.sink.answers == std::vector<uint64_t>{11});
}

TEST_CASE("What is asked while nobody leads is sent when somebody does", "[remote][R-3]") {
    TestNode a(1);
    TestNode b(2);
    command(a, 11);
    command(a, 12);
    CHECK(a.sent.empty());
    CHECK(a.commands().empty());
    a.leaders.learn(kGroup, Term(1), NodeId(2));
    command(a, 13);
    deliver(a, b);
    CHECK(b.commands() == std::vector<uint64_t>{1, 2, 3});
}

TEST_CASE("A new leader gets everything unanswered, in order, once", "[remote][R-3]") {
    TestNode a(1);
    TestNode b(2);
    a.leaders.learn(kGroup, Term(1), NodeId(2));
    for (uint64_t token = 11; token < 14; ++token)
        command(a, token);
    deliver(a, b);
    answer(b, a, 1);
    deliver(b, a);
    a.loop->receive();
    // The group moves here.
    a.leaders.learn(kGroup, Term(2), NodeId(1));
    a.loop->receive();
    a.loop->flush();
    CHECK(a.sent.empty());
    CHECK(a.commands() == std::vector<uint64_t>{2, 3});
    a.loop->receive();
    a.loop->flush();
    CHECK(a.commands().empty());
}

TEST_CASE("After a break of the link the same leader gets them again", "[remote][R-3]") {
    TestNode a(1);
    TestNode b(2);
    a.leaders.learn(kGroup, Term(1), NodeId(2));
    command(a, 11);
    a.sent.clear();
    a.leaders.again(NodeId(2));
    a.loop->receive();
    a.loop->flush();
    deliver(a, b);
    CHECK(b.commands() == std::vector<uint64_t>{1});
}

TEST_CASE("Deliveries and requests to let go reach the loop of a connection elsewhere",
          "[remote][R-6][R-7]") {
    TestNode a(1);
    TestNode b(2);
    const ConnectionRef connection{a.incarnation, LoopId(0), 4, 5};
    DeliveryView delivery;
    delivery.connection = connection;
    delivery.number = MessageNumber(1);
    delivery.message.topic = "t";
    b.worker->at(connection).deliveries.add(delivery);
    b.worker->at(connection).let_go.push_back({kShard, {connection, SessionId(1), Epoch(2)}});
    b.worker->flush();
    CHECK(b.sent.size() == 1);
    deliver(b, a);
    a.loop->receive();
    CHECK(a.sink.deliveries == 1);
    CHECK(a.sink.let_gos == 1);
}

TEST_CASE("What was meant for an earlier start of a node reaches nobody", "[remote][R-0]") {
    TestNode a(1);
    TestNode b(2);
    const Incarnation earlier = make_incarnation(NodeId(1), 0);
    b.worker->taken({earlier, PortId(0)}).push_back({7, 1, mqtt::ReasonCode::Success});
    b.worker->flush();
    deliver(b, a);
    a.loop->receive();
    CHECK(a.sink.tickets.empty());
    CHECK(a.ingress.refused() == 0);
}

TEST_CASE("A parcel that has grown large leaves before more is added", "[remote][R-9]") {
    TestNode a(1);
    a.leaders.learn(kGroup, Term(1), NodeId(2));
    mqtt::MessageView message;
    const std::string payload(100'000, 'x');
    message.topic = "t";
    message.payload = payload;
    for (int i = 0; i < 10; ++i)
        a.worker->leader(kGroup).live.add(kShard.value(), 0, message);
    a.worker->flush();
    CHECK(a.sent.size() == 4);
}

TEST_CASE("Bytes that are no parcel are refused and counted", "[remote]") {
    TestNode a(1);
    TestNode b(2);
    a.leaders.learn(kGroup, Term(1), NodeId(2));
    command(a, 11);
    REQUIRE(a.sent.size() == 1);
    const std::string item = a.sent.front().second;
    for (std::size_t size = 0; size < item.size(); ++size)
        b.ingress.arrived(a.incarnation, std::string_view(item).substr(0, size));
    CHECK(b.ingress.refused() == item.size());
    CHECK(b.commands().empty());
}

}  // namespace
}  // namespace quorate::cluster
