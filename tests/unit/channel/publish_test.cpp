// PUBLISH of clients and its answers, statement by statement; back-pressure.
#include "tests/unit/catch.h"
#include "tests/unit/channel/recorder.h"

namespace quorate::broker::test {
namespace {

using mqtt::ReasonCode;

constexpr const char* kV5 = "CONNECT v5 id=c clean";
constexpr const char* kV3 = "CONNECT v311 id=c clean";

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

AttachOutcome durable_outcome() {
    AttachOutcome outcome;
    outcome.durable = true;
    return outcome;
}

// Only the packets sent to the client.
std::string packets(Bench& bench) {
    std::string out;
    for (const std::string& line : bench.lines()) {
        if (line.starts_with("<- ")) out += line.substr(3) + "; ";
    }
    return out;
}

}  // namespace

TEST_CASE("A PUBLISH is answered as its QoS demands",
          "[MQTT-3.3.4-1][MQTT-4.3.2-4][MQTT-4.3.3-8][MQTT-4.3.3-11][MQTT311-3.3.4-1]"
          "[MQTT311-4.3.2-2][MQTT311-4.3.3-2][MQTT311-2.3.1-6]") {
    for (const char* connect : {kV5, kV3}) {
        Bench bench;
        bench.connect(connect);
        bench.send("PUBLISH a x");
        CHECK(packets(bench).empty());
        bench.send("PUBLISH a x qos=1 id=7");
        CHECK(packets(bench) == "PUBACK 7 0x00; ");
        bench.send("PUBLISH a x qos=2 id=8\nPUBREL 8");
        CHECK(packets(bench) == "PUBREC 8 0x00; PUBCOMP 8 0x00; ");
    }
}

TEST_CASE("PUBACK and PUBREC come after the host's answer and in the order of the PUBLISH packets",
          "[MQTT-4.6.0-2][MQTT-4.6.0-3][MQTT311-4.6.0-2][MQTT311-4.6.0-3]") {
    Bench bench;
    bench.connect(kV5);
    bench.recorder.verdict.kind = PublishVerdict::Kind::Pending;
    for (int i = 0; i < 20; ++i) {
        bench.send("PUBLISH a x qos=1 id=" + std::to_string(100 + i));
        bench.send("PUBLISH a x qos=2 id=" + std::to_string(200 + i));
    }
    (void)bench.lines();
    for (uint32_t ticket = 19; ticket >= 1; --ticket) {
        bench.channel->on_published(ticket, ReasonCode::Success);
        bench.channel->on_published(0x80000000U | ticket, ReasonCode::Success);
    }
    CHECK(bench.lines().empty());
    bench.channel->on_published(0, ReasonCode::Success);
    bench.channel->on_published(0x80000000U, ReasonCode::Success);
    const std::vector<std::string> lines = bench.lines();
    REQUIRE(lines.size() == 40);
    for (std::size_t i = 0; i < 20; ++i) {
        CHECK(lines[i] == "<- PUBACK " + std::to_string(100 + i) + " 0x00");
        CHECK(lines[20 + i] == "<- PUBREC " + std::to_string(200 + i) + " 0x00");
    }
}

TEST_CASE("Answers of QoS 1 do not wait for those of QoS 2", "[MQTT-4.6.0-2]") {
    Bench bench;
    bench.connect(kV5);
    bench.recorder.verdict.kind = PublishVerdict::Kind::Pending;
    bench.send("PUBLISH a x qos=2 id=1\nPUBLISH a x qos=1 id=2");
    bench.channel->on_published(0, ReasonCode::Success);
    CHECK(packets(bench) == "PUBACK 2 0x00; ");
}

TEST_CASE("Before PUBREL the same identifier gets PUBREC and no second publish",
          "[MQTT-4.3.3-10][MQTT311-4.3.3-2]") {
    for (const char* connect : {kV5, kV3}) {
        Bench bench;
        bench.connect(connect);
        bench.send("PUBLISH a x qos=2 id=8\nPUBLISH a x qos=2 id=8 dup\nPUBLISH b y qos=2 id=8");
        CHECK(bench.log() ==
              "publish a x qos=2 id=8 ticket=2147483648\n"
              "<- PUBREC 8 0x00\n<- PUBREC 8 0x00\n<- PUBREC 8 0x00");
        CHECK(bench.context.counters.repeated_publishes == 2);
    }
}

TEST_CASE("After PUBCOMP, and after a refusing PUBREC, the identifier is a new message",
          "[MQTT-4.3.3-12][MQTT-4.3.3-9]") {
    Bench bench;
    bench.connect(kV5);
    bench.send("PUBLISH a 1 qos=2 id=8\nPUBREL 8\nPUBLISH a 2 qos=2 id=8");
    CHECK(contains(bench.log(), "publish a 2"));
    bench.send("PUBREL 8");
    bench.recorder.verdict.reason = ReasonCode::QuotaExceeded;
    bench.send("PUBLISH a 3 qos=2 id=8");
    CHECK(contains(bench.log(), "<- PUBREC 8 0x97"));
    bench.recorder.verdict.reason = ReasonCode::Success;
    bench.send("PUBLISH a 4 qos=2 id=8");
    CHECK(contains(bench.log(), "publish a 4"));
}

TEST_CASE("After PUBACK the same identifier is a new message", "[MQTT-4.3.2-5]") {
    Bench bench;
    bench.connect(kV5).send("PUBLISH a 1 qos=1 id=8\nPUBLISH a 2 qos=1 id=8 dup");
    const std::string happened = bench.log();
    CHECK(contains(happened, "publish a 1 qos=1 id=8"));
    CHECK(contains(happened, "publish a 2 qos=1 id=8"));
}

TEST_CASE("PUBREL of an unknown identifier gets PUBCOMP 0x92", "[MQTT-4.3.3-11]") {
    Bench bench;
    bench.connect(kV5).send("PUBREL 77");
    CHECK(packets(bench) == "PUBCOMP 77 0x92; ");
    Bench v3;
    v3.connect(kV3).send("PUBREL 77");
    CHECK(packets(v3) == "PUBCOMP 77 0x00; ");
}

TEST_CASE("A durable session's received identifiers are its shard's to know", "[MQTT-4.3.3-10]") {
    Bench bench;
    bench.connect("CONNECT v5 id=c expiry=10", durable_outcome());
    bench.send("PUBLISH a 1 qos=2 id=8\nPUBLISH a 1 qos=2 id=8 dup\nPUBREL 8");
    CHECK(bench.log() ==
          "publish a 1 qos=2 id=8 ticket=2147483648\n<- PUBREC 8 0x00\n"
          "publish a 1 qos=2 id=8 ticket=2147483648 dup\n<- PUBREC 8 0x00\nrelease 8");
    bench.command("released 8");
    CHECK(packets(bench) == "PUBCOMP 8 0x00; ");
    bench.command("released 8");
    CHECK(packets(bench).empty());
}

TEST_CASE("More than Receive Maximum unanswered messages end a version 5 connection with 0x93",
          "[MQTT-3.3.4-7]") {
    ChannelLimits limits;
    limits.receive_maximum = 3;
    Bench bench(limits);
    bench.connect(kV5);
    // two completed ones give their places back
    bench.send("PUBLISH a x qos=1 id=1\nPUBLISH a x qos=2 id=2\nPUBREL 2");
    // three open ones: received and not released
    bench.send("PUBLISH a x qos=2 id=3\nPUBLISH a x qos=2 id=4\nPUBLISH a x qos=2 id=5");
    bench.send("PUBLISH a x qos=2 id=5 dup");  // no new one
    CHECK(!bench.recorder.closed());
    bench.send("PUBLISH a x qos=0");
    CHECK(!bench.recorder.closed());
    bench.send("PUBLISH a x qos=1 id=6");
    CHECK(bench.recorder.close_cause->kind == CloseKind::ReceiveMaximumExceeded);
    CHECK(contains(bench.log(), "<- DISCONNECT 0x93"));
}

TEST_CASE("Repeats of one QoS 2 identifier do not grow memory without end", "[MQTT-4.3.3-10]") {
    ChannelLimits limits;
    limits.receive_maximum = 4;
    Bench bench(limits);
    bench.connect(kV5);
    bench.recorder.verdict.kind = PublishVerdict::Kind::Pending;
    for (int i = 0; i < 1000; ++i) {
        bench.send("PUBLISH a x qos=2 id=8 dup");
    }
    CHECK(bench.channel->unanswered_publishes() <= 8);
    Bench released(limits);
    released.connect(kV5);
    released.recorder.verdict.kind = PublishVerdict::Kind::Pending;
    for (int i = 0; i < 1000; ++i) {
        released.send("PUBLISH a x qos=2 id=8\nPUBREL 8");
    }
    CHECK(released.channel->unanswered_publishes() <= 8);
}

TEST_CASE("A version 3 client beyond the maximum waits for our answers") {
    ChannelLimits limits;
    limits.receive_maximum = 2;
    Bench bench(limits);
    bench.connect(kV3);
    bench.recorder.verdict.kind = PublishVerdict::Kind::Pending;
    for (int i = 1; i <= 5; ++i) {
        bench.send("PUBLISH a x qos=1 id=" + std::to_string(i));
    }
    CHECK(bench.channel->unanswered_publishes() == 2);
    CHECK(!bench.recorder.closed());
    for (uint32_t ticket = 0; ticket < 5; ++ticket) {
        bench.command("published " + std::to_string(ticket));
    }
    CHECK(packets(bench) ==
          "PUBACK 1 0x00; PUBACK 2 0x00; PUBACK 3 0x00; PUBACK 4 0x00; PUBACK 5 0x00; ");
}

TEST_CASE("A version 3 client may publish with every identifier before it releases the first",
          "[MQTT311-4.3.3-1][MQTT311-4.3.3-2]") {
    ChannelLimits limits;
    limits.receive_maximum = 2;
    Bench bench(limits);
    bench.connect(kV3);
    for (int i = 1; i <= 65535; ++i) {
        bench.send("PUBLISH a x qos=2 id=" + std::to_string(i));
    }
    CHECK(!bench.recorder.closed());
    CHECK(bench.channel->memory_bytes() < (300U << 10));
    (void)bench.log();
    bench.send("PUBLISH a x qos=2 id=7 dup");  // taken before
    CHECK(packets(bench) == "PUBREC 7 0x00; ");
    for (int i = 1; i <= 65535; ++i) {
        bench.send("PUBREL " + std::to_string(i));
    }
    bench.command("tick 0");
    CHECK(!bench.recorder.closed());
    CHECK(bench.channel->memory_bytes() < 1024);
}

TEST_CASE("A refusal is told to version 5 and closes version 3",
          "[MQTT-3.4.2-1][MQTT-3.5.2-1][MQTT311-3.3.5-2][MQTT311-4.8.0-2]") {
    Bench v5;
    v5.connect(kV5);
    v5.recorder.verdict.reason = ReasonCode::NotAuthorized;
    v5.send("PUBLISH a x qos=1 id=1\nPUBLISH a x qos=2 id=2\nPUBLISH a x");
    CHECK(packets(v5) == "PUBACK 1 0x87; PUBREC 2 0x87; ");
    for (const char* publish : {"PUBLISH a x qos=1 id=1", "PUBLISH a x qos=2 id=1"}) {
        Bench v3;
        v3.connect(kV3);
        v3.recorder.verdict.reason = ReasonCode::NotAuthorized;
        v3.send("PUBLISH a x");
        CHECK(!v3.recorder.closed());
        v3.send(publish);
        CHECK(v3.recorder.close_cause->kind == CloseKind::NotAuthorized);
    }
}

TEST_CASE("QoS and retain that CONNACK excluded end the connection",
          "[MQTT-3.2.2-11][MQTT-3.2.2-14]") {
    ChannelLimits limits;
    limits.max_qos = mqtt::QoS::AtMostOnce;
    limits.retain_available = false;
    Bench qos(limits);
    qos.connect(kV5).send("PUBLISH a x qos=1 id=1");
    CHECK(qos.recorder.close_cause->reason == ReasonCode::QosNotSupported);
    Bench retain(limits);
    retain.connect(kV5).send("PUBLISH a x retain");
    CHECK(retain.recorder.close_cause->reason == ReasonCode::RetainNotSupported);
}

TEST_CASE("All topic aliases up to the maximum are accepted, and end with their connection",
          "[MQTT-3.3.2-12][MQTT-3.3.2-7][MQTT-3.3.2-9]") {
    Bench bench;
    bench.connect(kV5);
    for (int i = 1; i <= 32; ++i) {
        const std::string n = std::to_string(i);
        bench.send("PUBLISH topic/" + n + " x alias=" + n + "\nPUBLISH - y alias=" + n);
        CHECK(contains(bench.log(), "publish topic/" + n + " y"));
    }
    bench.send("PUBLISH - y alias=33");
    CHECK(bench.recorder.close_cause->reason == ReasonCode::TopicAliasInvalid);
    Bench next;
    next.connect(kV5).send("PUBLISH - y alias=1");
    CHECK(next.recorder.close_cause->reason == ReasonCode::ProtocolError);
    CHECK(next.recorder.close_cause->kind == CloseKind::TopicAliasInvalid);
}

TEST_CASE("A PUBLISH without credit waits unread; acknowledgements behind it pass once",
          "[MQTT-3.3.4-8][MQTT-4.9.0-3]") {
    Bench bench;
    bench.connect(kV5);
    bench.offer("t", mqtt::QoS::AtLeastOnce);
    (void)bench.lines();
    bench.recorder.verdict.kind = PublishVerdict::Kind::Busy;
    bench.send("PUBLISH a 1 qos=1 id=1\nPINGREQ\nPUBACK 2\nSUBSCRIBE 5 a:0\nPINGREQ");
    CHECK(packets(bench) == "PINGRESP; PINGRESP; ");
    CHECK(bench.channel->inflight_out() == 0);
    bench.send("PINGREQ");
    CHECK(packets(bench) == "PINGRESP; ");
    bench.recorder.verdict.kind = PublishVerdict::Kind::Done;
    bench.command("resume");
    CHECK(bench.log() == "publish a 1 qos=1 id=1 ticket=0\n<- PUBACK 1 0x00\nsubscribe 5 a:0");
    CHECK(bench.input.empty());
}

TEST_CASE("Looking ahead is bounded, and keep-alive stands still meanwhile") {
    ChannelLimits limits;
    limits.max_look_ahead_bytes = 100;
    Bench bench(limits);
    bench.connect("CONNECT v5 id=c clean ka=10");
    bench.recorder.verdict.kind = PublishVerdict::Kind::Busy;
    bench.send("PUBLISH a payload-size=500");
    CHECK(bench.channel->wants_read());
    for (int i = 0; i < 60; ++i) {
        bench.send("PINGREQ");
    }
    CHECK(!bench.channel->wants_read());
    CHECK(bench.lines().size() <= 1 + 50);
    bench.command("tick 100000");
    CHECK(!bench.recorder.closed());
    bench.recorder.verdict.kind = PublishVerdict::Kind::Done;
    bench.command("resume");
    CHECK(bench.input.empty());
    CHECK(bench.channel->wants_read());
    bench.command("tick 14999");
    CHECK(!bench.recorder.closed());
    bench.command("tick 1");
    CHECK(bench.recorder.closed());
}

TEST_CASE(
    "What does not belong into the way ahead is not looked past: DISCONNECT keeps its place") {
    Bench bench;
    bench.connect(kV5);
    bench.recorder.verdict.kind = PublishVerdict::Kind::Busy;
    bench.send("PUBLISH a 1\nDISCONNECT\nPINGREQ");
    CHECK(packets(bench).empty());
    CHECK(!bench.recorder.closed());
    bench.recorder.verdict.kind = PublishVerdict::Kind::Done;
    bench.command("resume");
    CHECK(bench.recorder.close_cause->kind == CloseKind::ClientDisconnect);
}

TEST_CASE("A client that does not read its answers is not read either") {
    Bench bench;
    bench.connect(kV5);
    bench.recorder.stuck_output = 3 << 20;
    CHECK(!bench.channel->wants_read());
    bench.send("PINGREQ");
    CHECK(packets(bench).empty());
    CHECK(!bench.channel->ready_for_bytes());
    bench.recorder.stuck_output = 0;
    CHECK(bench.channel->ready_for_bytes());
    bench.command("drained");
    CHECK(packets(bench) == "PINGRESP; ");
}

TEST_CASE("PUBREL of a durable session beyond the bound waits and is not passed over") {
    ChannelLimits limits;
    limits.receive_maximum = 2;
    Bench bench(limits);
    bench.connect("CONNECT v5 id=c expiry=10", durable_outcome());
    bench.send("PUBREL 1\nPUBREL 2\nPUBREL 3\nPUBREL 4\nPINGREQ");
    CHECK(bench.log() == "release 1\nrelease 2");
    bench.command("released 1");
    CHECK(bench.log() == "<- PUBCOMP 1 0x00\nrelease 3");
    bench.command("released 2");
    bench.command("released 3");
    CHECK(bench.log() == "<- PUBCOMP 2 0x00\nrelease 4\n<- PINGRESP\n<- PUBCOMP 3 0x00");
}

TEST_CASE("PUBREL that waits is not lost when more bytes come meanwhile", "[MQTT-4.3.3-11]") {
    ChannelLimits limits;
    limits.receive_maximum = 2;
    Bench bench(limits);
    bench.connect("CONNECT v5 id=c expiry=10", durable_outcome());
    bench.send("PUBREL 1\nPUBREL 2\nPUBREL 3");
    CHECK(bench.log() == "release 1\nrelease 2");
    bench.send("PUBREL 4");
    bench.send("PINGREQ");
    CHECK(bench.log() == "");
    bench.command("released 1");
    CHECK(bench.log() == "<- PUBCOMP 1 0x00\nrelease 3");
    bench.command("released 2");
    CHECK(bench.log() == "<- PUBCOMP 2 0x00\nrelease 4\n<- PINGRESP");
}

TEST_CASE("Packets split at every byte mean what they mean in one piece") {
    const std::string script =
        "PUBLISH a/b 1 qos=1 id=1\nPUBLISH a/b 2 qos=2 id=2\nPUBREL 2\nSUBSCRIBE 3 a:1\n"
        "PINGREQ\nPUBLISH a/b 3 retain\nUNSUBSCRIBE 4 a\nDISCONNECT 0x04";
    Bench whole;
    whole.connect(kV5).send(script);
    Bench split;
    split.connect(kV5);
    std::string bytes;
    std::string_view rest = script;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        bytes += bytes_of(mqtt::ProtocolVersion::V5, rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    for (const char byte : bytes) {
        split.send_bytes({&byte, 1});
    }
    CHECK(split.log() == whole.log());
}

}  // namespace quorate::broker::test
