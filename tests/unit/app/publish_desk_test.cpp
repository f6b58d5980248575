#include "broker/app/desks/publish_desk.h"

#include "proto/base/hash.h"
#include "proto/mqtt/message.h"
#include "tests/unit/app/front_end_rig.h"
#include "tests/unit/catch.h"

namespace quorate::broker::test {
namespace {

using Lines = std::vector<std::string>;
using Publishes = std::vector<FakePort::Publish>;

TEST_CASE("A subscriber of the same loop has the message when PUBACK leaves", "[MQTT-4.3.2-4]") {
    FrontEndRig rig;
    const auto reader = rig.memory_client("r");
    const auto writer = rig.memory_client("w");
    rig.subscribe(*reader, "a:1");
    writer->send("PUBLISH a x qos=1 id=5");
    CHECK(writer->receive(1) == Lines{"PUBACK 5 0x00"});
    CHECK(reader->receive(1) == Lines{"PUBLISH a x qos=1 id=2"});
    CHECK(rig.port->publishes.empty());
    writer->send("PUBLISH b x qos=1 id=6");
    CHECK(writer->receive(1) == Lines{"PUBACK 6 0x10"});
}

TEST_CASE("A publish for another loop is acknowledged when that has it", "[R-2]") {
    FrontEndRig rig;
    rig.port->loop_subscribes("a", 1);
    const auto writer = rig.memory_client("w");
    writer->send("PUBLISH a x qos=1 id=5");
    REQUIRE(rig.until([&] { return !rig.port->publishes.empty(); }));
    const FakePort::Publish sent = rig.port->publishes.at(0);
    CHECK(sent.to == "loop 1");
    CHECK(sent.payload == "x");
    CHECK(writer->receive_nothing_more().empty());
    rig.taken(sent.ticket, 1);
    CHECK(writer->receive(1) == Lines{"PUBACK 5 0x00"});
    rig.taken(sent.ticket, 1);  // twice changes nothing
    CHECK(writer->receive_nothing_more().empty());
}

TEST_CASE("Nobody took it: the publisher is told", "[MQTT-4.3.2-4]") {
    FrontEndRig rig;
    rig.port->loop_subscribes("a", 1);
    const auto writer = rig.memory_client("w");
    writer->send("PUBLISH a x qos=1 id=5");
    REQUIRE(rig.until([&] { return !rig.port->publishes.empty(); }));
    rig.taken(rig.port->publishes.at(0).ticket, 0);
    CHECK(writer->receive(1) == Lines{"PUBACK 5 0x10"});
}

TEST_CASE("A match that was cut off acknowledges nothing: there may be subscribers behind it",
          "[R-1]") {
    FrontEndRig rig;
    const auto reader = rig.memory_client("r");
    const auto writer = rig.memory_client("w");
    rig.subscribe(*reader, "a:1");
    rig.port->route("a", {{ShardId(3), mqtt::QoS::AtLeastOnce}});
    rig.port->cut_off = true;
    writer->send("PUBLISH a x qos=1 id=5");
    CHECK(writer->receive(1) == Lines{"PUBACK 5 0x97"});
    writer->send("PUBLISH a y qos=2 id=6");
    CHECK(writer->receive(1) == Lines{"PUBREC 6 0x97"});
    CHECK(rig.port->publishes.empty());
    // QoS 0 goes to those that were found.
    writer->send("PUBLISH a z");
    CHECK(reader->receive(1) == Lines{"PUBLISH a z qos=0"});
    CHECK(rig.port->publishes == Publishes{{"shard 3", 0, "a", "z"}});
}

TEST_CASE("Memory is also taken from who keeps many identifiers of QoS 2 open", "[R-9]") {
    FrontEndRig rig;
    const auto hoarder = rig.memory_client("h", mqtt::ProtocolVersion::V311);
    const auto other = rig.memory_client("o");
    constexpr int kOpen = 17'000;  // 128 KiB of them
    for (int id = 1; id <= kOpen; ++id) {
        hoarder->send("PUBLISH a x qos=2 id=" + std::to_string(id));
        if (id % 100 == 0) CHECK(hoarder->receive(100).size() == 100);
    }
    rig.front_end.shed(1);
    CHECK(rig.until([&] { return hoarder->ended(); }));
    CHECK_FALSE(other->ended());
}

TEST_CASE("A rate lets through at once what it allows in a period, then one after the other",
          "[R-9]") {
    FrontEndOptions options = FrontEndRig::anonymous();
    options.publish_rate = 3;
    options.publish_period = LoopTime(60'000);
    FrontEndRig rig(options);
    const auto writer = rig.memory_client("w");
    for (int i = 1; i <= 5; ++i)
        writer->send("PUBLISH a x qos=1 id=" + std::to_string(i));
    CHECK(writer->receive(3).size() == 3);
    CHECK(writer->receive_nothing_more().empty());
    rig.clock.skip(std::chrono::milliseconds(19'000));
    CHECK(writer->receive_nothing_more().empty());
    rig.clock.skip(std::chrono::milliseconds(1'000));
    CHECK(writer->receive(1) == Lines{"PUBACK 4 0x10"});
    CHECK(writer->receive_nothing_more().empty());
    rig.clock.skip(std::chrono::milliseconds(20'000));
    CHECK(writer->receive(1) == Lines{"PUBACK 5 0x10"});
}

TEST_CASE("QoS 0 waits for nobody and asks for no answer") {
    FrontEndRig rig;
    rig.port->loop_subscribes("a", 1);
    rig.port->route("a", {{ShardId(3), mqtt::QoS::AtLeastOnce}});
    const auto writer = rig.memory_client("w");
    writer->send("PUBLISH a x");
    REQUIRE(rig.until([&] { return rig.port->publishes.size() == 2; }));
    CHECK(rig.port->publishes == Publishes{{"shard 3", 0, "a", "x"}, {"loop 1", 0, "a", "x"}});
    CHECK(writer->receive_nothing_more().empty());
}

TEST_CASE("A durable match goes to the topic's owner, and this node's loops get it at once",
          "[R-1]") {
    FrontEndRig rig;
    rig.port->route("a", {{ShardId(3), mqtt::QoS::AtLeastOnce}});
    rig.port->loop_subscribes("a", 1);
    const auto writer = rig.memory_client("w");
    writer->send("PUBLISH a x qos=1 id=5");
    REQUIRE(rig.until([&] { return rig.port->publishes.size() == 2; }));
    CHECK(rig.port->publishes.at(0).to == "owner-rest");
    CHECK(rig.port->publishes.at(1).to == "loop 1");
    const cluster::Ticket ticket = rig.port->publishes.at(0).ticket;
    CHECK(rig.port->publishes.at(1).ticket == ticket);
    rig.taken(ticket, 1);
    CHECK(writer->receive_nothing_more().empty());
    rig.taken(ticket, 1);
    CHECK(writer->receive(1) == Lines{"PUBACK 5 0x00"});
}

TEST_CASE("Without credit the publish waits unread, and PINGREQ is still answered", "[R-9]") {
    FrontEndRig rig;
    rig.port->route("a", {{ShardId(3), mqtt::QoS::AtLeastOnce}});
    const auto writer = rig.memory_client("w");
    rig.port->owner_full = true;
    writer->send("PUBLISH a 1 qos=1 id=5");
    writer->send("PUBLISH a 2 qos=1 id=6");
    writer->send("PINGREQ");
    CHECK(rig.port->publishes.empty());
    rig.port->owner_full = false;
    rig.arrive([](cluster::LoopSink& sink) { sink.on_credit(); });
    REQUIRE(rig.until([&] { return rig.port->publishes.size() == 2; }));
    CHECK(rig.port->publishes.at(0).payload == "1");
    CHECK(rig.port->publishes.at(1).payload == "2");
    // When it came depends on what was read at once.
    CHECK(writer->receive(1) == Lines{"PINGRESP"});
}

TEST_CASE("A publish waits, and goes nowhere, while another loop is too far behind", "[R-9]") {
    FrontEndRig rig;
    rig.port->loop_subscribes("a", 1);
    rig.port->route("a", {{ShardId(3), mqtt::QoS::AtLeastOnce}});
    const auto writer = rig.memory_client("w");
    rig.port->loops_full = true;
    writer->send("PUBLISH a 1 qos=1 id=5");
    CHECK(writer->receive_nothing_more().empty());
    CHECK(rig.port->publishes.empty());
    rig.port->loops_full = false;
    rig.arrive([](cluster::LoopSink& sink) { sink.on_credit(); });
    CHECK(rig.until([&] { return rig.port->publishes.size() == 2; }));
}

TEST_CASE("PUBACKs leave in the order of the PUBLISH packets", "[MQTT-4.6.0-2]") {
    FrontEndRig rig;
    rig.port->loop_subscribes("a", 1);
    const auto writer = rig.memory_client("w");
    writer->send("PUBLISH a 1 qos=1 id=5");
    writer->send("PUBLISH a 2 qos=1 id=6");
    writer->send("PUBLISH b 3 qos=1 id=7");
    REQUIRE(rig.until([&] { return rig.port->publishes.size() == 2; }));
    rig.taken(rig.port->publishes.at(1).ticket, 1);
    CHECK(writer->receive_nothing_more().empty());
    rig.taken(rig.port->publishes.at(0).ticket, 1);
    CHECK(writer->receive(3) == Lines{"PUBACK 5 0x00", "PUBACK 6 0x00", "PUBACK 7 0x10"});
}

TEST_CASE("What follows a retained message of its topic goes the same way until that is taken",
          "[R-2]") {
    FrontEndRig rig;
    const auto reader = rig.memory_client("r");
    const auto writer = rig.memory_client("w");
    rig.subscribe(*reader, "a:1");
    writer->send("PUBLISH a kept retain");
    writer->send("PUBLISH a later");
    writer->send("PUBLISH b other");
    REQUIRE(rig.until([&] { return rig.port->publishes.size() == 2; }));
    CHECK(rig.port->publishes.at(0).to == "owner");
    CHECK(rig.port->publishes.at(1).to == "owner");
    CHECK(reader->receive_nothing_more().empty());
    rig.taken(rig.port->publishes.at(0).ticket, 1);
    rig.taken(rig.port->publishes.at(1).ticket, 1);
    writer->send("PUBLISH a direct");
    CHECK(reader->receive(1) == Lines{"PUBLISH a direct qos=0"});
    CHECK(rig.port->publishes.size() == 2);
}

TEST_CASE("A publish nobody answers in time is refused, and a late answer does no harm", "[R-2]") {
    FrontEndOptions options = FrontEndRig::anonymous();
    options.publish_timeout = LoopTime(10'000);
    FrontEndRig rig(options);
    rig.port->loop_subscribes("a", 1);
    const auto writer = rig.memory_client("w");
    const auto old = rig.memory_client("o", mqtt::ProtocolVersion::V311);
    writer->send("PUBLISH a x qos=1 id=5");
    old->send("PUBLISH a y qos=1 id=5");
    REQUIRE(rig.until([&] { return rig.port->publishes.size() == 2; }));
    rig.clock.skip(std::chrono::seconds(12));
    CHECK(writer->receive(1) == Lines{"PUBACK 5 0x97"});
    CHECK(rig.until([&] { return old->ended(); }));
    rig.taken(rig.port->publishes.at(0).ticket, 1);
    rig.taken(rig.port->publishes.at(1).ticket, 1);
    CHECK(writer->receive_nothing_more().empty());
}

TEST_CASE(
    "A shared group without room holds the publisher back; after another group took it, "
    "the publish is refused instead",
    "[R-9]") {
    FrontEndRig rig;
    const auto writer = rig.memory_client("w");
    rig.port->group("a", "g/a");
    rig.port->group("a/#", "h/a/#");
    rig.port->full_groups = {"g/a", "h/a/#"};
    writer->send("PUBLISH a x qos=1 id=5");
    CHECK(writer->receive_nothing_more().empty());
    CHECK(rig.port->publishes.empty());
    // Whichever is asked first takes it now, the other does not.
    rig.port->full_groups = {"h/a/#"};
    rig.arrive([](cluster::LoopSink& sink) { sink.on_credit(); });
    rig.turn();
    if (rig.port->publishes.empty()) {
        rig.port->full_groups = {"g/a"};
        rig.arrive([](cluster::LoopSink& sink) { sink.on_credit(); });
    }
    REQUIRE(rig.until([&] { return rig.port->publishes.size() == 1; }));
    rig.taken(rig.port->publishes.at(0).ticket, 1);
    CHECK(writer->receive(1) == Lines{"PUBACK 5 0x97"});
}

TEST_CASE("A client's own message reaches it by the subscriptions that are not No Local",
          "[MQTT-3.8.3-3][MQTT-3.3.4-4]") {
    FrontEndRig rig;
    const auto client = rig.memory_client("c");
    rig.subscribe(*client, "a:2:nl sub-id=7");
    client->send("PUBLISH a hidden qos=1 id=5");
    CHECK(client->receive(1) == Lines{"PUBACK 5 0x10"});
    rig.subscribe(*client, "+:0 sub-id=8");
    client->send("PUBLISH a seen qos=1 id=6");
    CHECK(client->receive(2) == Lines{"PUBLISH a seen qos=0 sub-id=8", "PUBACK 6 0x00"});
}

TEST_CASE("Publishes of other threads are matched here and answered with how many have them") {
    FrontEndRig rig;
    const auto reader = rig.memory_client("r");
    rig.subscribe(*reader, "a/+:1");
    cluster::PublishBatch batch;
    batch.from = cluster::local_port(cluster::PortId(1));
    mqtt::MessageView message;
    message.topic = "a/b";
    message.payload = "x";
    message.qos = mqtt::QoS::AtLeastOnce;
    batch.add(11, 0, message);
    message.topic = "c";
    batch.add(12, 0, message);
    message.qos = mqtt::QoS::AtMostOnce;
    batch.add(0, 0, message);
    rig.arrive([&](cluster::LoopSink& sink) { sink.on_publishes(batch); });
    CHECK(reader->receive(1) == Lines{"PUBLISH a/b x qos=1 id=2"});
    REQUIRE(rig.port->taken_by_us.size() == 2);
    CHECK(rig.port->taken_by_us[0].ticket == 11);
    CHECK(rig.port->taken_by_us[0].receivers == 1);
    CHECK(rig.port->taken_by_us[1].receivers == 0);
}

TEST_CASE("A shared message that comes after UNSUBSCRIBE goes back to its group",
          "[MQTT-3.10.4-2]") {
    FrontEndRig rig;
    const auto member = rig.memory_client("m");
    const auto deliver = [&](uint64_t ticket) {
        mqtt::MessageView message;
        message.topic = "a";
        message.payload = "x";
        message.qos = mqtt::QoS::AtLeastOnce;
        std::string flat;
        mqtt::encode_message(flat, message);
        cluster::SharedDelivery delivery;
        delivery.connection = {make_incarnation(NodeId(1), 1), LoopId(0), 0, 1};
        delivery.ticket = ticket;
        delivery.qos = mqtt::QoS::AtLeastOnce;
        delivery.group_hash = hash64("g/a");
        delivery.message = SharedBytes(as_bytes(flat));
        rig.arrive([=](cluster::LoopSink& sink) { sink.on_shared(delivery); });
    };
    member->send("SUBSCRIBE 7 $share/g/a:1 sub-id=9");
    rig.answer(rig.command("route").token, cluster::RouteResult{});
    CHECK(member->receive(1) == Lines{"SUBACK 7 0x01"});
    deliver(1);
    CHECK(member->receive(1) == Lines{"PUBLISH a x qos=1 id=2 sub-id=9"});
    member->send("UNSUBSCRIBE 8 $share/g/a");
    CHECK(member->receive(1) == Lines{"UNSUBACK 8 0x00"});
    deliver(2);
    CHECK(member->receive_nothing_more().empty());
    REQUIRE(rig.port->shared_acks.size() == 1);
    CHECK(rig.port->shared_acks[0].ticket == 2);
    CHECK(rig.port->shared_acks[0].kind == cluster::SharedAck::Kind::Unsent);
}

TEST_CASE("$SYS is the broker's own") {
    FrontEndRig rig;
    const auto writer = rig.memory_client("w");
    writer->send("PUBLISH $SYS/x y qos=1 id=5");
    CHECK(writer->receive(1) == Lines{"PUBACK 5 0x87"});
}

}  // namespace
}  // namespace quorate::broker::test
