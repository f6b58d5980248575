#include "broker/app/desks/session_desk.h"

#include "proto/base/hash.h"
#include "tests/unit/app/front_end_rig.h"
#include "tests/unit/catch.h"

namespace quorate::broker::test {
namespace {

using Lines = std::vector<std::string>;

ShardId shard_of_client(const std::string& id) {
    return shard_of(id, 4);
}

cluster::LetGoRequest let_go(uint32_t slot, uint64_t epoch = 1) {
    cluster::LetGoRequest request;
    request.shard = ShardId(2);
    request.let_go = {
        {make_incarnation(NodeId(1), 1), LoopId(0), slot, slot + 1}, SessionId(1), Epoch(epoch)};
    return request;
}

TEST_CASE("CONNECT becomes an Attach at the client's shard, and CONNACK its answer", "[R-7]") {
    FrontEndRig rig;
    const auto client = rig.open();
    client->send("CONNECT v5 id=c1 expiry=50 rm=7 user=u will=w:gone will-delay=3");
    const FakePort::Sent sent = rig.command("attach");
    const cluster::CommandBody body = sent.body();
    const auto& attach = std::get<cluster::Attach>(body);
    CHECK(sent.shard == shard_of_client("c1"));
    CHECK(attach.client_id == "c1");
    CHECK(attach.identity.empty());  // nobody has proved to be `u`
    CHECK(attach.session_expiry_s == 50);
    CHECK(attach.receive_maximum == 7);
    CHECK_FALSE(attach.clean_start);
    REQUIRE(attach.will);
    CHECK(attach.will->delay_s == 3);
    CHECK(client->receive_nothing_more().empty());
    rig.answer(sent.token, FrontEndRig::attached(true));
    CHECK(client->receive(1).at(0).starts_with("CONNACK 0x00"));
    REQUIRE(rig.port->wants.size() == 1);
    CHECK(rig.port->wants[0].next == MessageNumber(1));
    CHECK(rig.port->wants[0].credit == 7);
    CHECK(rig.port->wants[0].room > 0);
}

TEST_CASE("A shard whose lane is full makes the server busy, not the client wait", "[R-9]") {
    FrontEndRig rig;
    rig.port->full_lanes = {shard_of_client("c1")};
    const auto client = rig.open();
    client->send("CONNECT v5 id=c1 clean");
    CHECK(client->receive(1).at(0).starts_with("CONNACK 0x89"));
    CHECK(rig.no_command());
}

TEST_CASE("An Attach that nobody answers is refused, and detached when the answer comes after all",
          "[R-7]") {
    FrontEndRig rig;
    const auto client = rig.open();
    client->send("CONNECT v5 id=c1 expiry=50");
    const FakePort::Sent sent = rig.command("attach");
    rig.clock.skip(std::chrono::seconds(16));
    CHECK(client->receive(1).at(0).starts_with("CONNACK 0x88"));
    rig.answer(sent.token, FrontEndRig::attached(true));
    const FakePort::Sent good_bye = rig.command("detached");
    const cluster::CommandBody body = good_bye.body();
    CHECK(std::get<cluster::Detached>(body).session == SessionId(1));
}

TEST_CASE("A connection lost while its Attach is under way is detached once it is answered",
          "[R-7]") {
    FrontEndRig rig;
    auto client = rig.open();
    client->send("CONNECT v5 id=c1 expiry=50");
    const FakePort::Sent sent = rig.command("attach");
    client->socket().break_off();
    CHECK(rig.no_command());
    rig.answer(sent.token, FrontEndRig::attached(true));
    const cluster::CommandBody body = rig.command("detached").body();
    CHECK(std::get<cluster::Detached>(body).how == cluster::DetachHow::Lost);
}

TEST_CASE("QoS 2 of a durable session: PUBREC when it is in the outbox, PUBCOMP when released",
          "[R-5][MQTT-4.3.3-8][MQTT-4.3.3-11]") {
    FrontEndRig rig;
    const auto client = rig.durable_client("c1");
    client->send("PUBLISH a x qos=2 id=5");
    const FakePort::Sent put = rig.command("outbox-put");
    CHECK(client->receive_nothing_more().empty());
    rig.answer(put.token, cluster::OutboxPutResult{});
    CHECK(client->receive(1) == Lines{"PUBREC 5 0x00"});
    client->send("PUBREL 5");
    const FakePort::Sent release = rig.command("release");
    CHECK(client->receive_nothing_more().empty());
    rig.answer(release.token, cluster::ReleaseResult{true});
    CHECK(client->receive(1) == Lines{"PUBCOMP 5 0x00"});
}

TEST_CASE("PUBREL waits for room in the shard's lane, and the client stays", "[R-9][R-5]") {
    FrontEndRig rig;
    const auto client = rig.durable_client("c1");
    client->send("PUBLISH a x qos=2 id=5");
    rig.answer(rig.command("outbox-put").token, cluster::OutboxPutResult{});
    CHECK(client->receive(1) == Lines{"PUBREC 5 0x00"});
    rig.port->full_lanes = {shard_of_client("c1")};
    client->send("PUBREL 5");
    client->send("PINGREQ");
    CHECK(client->receive(1) == Lines{"PINGRESP"});
    CHECK_FALSE(client->ended());
    CHECK(rig.no_command());
    rig.port->full_lanes.clear();
    rig.arrive([](cluster::LoopSink& sink) { sink.on_credit(); });
    rig.answer(rig.command("release").token, cluster::ReleaseResult{true});
    CHECK(client->receive(1) == Lines{"PUBCOMP 5 0x00"});
}

TEST_CASE("A good-bye waits behind a PUBREL of the same shard, and not behind another shard's lane",
          "[R-3][R-7]") {
    std::string other = "d1";
    while (shard_of_client(other) == shard_of_client("c1"))
        other += "x";
    FrontEndRig rig;
    const auto client = rig.durable_client("c1");
    const auto second = rig.durable_client(other);
    rig.port->full_lanes = {shard_of_client("c1")};
    client->send("PUBREL 5");
    client->send("DISCONNECT 0x00");
    rig.turn();
    second->send("DISCONNECT 0x00");
    const FakePort::Sent free = rig.command("detached");
    CHECK(free.shard == shard_of_client(other));
    CHECK(rig.no_command());
    rig.port->full_lanes.clear();
    rig.arrive([](cluster::LoopSink& sink) { sink.on_credit(); });
    CHECK(rig.command("release").shard == shard_of_client("c1"));
    CHECK(rig.command("detached").shard == shard_of_client("c1"));
}

TEST_CASE("The acknowledgements of a turn are one command", "[R-6]") {
    FrontEndRig rig;
    const auto client = rig.durable_client("c1");
    for (uint64_t number = 1; number <= 3; ++number)
        rig.deliver(number, mqtt::QoS::AtLeastOnce);
    CHECK(client->receive(3).size() == 3);
    rig.port->wants.clear();
    client->send("PUBACK 2");
    client->send("PUBACK 3");
    client->send("PUBACK 4");
    std::size_t acknowledged = 0;
    std::size_t sent = 0;
    while (acknowledged < 3) {
        const FakePort::Sent command = rig.command("ack");
        const cluster::CommandBody body = command.body();
        acknowledged += std::get<cluster::Ack>(body).items.size();
        ++sent;
    }
    CHECK(sent <= 3);
    REQUIRE_FALSE(rig.port->wants.empty());
    CHECK(rig.port->wants.back().next == MessageNumber(4));
}

TEST_CASE("PUBREL leaves after PUBREC was committed", "[R-6][MQTT-4.3.3-4]") {
    FrontEndRig rig;
    const auto client = rig.durable_client("c1");
    rig.deliver(1, mqtt::QoS::ExactlyOnce);
    CHECK(client->receive(1) == Lines{"PUBLISH t x qos=2 id=2"});
    client->send("PUBREC 2");
    const FakePort::Sent ack = rig.command("ack");
    CHECK(client->receive_nothing_more().empty());
    rig.answer(ack.token, cluster::AckResult{});
    CHECK(client->receive(1) == Lines{"PUBREL 2 0x00"});
}

TEST_CASE("Acknowledgements wait while the shard's lane is full", "[R-9]") {
    FrontEndRig rig;
    const auto client = rig.durable_client("c1");
    rig.deliver(1, mqtt::QoS::AtLeastOnce);
    CHECK(client->receive(1).size() == 1);
    rig.port->full_lanes = {shard_of_client("c1")};
    client->send("PUBACK 2");
    CHECK(rig.no_command());
    rig.port->full_lanes.clear();
    rig.command("ack");
}

TEST_CASE("A session whose client reads slowly is sent no more than its output may hold",
          "[R-6][R-9]") {
    FrontEndOptions options = FrontEndRig::anonymous();
    options.limits.max_output_bytes = 100'000;
    options.limits.max_inflight_out = 1000;
    FrontEndRig rig(options);
    const auto client = rig.durable_client("c1");
    REQUIRE(rig.port->wants.back().room > 99'000);  // CONNACK was not written yet
    const std::string payload(50'000, 'x');
    uint64_t number = 0;
    // Until the kernel takes no more.
    while (rig.port->wants.back().room > 0 && number < 500)
        rig.deliver(++number, mqtt::QoS::AtLeastOnce, payload);
    REQUIRE(rig.port->wants.back().room == 0);
    CHECK(rig.port->wants.back().credit > 0);
    const std::size_t asked = rig.port->wants.size();
    rig.turn();
    CHECK(rig.port->wants.size() == asked);
    // It reads again.
    Client& socket = client->socket();
    REQUIRE(rig.until([&] { return socket.receive() && rig.port->wants.back().room > 0; }));
    CHECK(rig.until(
        [&] { return socket.receive() && socket.received().size() > number * payload.size(); }));
    CHECK(rig.port->wants.back().received == number * (payload.size() + 1));
}

TEST_CASE("A client that reads and does not acknowledge is sent its whole window", "[R-6]") {
    FrontEndOptions options = FrontEndRig::anonymous();
    options.limits.max_output_bytes = 100'000;
    FrontEndRig rig(options);
    const auto client = rig.durable_client("c1");
    const std::string payload(30'000, 'x');
    for (uint64_t number = 1; number <= 20; ++number) {
        const cluster::Want& want = rig.port->wants.back();
        REQUIRE(rig.until([&] { return want.received + want.room > (number - 1) * 30'001; }));
        rig.deliver(number, mqtt::QoS::AtLeastOnce, payload);
        CHECK(client->receive(1).size() == 1);
    }
}

TEST_CASE("A connection goes on with the retained messages that an earlier one left", "[R-4]") {
    FrontEndRig rig;
    const auto client = rig.open();
    client->send("CONNECT v5 id=c1 expiry=50");
    cluster::AttachResult resumed = FrontEndRig::attached(true, 7, 3);
    const cluster::ReplayId id{Epoch(2), CommandNumber(5)};
    resumed.replays.push_back({"r/#", {id, ShardId(2), "r/k"}});
    rig.port->shards_with_retained = {ShardId(2), ShardId(6)};
    rig.answer(rig.command("attach").token, resumed);
    REQUIRE(rig.until([&] { return !rig.port->queries.empty(); }));
    const cluster::RetainedQuery first = rig.port->queries.at(0);
    CHECK(first.at.shard == ShardId(2));
    CHECK(first.at.after == "r/k");
    REQUIRE(first.durable);
    CHECK(first.durable->replay == id);
    CHECK(first.durable->then == ShardId(6));
    CHECK(first.durable->from.after == "r/k");

    cluster::RetainedPage page;
    page.token = first.token;
    page.next = cluster::RetainedCursor{ShardId(6), {}};
    rig.arrive([&](cluster::LoopSink& sink) { sink.on_retained(page); });
    REQUIRE(rig.until([&] { return rig.port->queries.size() == 2; }));
    const cluster::RetainedQuery last = rig.port->queries.at(1);
    CHECK(last.at.shard == ShardId(6));
    // An empty page is told to nobody: the session's shard still knows the first position.
    CHECK(last.durable->from.after == "r/k");
    CHECK_FALSE(last.durable->then);
}

TEST_CASE("The end of a replay is asked for also where nothing is retained", "[R-4]") {
    FrontEndRig rig;
    const auto client = rig.durable_client("c1");
    client->send("SUBSCRIBE 9 r/#:1");
    const FakePort::Sent subscribe = rig.command("subscribe");
    const auto body = subscribe.body();
    CHECK(std::get<cluster::Subscribe>(body).requests.at(0).replay);
    cluster::SubscribeResult result;
    result.filters.resize(1);
    result.filters[0].code = mqtt::ReasonCode::GrantedQos1;
    result.filters[0].replay = {Epoch(1), CommandNumber(2)};
    rig.answer(subscribe.token, result);
    REQUIRE(rig.until([&] { return !rig.port->queries.empty(); }));
    CHECK_FALSE(rig.port->queries.at(0).durable->then);
    CHECK(rig.port->queries.at(0).at.after.empty());
}

TEST_CASE("A holder that is asked lets go: 0x8E, and Detached", "[R-7][MQTT-3.1.4-3]") {
    FrontEndRig rig;
    const auto client = rig.durable_client("c1");
    rig.arrive([](cluster::LoopSink& sink) { sink.on_let_go(let_go(0)); });
    CHECK(client->receive(1).at(0).starts_with("DISCONNECT 0x8E"));
    const cluster::CommandBody body = rig.command("detached").body();
    CHECK(std::get<cluster::Detached>(body).how == cluster::DetachHow::TakenOver);
    CHECK(rig.until([&] { return client->ended(); }));
}

TEST_CASE("Of a connection that is gone nothing but its end is left to say", "[R-7]") {
    FrontEndRig rig;
    rig.arrive([](cluster::LoopSink& sink) { sink.on_let_go(let_go(0)); });
    const cluster::CommandBody body = rig.command("detached").body();
    CHECK(std::get<cluster::Detached>(body).session == SessionId(1));
}

TEST_CASE("A holder whose own Attach is not answered yet is asked again later", "[R-7]") {
    FrontEndRig rig;
    const auto client = rig.open();
    client->send("CONNECT v5 id=c1 expiry=50");
    const FakePort::Sent attach = rig.command("attach");
    rig.arrive([](cluster::LoopSink& sink) { sink.on_let_go(let_go(0)); });
    CHECK(rig.no_command());
    rig.answer(attach.token, FrontEndRig::attached(true));
    rig.arrive([](cluster::LoopSink& sink) { sink.on_let_go(let_go(0)); });
    rig.command("detached");
}

TEST_CASE("Takeovers above the rate are put off until the allowance permits", "[R-7]") {
    FrontEndOptions options = FrontEndRig::anonymous();
    options.takeovers = 2;
    FrontEndRig rig(options);
    const auto ask = [&](uint32_t slot) {
        rig.arrive([&](cluster::LoopSink& sink) { sink.on_let_go(let_go(slot)); });
    };
    std::vector<std::unique_ptr<FrontEndRig::Mqtt>> clients;
    for (int i = 0; i < 3; ++i)
        clients.push_back(rig.durable_client("c1"));
    ask(0);
    rig.command("detached");
    ask(1);
    rig.command("detached");
    ask(2);
    CHECK(rig.no_command());
    CHECK_FALSE(clients[2]->ended());
    rig.clock.skip(std::chrono::seconds(30));
    ask(2);
    rig.command("detached");
    CHECK(clients[2]->receive(1).at(0).starts_with("DISCONNECT 0x8E"));
}

}  // namespace
}  // namespace quorate::broker::test
