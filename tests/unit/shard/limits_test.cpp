#include <vector>

#include "cluster/shard/producers.h"
#include "tests/unit/catch.h"
#include "tests/unit/shard/script.h"

namespace quorate::cluster::testing {
namespace {

TEST_CASE("Limits are answered with Quota exceeded and nothing else changes", "[MQTT-4.13.1-1]") {
    ShardOptions options;
    options.sessions_max = 1;
    options.subscriptions_max = 1;
    options.outbox_entries_max = 1;
    options.received_ids_max = 5;
    options.queue_bytes_max = 100;
    Harness harness(options);
    run_line(harness, "attach c1");
    CHECK(run_line(harness, "attach c2") == "  ok attach Quota exceeded conn=1.1.1\n");
    CHECK(run_line(harness, "subscribe c1 a,1 b,1") == "  ok [1 new wait=1] [151 new]\n  routes\n");
    CHECK(run_line(harness, "subscribe c1 a,1") == "  ok [1 wait=1]\n  routes\n");
    run_line(harness, "put c1 1 t m");
    CHECK(run_line(harness, "put c1 2 t m") == "  limit Quota exceeded\n");
    CHECK(run_line(harness, "release c1 2") == "  ok unknown\n");
    // Larger than the whole queue may be.
    CHECK(run_line(harness, "enqueue a " + std::string(200, 'x')) == "  ok queued=0 dropped=1\n");
    CHECK(harness.state().counters().queue_full == 1);
}

TEST_CASE(
    "What is given back to a shared group needs no room, and is counted when there is no group") {
    ShardOptions options;
    options.group_messages_max = 1;
    Harness harness(options);
    run_line(harness, "attach c1");
    run_line(harness, "route $share/g/t session,0,1 serial=1");
    CHECK(run_line(harness, "enqueue-group g/t a").starts_with("  ok queued n=1"));
    CHECK(run_line(harness, "enqueue-group g/t b").starts_with("  limit"));
    CHECK(run_line(harness, "enqueue-group g/t c source=0,group,0,1,0")
              .starts_with("  ok queued n=2"));
    CHECK(harness.state().counters().group_full == 1);
    run_line(harness, "route $share/g/t session,0,1 serial=2 remove");
    CHECK(harness.state().counters().session_ended == 2);
    CHECK(run_line(harness, "enqueue-group g/t d source=0,group,0,2,1") == "  ok repeat\n");
    CHECK(harness.state().counters().session_ended == 3);
}

TEST_CASE("A session has no more shared subscriptions than its SUBSCRIBE allows") {
    Harness harness{ShardOptions{}};
    run_line(harness, "attach c1");
    const auto codes = [&harness](std::vector<std::string_view> filters, uint32_t shared_max) {
        const SessionView session = *harness.state().session(std::string_view("c1"));
        Subscribe body{session.id, session.epoch, {}};
        for (const std::string_view filter : filters)
            body.requests.push_back({filter, mqtt::QoS::AtLeastOnce});
        body.shared_max = shared_max;
        harness.apply(harness.header(), body, false);
        return harness.state().session(session.id)->subscriptions;
    };
    CHECK(codes({"$share/g/a", "b", "$share/g/c"}, 1) == 2);
    CHECK(codes({"$share/g/a"}, 1) == 2);  // had before
    CHECK(codes({"$share/g/c"}, 2) == 3);
    CHECK(codes({"$share/g/d", "e"}, 0) == 4);
}

TEST_CASE("A full broker refuses new sessions and resumes those that exist") {
    Harness harness{ShardOptions{}};
    const auto attach = [&harness](std::string_view client, bool clean) {
        Attach body;
        body.client_id = client;
        body.clean_start = clean;
        body.no_new = true;
        body.session_expiry_s = 60;
        harness.apply(harness.header(), body, false);
        return harness.state().session(client).has_value();
    };
    CHECK_FALSE(attach("c1", false));
    run_line(harness, "attach c1");
    run_line(harness, "detached c1 lost");
    CHECK(attach("c1", false));
    CHECK(harness.state().session(std::string_view("c1"))->connection.has_value());
    run_line(harness, "detached c1 lost");
    CHECK(attach("c1", true));
    CHECK(harness.state().session_count() == 1);
}

TEST_CASE("A client that never acknowledges its first message bounds what the rest may cost") {
    ShardOptions options;
    options.queue_messages_max = 8;
    options.queue_span_slack = 20;
    Harness harness(options);
    run_line(harness, "attach c1 rm=2");
    run_line(harness, "subscribe c1 t,1");
    const std::string message = flat("t", "m");
    for (int i = 0; i < 200; ++i) {
        harness.apply(harness.header(), Enqueue{message, {}, {}}, false);
    }
    const auto view = *harness.state().session(std::string_view("c1"));
    CHECK(view.first_unacked == MessageNumber(1));
    CHECK(view.queued == 8);
    CHECK(view.next.value() == 8 * 4 + 20 + 1);
    CHECK(harness.state().counts().queued_messages == 8);
    run_line(harness, "ack c1 puback,1 puback,2");
    CHECK(run_line(harness, "enqueue t more").starts_with("  ok queued=1"));
}

TEST_CASE("What was acknowledged leaves the store") {
    Harness harness;
    run_line(harness, "attach c1 rm=1000");
    run_line(harness, "attach c2 conn=1.1.2 rm=1000");
    run_line(harness, "subscribe c1 t,1");
    run_line(harness, "subscribe c2 t,1");
    const auto records = [&harness] {
        std::size_t count = 0;
        REQUIRE(harness.store().scan("", "", [&count](auto, auto) { return ++count > 0; }).ok());
        return count;
    };
    const std::size_t before = records();
    for (int i = 1; i <= 600; ++i) {
        run_line(harness, "enqueue t m");
        run_line(harness, "ack c1 puback," + std::to_string(i));
        run_line(harness, "ack c2 puback," + std::to_string(i));
    }
    CHECK(records() < before + 2 * 256);
    run_line(harness, "detached c1 lost");
    run_line(harness, "detached c2 normal expiry=0");
    CHECK(records() < before);
}

TEST_CASE(
    "When the route of a member is made, its group's leader is told whether it is connected") {
    Harness shard;
    Attach attach;
    attach.client_id = "c";
    attach.session_expiry_s = 100;
    attach.connection.incarnation = make_incarnation(NodeId(1), 1);
    shard.apply(shard.header(), attach);
    const auto session = std::get<AttachResult>(shard.actions.answers.at(0).result);
    SubscriptionRequest request;
    request.filter = "$share/g/t";
    request.qos = mqtt::QoS::AtLeastOnce;
    shard.apply(shard.header(), Subscribe{session.session, session.epoch, {request}});
    const auto asked = std::get<SubscribeResult>(shard.actions.answers.at(0).result).filters.at(0);
    CHECK(shard.actions.presence.empty());
    Made made;
    made.routes.push_back({request.filter, asked.member, asked.wait_for});
    shard.apply(Harness::leader_header(), made);
    CHECK(shard.actions.presence == std::vector<SessionId>{session.session});
}

// What the answer to this very command was, and what it is when it is sent again.
struct Twice {
    AnswerCode first;
    AnswerCode again;
    bool operator==(const Twice&) const = default;
};

Twice twice(Harness& shard, const CommandBody& body) {
    const CommandHeader header = shard.header();
    shard.apply(header, body);
    const AnswerCode first = shard.actions.answers.at(0).code;
    shard.apply(header, body);
    const AnswerCode again = shard.actions.answers.at(0).code;
    shard.restart();
    shard.apply(header, body);
    CHECK(shard.actions.answers.at(0).code == again);
    return {first, again};
}

constexpr Twice kTaken{AnswerCode::Applied, AnswerCode::Duplicate};
constexpr Twice kRefused{AnswerCode::LimitExceeded, AnswerCode::LimitExceeded};

TEST_CASE("A refused command that is sent again is refused again", "[R-3]") {
    ShardOptions options;
    options.queue_messages_max = 1;
    options.queue_full = QueuePolicy::Reject;
    options.group_messages_max = 1;
    Harness shard(options);
    run_line(shard, "attach c1");
    run_line(shard, "subscribe c1 t,1 $share/g/u,1");
    run_line(shard, "route $share/g/u session,0,1 serial=9");
    const std::string message = flat("t", "m");
    CHECK(twice(shard, Enqueue{message, {}, {}}) == kTaken);
    // The answer says how many had no room; the same again can only say that some had not.
    CHECK(twice(shard, Enqueue{message, {}, {}}) ==
          Twice{AnswerCode::Applied, AnswerCode::LimitExceeded});
    CHECK(twice(shard, EnqueueGroup{"g/u", message, {}}) == kTaken);
    CHECK(twice(shard, EnqueueGroup{"g/u", message, {}}) == kRefused);

    // A leader without disk writes a refusal in the place of the command.
    const CommandHeader header = shard.header();
    shard.apply(header, Void{true});
    shard.apply(header, Enqueue{message, {}, {}});
    CHECK(shard.actions.answers.at(0).code == AnswerCode::LimitExceeded);
}

TEST_CASE("A refusal in the place of a command that was applied answers nothing", "[R-3]") {
    Harness shard{ShardOptions{}};
    Attach attach;
    attach.client_id = "c1";
    attach.session_expiry_s = 100;
    const CommandHeader header = shard.header();
    CHECK(shard.state().may_refuse({header, attach}));
    shard.apply(header, attach);
    CHECK_FALSE(shard.state().may_refuse({header, attach}));
    shard.apply(header, Void{true});
    CHECK(shard.actions.answers.empty());
    shard.apply(header, attach);
    CHECK(std::holds_alternative<AttachResult>(shard.actions.answers.at(0).result));
}

TEST_CASE("A PUBLISH of QoS 2 sent again is answered by whether its identifier is taken", "[R-3]") {
    ShardOptions options;
    options.outbox_entries_max = 1;
    Harness shard(options);
    run_line(shard, "attach c1");
    const auto session = std::get<AttachResult>(shard.actions.answers.at(0).result);
    const std::string message = flat("t", "m", mqtt::QoS::ExactlyOnce);
    const auto again = [&](uint16_t id) {
        const OutboxPut put{session.session, session.epoch, PacketId(id), message};
        const CommandHeader header = shard.header();
        shard.apply(header, put);
        shard.apply(header, put);
        return std::get<OutboxPutResult>(shard.actions.answers.at(0).result);
    };
    const OutboxPutResult taken = again(1);
    CHECK(taken.code == mqtt::ReasonCode::Success);
    CHECK(taken.already_received);
    CHECK(again(2).code == mqtt::ReasonCode::QuotaExceeded);
}

TEST_CASE("More refusals than a lane remembers are never answered with success", "[R-3]") {
    ShardOptions options;
    options.queue_messages_max = 1;
    options.queue_full = QueuePolicy::Reject;
    Harness shard(options);
    run_line(shard, "attach c1");
    run_line(shard, "subscribe c1 t,1");
    const std::string message = flat("t", "m");
    const Enqueue enqueue{message, {}, {}};
    std::vector<CommandHeader> refused;
    for (std::size_t i = 0; i < 2 * Producers::kRefusedMax; ++i) {
        const CommandHeader header = shard.header();
        shard.apply(header, enqueue);
        if (i > 0) refused.push_back(header);
    }
    const std::string other = flat("nobody", "m");
    const CommandHeader last = shard.header();
    shard.apply(last, Enqueue{other, {}, {}});
    for (const CommandHeader& header : refused) {
        shard.apply(header, enqueue, false);
        CHECK(shard.actions.answers.at(0).code == AnswerCode::LimitExceeded);
    }
    shard.apply(last, Enqueue{other, {}, {}});
    CHECK(shard.actions.answers.at(0).code == AnswerCode::Duplicate);
}

}  // namespace
}  // namespace quorate::cluster::testing
