// What a front-end does differently on a node of a cluster of many.
#include "broker/app/desks/publish_desk.h"
#include "broker/app/desks/retained_desk.h"
#include "broker/app/desks/session_desk.h"
#include "broker/app/desks/subscription_desk.h"
#include "proto/base/hash.h"
#include "tests/unit/app/front_end_rig.h"
#include "tests/unit/catch.h"

namespace quorate::broker::test {
namespace {

using Lines = std::vector<std::string>;
using Publishes = std::vector<FakePort::Publish>;
constexpr std::chrono::seconds kTooLong{11};

class Rig : public FrontEndRig {
  public:
    Rig() : FrontEndRig(anonymous(), true) {}

    void moved(ShardId shard) {
        arrive([&](cluster::LoopSink& sink) { sink.on_moved(shard); });
    }
    // A copy by the owner of the topic.
    void copy(cluster::Ticket ticket, std::string_view topic) {
        cluster::PublishBatch batch;
        mqtt::MessageView message;
        message.topic = topic;
        message.payload = "x";
        message.qos = mqtt::QoS::AtLeastOnce;
        batch.add(ticket, 0, message);
        arrive([&](cluster::LoopSink& sink) { sink.on_publishes(batch); });
    }
};

}  // namespace

TEST_CASE("Every publish goes to its owner and by nothing else, and comes back as a copy",
          "[R-1]") {
    Rig rig;
    rig.port->loop_subscribes("a", 1);
    rig.port->route("a", {{ShardId(3), mqtt::QoS::AtLeastOnce}});
    const auto client = rig.memory_client("c");
    rig.subscribe(*client, "a:1");
    client->send("PUBLISH a x qos=1 id=5");
    client->send("PUBLISH a y qos=2 id=6");
    client->send("PUBLISH a z");
    REQUIRE(rig.until([&] { return rig.port->publishes.size() == 3; }));
    const Publishes sent = rig.port->publishes;
    CHECK(sent[0].to == "owner");
    CHECK(sent[0].ticket != 0);
    CHECK(sent[1].to == "owner");
    CHECK(sent[1].ticket != 0);
    CHECK(sent[2] == FakePort::Publish{"owner", 0, "a", "z"});
    CHECK(client->receive_nothing_more().empty());
    rig.copy(7, "a");
    CHECK(client->receive(1) == Lines{"PUBLISH a x qos=1 id=2"});
    REQUIRE(rig.port->taken_by_us.size() == 1);
    CHECK(rig.port->taken_by_us[0].ticket == 7);
    CHECK(rig.port->taken_by_us[0].receivers == 1);
    rig.taken(sent[1].ticket, 1);
    CHECK(client->receive(1) == Lines{"PUBREC 6 0x00"});
    rig.taken(sent[0].ticket, 0);
    CHECK(client->receive(1) == Lines{"PUBACK 5 0x10"});
    CHECK(rig.port->matches == 0);
}

TEST_CASE("A publish that its owner's queue has no room for waits, and so does one of QoS 0",
          "[R-9]") {
    Rig rig;
    const auto client = rig.memory_client("c");
    rig.port->owner_full = true;
    client->send("PUBLISH a x");
    client->send("PINGREQ");
    CHECK(client->receive(1) == Lines{"PINGRESP"});
    CHECK(rig.port->publishes.empty());
    rig.port->owner_full = false;
    rig.arrive([](cluster::LoopSink& sink) { sink.on_credit(); });
    CHECK(rig.port->publishes == Publishes{{"owner", 0, "a", "x"}});
}

TEST_CASE("What a connection published is not sent again once it has ended", "[R-2]") {
    Rig rig;
    auto client = rig.memory_client("c");
    client->send("PUBLISH a x qos=1 id=5");
    rig.turn();
    CHECK(rig.port->gone.empty());
    client->socket().break_off();
    REQUIRE(rig.until([&] { return !rig.port->gone.empty(); }));
    CHECK(rig.port->gone == std::vector<uint64_t>{hash64("c")});
}

TEST_CASE("A shard that moved is asked for the messages of its attached sessions again", "[R-6]") {
    Rig rig;
    const ShardId shard = shard_of("c1", 4);
    const auto client = rig.durable_client("c1");
    const auto memory = rig.memory_client("c1x");
    rig.deliver(1, mqtt::QoS::AtLeastOnce);
    CHECK(client->receive(1).size() == 1);
    rig.turn();
    rig.port->wants.clear();
    rig.moved(ShardId((shard.value() + 1) % 4));
    CHECK(rig.port->wants.empty());
    rig.moved(shard);
    REQUIRE(rig.port->wants.size() == 1);
    CHECK(rig.port->wants[0].again);
    CHECK(rig.port->wants[0].next == MessageNumber(2));
    rig.deliver(1, mqtt::QoS::AtLeastOnce, "x", 0, 1);  // on its way from the earlier leader
    rig.deliver(2, mqtt::QoS::AtLeastOnce, "y", 0, 2);
    CHECK(client->receive(1) == Lines{"PUBLISH t y qos=1 id=3"});
    CHECK(client->receive_nothing_more().empty());
}

TEST_CASE("Behind a gap nothing is taken, and what is missing is asked for again, once", "[R-6]") {
    Rig rig;
    const auto client = rig.durable_client("c1");
    rig.port->wants.clear();
    rig.deliver(3, mqtt::QoS::AtLeastOnce, "c", 0, 3);
    rig.deliver(4, mqtt::QoS::AtLeastOnce, "d", 0, 4);
    CHECK(client->receive_nothing_more().empty());
    REQUIRE(rig.port->wants.size() == 1);
    CHECK(rig.port->wants[0].again);
    CHECK(rig.port->wants[0].next == MessageNumber(1));
    // 1 was sent; 2 is settled, which 3 stands for.
    rig.deliver(1, mqtt::QoS::AtLeastOnce, "a", 0, 1);
    rig.deliver(3, mqtt::QoS::AtLeastOnce, "c", 0, 2);
    CHECK(client->receive(2) == Lines{"PUBLISH t a qos=1 id=2", "PUBLISH t c qos=1 id=4"});
    rig.port->wants.clear();
    rig.deliver(6, mqtt::QoS::AtLeastOnce, "f", 0, 6);
    REQUIRE_FALSE(rig.port->wants.empty());
    CHECK(rig.port->wants.back().next == MessageNumber(4));
    // The answer is lost as well.
    rig.port->wants.clear();
    rig.clock.skip(std::chrono::seconds(2));
    REQUIRE(rig.until([&] { return !rig.port->wants.empty(); }));
    CHECK(rig.port->wants[0].again);
}

TEST_CASE("CONNECT is refused when no quorum answers within the publish timeout", "[R-7]") {
    Rig rig;
    const auto client = rig.open();
    client->send("CONNECT v5 id=c1 expiry=50");
    const FakePort::Sent attach = rig.command("attach");
    rig.clock.skip(kTooLong);
    CHECK(client->receive(1).at(0).starts_with("CONNACK 0x88"));
    rig.answer(attach.token, FrontEndRig::attached(true));
    rig.command("detached");
}

TEST_CASE("SUBSCRIBE of a durable session is refused once, and undone when it is made after all",
          "[R-4]") {
    Rig rig;
    const auto client = rig.durable_client("c1");
    client->send("SUBSCRIBE 9 a:1 b:1 c:1");
    const FakePort::Sent subscribe = rig.command("subscribe");
    rig.clock.skip(kTooLong);
    CHECK(client->receive(1) == Lines{"SUBACK 9 0x83 0x83 0x83"});
    client->send("SUBSCRIBE 10 b:0");
    rig.command("subscribe");
    cluster::SubscribeResult made;
    made.filters.resize(3);
    for (auto& filter : made.filters)
        filter.is_new = true;
    made.filters[2].is_new = false;
    rig.answer(subscribe.token, made);
    const FakePort::Sent undo = rig.command("unsubscribe");
    const cluster::CommandBody body = undo.body();
    // `b` was named again, and `c` had been there before.
    CHECK(std::get<cluster::Unsubscribe>(body).filters == std::vector<std::string_view>{"a"});
    rig.answer(undo.token, cluster::UnsubscribeResult{{mqtt::ReasonCode::Success}});
    CHECK(client->receive_nothing_more().empty());
}

TEST_CASE("SUBSCRIBE of a memory session leaves nothing behind when its routes are not shown",
          "[R-4]") {
    Rig rig;
    const auto client = rig.memory_client("c");
    rig.port->hold_routes = true;
    client->send("SUBSCRIBE 9 a:1 $share/g/b:1");
    const FakePort::Sent join = rig.command("route");
    rig.clock.skip(kTooLong);
    CHECK(client->receive(1) == Lines{"SUBACK 9 0x83 0x83"});
    const FakePort::Sent leave = rig.command("route");
    const cluster::CommandBody body = leave.body();
    CHECK(std::get<cluster::Route>(body).remove);
    rig.copy(7, "a");
    CHECK(rig.port->taken_by_us.at(0).receivers == 0);
    rig.answer(join.token, cluster::RouteResult{});
    CHECK(client->receive_nothing_more().empty());
}

TEST_CASE("UNSUBSCRIBE without a quorum: 0x83, and the end for version 3, whose UNSUBACK says yes",
          "[R-4][MQTT-3.11.3-1]") {
    Rig rig;
    const auto client = rig.durable_client("c1");
    client->send("UNSUBSCRIBE 9 a b");
    const FakePort::Sent asked = rig.command("unsubscribe");
    const auto old = rig.open(mqtt::ProtocolVersion::V311);
    old->send("CONNECT id=c2");
    rig.answer(rig.command("attach").token, FrontEndRig::attached(true, 2));
    CHECK(old->receive(1).size() == 1);
    old->send("UNSUBSCRIBE 9 a");
    rig.command("unsubscribe");
    rig.clock.skip(kTooLong);
    CHECK(client->receive(1) == Lines{"UNSUBACK 9 0x83 0x83"});
    CHECK(rig.until([&] { return old->ended(); }));
    rig.answer(asked.token,
               cluster::UnsubscribeResult{{mqtt::ReasonCode::Success, mqtt::ReasonCode::Success}});
    CHECK(client->receive_nothing_more().empty());
}

TEST_CASE("QoS 2 without a quorum: PUBREC 0x83 once, and the identifier is free in the session too",
          "[R-5][MQTT-4.3.3-8]") {
    Rig rig;
    const auto client = rig.durable_client("c1");
    client->send("PUBLISH a x qos=2 id=5");
    const FakePort::Sent put = rig.command("outbox-put");
    rig.clock.skip(kTooLong);
    CHECK(client->receive(1) == Lines{"PUBREC 5 0x83"});
    client->send("PUBLISH a y qos=2 id=5");
    const cluster::CommandBody body = rig.command("release").body();
    CHECK(std::get<cluster::Release>(body).packet_id == PacketId(5));
    const FakePort::Sent second = rig.command("outbox-put");
    rig.answer(put.token, cluster::OutboxPutResult{});
    CHECK(client->receive_nothing_more().empty());
    rig.answer(second.token, cluster::OutboxPutResult{});
    CHECK(client->receive(1) == Lines{"PUBREC 5 0x00"});
}

TEST_CASE("Retained messages are asked for shard by shard, and again where a shard moved",
          "[R-4]") {
    Rig rig;
    const auto client = rig.memory_client("c");
    rig.subscribe(*client, "r/#:1");
    std::set<ShardId> asked;
    for (std::size_t at = 0; at < 4; ++at) {
        REQUIRE(rig.until([&] { return rig.port->queries.size() > at; }));
        const cluster::RetainedQuery query = rig.port->queries[at];
        CHECK_FALSE(query.whole_worker);
        asked.insert(query.at.shard);
        cluster::RetainedPage page;
        page.token = query.token;
        rig.arrive([&](cluster::LoopSink& sink) { sink.on_retained(page); });
    }
    CHECK(asked.size() == 4);
    CHECK(rig.port->queries.size() == 4);

    rig.subscribe(*client, "s/#:1");
    REQUIRE(rig.until([&] { return rig.port->queries.size() == 5; }));
    const cluster::RetainedQuery first = rig.port->queries[4];
    rig.moved(ShardId((first.at.shard.value() + 1) % 4));
    CHECK(rig.port->queries.size() == 5);
    rig.moved(first.at.shard);
    REQUIRE(rig.port->queries.size() == 6);
    const cluster::RetainedQuery again = rig.port->queries[5];
    CHECK(again.token != first.token);
    CHECK(again.at.shard == first.at.shard);
    // The first answer was only late.
    cluster::RetainedPage page;
    page.token = first.token;
    rig.arrive([&](cluster::LoopSink& sink) { sink.on_retained(page); });
    CHECK(rig.port->queries.size() == 6);
    page.token = again.token;
    rig.arrive([&](cluster::LoopSink& sink) { sink.on_retained(page); });
    CHECK(rig.port->queries.size() == 7);
}

TEST_CASE("A durable session's scan passes no shard, since what others hold is not known here",
          "[R-4]") {
    Rig rig;
    const auto client = rig.durable_client("c1");
    client->send("SUBSCRIBE 9 r/#:1");
    cluster::SubscribeResult made;
    made.filters.resize(1);
    made.filters[0].replay = {Epoch(1), CommandNumber(5)};
    rig.answer(rig.command("subscribe").token, made);
    REQUIRE(rig.until([&] { return !rig.port->queries.empty(); }));
    CHECK(rig.port->queries[0].at.shard == ShardId(0));
    REQUIRE(rig.port->queries[0].durable);
    CHECK(rig.port->queries[0].durable->then == ShardId(1));
    rig.moved(shard_of("c1", 4));  // the page goes by way of the session's shard
    CHECK(rig.port->queries.size() == 2);
}

}  // namespace quorate::broker::test
