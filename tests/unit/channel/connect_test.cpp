// CONNECT, CONNACK and enhanced authentication, statement by statement.
#include "tests/unit/catch.h"
#include "tests/unit/channel/recorder.h"

namespace quorate::broker::test {
namespace {

using mqtt::ReasonCode;

// What happens to a connection that sends these packets, with a host that accepts.
std::string after(std::string_view packets, const ChannelLimits& limits = {}) {
    Bench bench(limits);
    bench.recorder.attach_outcome = AttachOutcome{};
    bench.send(packets);
    return bench.log();
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("A first packet other than CONNECT is closed without a byte of answer",
          "[MQTT-3.1.0-1][MQTT311-3.1.0-1][MQTT-3.14.0-1]") {
    const std::string closed = "close 0x82 the first packet is not CONNECT";
    CHECK(after("PINGREQ") == closed);
    CHECK(after("PUBLISH a x") == closed);
    CHECK(after("DISCONNECT") == closed);
    CHECK(after("RAW 26 03 01 02 00") == closed);
    CHECK(after("RAW 47 45 54 20 2f") == closed);
    CHECK(after("RAW 00") == closed);
}

TEST_CASE("The first byte decides: nothing is waited for that cannot be CONNECT",
          "[MQTT-3.1.0-1]") {
    Bench bench;
    bench.send("RAW 30");
    CHECK(bench.channel->state() == Channel::State::Closed);
}

TEST_CASE("A second CONNECT ends the connection", "[MQTT-3.1.0-2][MQTT311-3.1.0-2]") {
    Bench v5;
    v5.connect("CONNECT v5 id=c clean").send("CONNECT v5 id=c clean");
    CHECK(contains(v5.log(), "<- DISCONNECT 0x82"));
    CHECK(v5.channel->state() == Channel::State::Closed);
    Bench v3;
    v3.connect("CONNECT v311 id=c clean").send("CONNECT v311 id=c clean");
    CHECK(v3.log() == "detach lost highest=0\nclose 0x82 a second CONNECT");
}

TEST_CASE("A protocol version we do not speak is told so and closed",
          "[MQTT-3.1.2-1][MQTT-3.1.2-2][MQTT311-3.1.2-2]") {
    Bench newer;
    newer.recorder.version = mqtt::ProtocolVersion::V5;
    newer.send("RAW 10 0e 00 04 4d 51 54 54 07 02 00 00 00 00 01 61");
    CHECK(contains(newer.log(), "<- CONNACK 0x84"));
    CHECK(newer.recorder.close_cause->reason == ReasonCode::UnsupportedProtocolVersion);
    const std::string older = after("RAW 10 0d 00 04 4d 51 54 54 03 02 00 00 00 01 61");
    CHECK(contains(older, "<- CONNACK return=1\nclose 0x84"));
    const std::string bridge = after("RAW 10 0d 00 04 4d 51 54 54 84 02 00 00 00 01 61");
    CHECK(contains(bridge, "<- CONNACK return=1\nclose 0x84"));
}

TEST_CASE("The reserved flag of CONNECT must be 0",
          "[MQTT-3.1.2-3][MQTT311-3.1.2-3][MQTT-3.1.4-1][MQTT311-3.1.4-1]") {
    // 3.1.1: closed without CONNACK, since no return code fits [MQTT311-3.2.2-6]
    CHECK(contains(after("RAW 10 0d 00 04 4d 51 54 54 04 03 00 00 00 01 61"), "close 0x81"));
    CHECK(!contains(after("RAW 10 0d 00 04 4d 51 54 54 04 03 00 00 00 01 61"), "CONNACK"));
}

TEST_CASE("An accepted CONNECT is answered by one CONNACK with success",
          "[MQTT-3.1.4-5][MQTT-3.2.0-1][MQTT-3.2.0-2][MQTT311-3.1.4-4][MQTT311-3.2.0-1]") {
    CHECK(contains(after("CONNECT v5 id=c clean ka=9"), "<- CONNACK 0x00 rm=1024"));
    CHECK(contains(after("CONNECT v311 id=c clean ka=9\nPINGREQ"),
                   "<- CONNACK return=0\n<- PINGRESP"));
}

TEST_CASE("Session Present says what the session's keeper found, and 0 in a refusal",
          "[MQTT-3.2.2-2][MQTT-3.2.2-3][MQTT-3.2.2-6][MQTT311-3.2.2-1][MQTT311-3.2.2-2]"
          "[MQTT311-3.2.2-3][MQTT311-3.2.2-4]") {
    for (const char* version : {"v5", "v311"}) {
        for (const bool present : {false, true}) {
            Bench bench;
            AttachOutcome outcome;
            outcome.session_present = present;
            bench.recorder.attach_outcome = outcome;
            bench.send(std::string("CONNECT id=c ") + version);
            CHECK(contains(bench.log(), "session") == present);
        }
        Bench refused;
        AttachOutcome outcome;
        outcome.session_present = true;
        outcome.reason = ReasonCode::ServerBusy;
        refused.recorder.attach_outcome = outcome;
        refused.send(std::string("CONNECT id=c ") + version);
        const std::string happened = refused.log();
        CHECK(contains(happened, "<- CONNACK"));
        CHECK(!contains(happened, "session\n"));
    }
}

TEST_CASE("A refusing CONNACK is followed by the close, and nothing more is processed",
          "[MQTT-3.2.2-7][MQTT-3.1.4-6][MQTT-3.1.4-2][MQTT-4.13.2-1][MQTT311-3.2.2-5]"
          "[MQTT311-3.1.4-5]") {
    for (const char* version : {"v5", "v311"}) {
        Bench bench;
        bench.recorder.auth = {AuthOutcome::Kind::Refused, ReasonCode::NotAuthorized, {}};
        bench.send(std::string("CONNECT id=c clean ") + version + "\nPUBLISH a x\nPINGREQ");
        const std::vector<std::string> lines = bench.lines();
        REQUIRE(lines.size() == 3);
        CHECK(lines[1].starts_with("<- CONNACK"));
        CHECK(lines[2].starts_with("close 0x87"));
    }
}

TEST_CASE("Version 3 without a fitting return code is closed without CONNACK",
          "[MQTT311-3.2.2-6]") {
    Bench bench;
    AttachOutcome outcome;
    outcome.reason = ReasonCode::RetainNotSupported;
    bench.recorder.attach_outcome = outcome;
    bench.send("CONNECT v311 id=c clean");
    CHECK(!contains(bench.log(), "CONNACK"));
    CHECK(bench.recorder.closed());
}

TEST_CASE("CONNACK says only what a CONNACK may say", "[MQTT-3.2.2-8]") {
    for (unsigned code = 0x80; code <= 0xFF; ++code) {
        Bench bench;
        AttachOutcome outcome;
        outcome.reason = static_cast<ReasonCode>(code);
        bench.recorder.attach_outcome = outcome;
        bench.send("CONNECT v5 id=c clean");
        const std::string happened = bench.log();
        CHECK(contains(happened, "<- CONNACK 0x"));
        CHECK(!contains(happened, "BAD"));
    }
}

TEST_CASE("An empty client identifier gets a unique one, which CONNACK returns in version 5",
          "[MQTT-3.1.3-6][MQTT-3.1.3-7][MQTT-3.2.2-16][MQTT311-3.1.3-6]") {
    CHECK(contains(after("CONNECT v5 clean"), "assigned='assigned-1'"));
    CHECK(contains(after("CONNECT v5 clean"), "attach id=assigned-1 assigned"));
    CHECK(contains(after("CONNECT v5"), "attach id=assigned-1 assigned"));
    CHECK(contains(after("CONNECT v311 clean"), "attach id=assigned-1 assigned"));
}

TEST_CASE("An empty client identifier with CleanSession 0 gets return code 2",
          "[MQTT311-3.1.3-8][MQTT311-3.1.3-7][MQTT311-3.1.3-9][MQTT-3.1.3-8]") {
    CHECK(contains(after("CONNECT v311"), "<- CONNACK return=2\nclose 0x85"));
    CHECK(contains(after("CONNECT v31 clean"), "<- CONNACK return=2\nclose 0x85"));
}

TEST_CASE("Client identifiers of 1 to 23 letters and digits are accepted",
          "[MQTT-3.1.3-5][MQTT311-3.1.3-5]") {
    for (const char* version : {"v5", "v311", "v31"}) {
        for (const char* id : {"a", "0123456789abcdefghijklm", "NOPQRSTUVWXYZ"}) {
            CHECK(contains(after(std::string("CONNECT clean ") + version + " id=" + id),
                           std::string("attach id=") + id));
        }
    }
}

TEST_CASE("A will beyond what the server supports refuses the connection",
          "[MQTT-3.2.2-12][MQTT-3.2.2-13]") {
    ChannelLimits limits;
    limits.max_qos = mqtt::QoS::AtLeastOnce;
    limits.retain_available = false;
    CHECK(contains(after("CONNECT v5 id=c will=t:x will-qos=2", limits), "<- CONNACK 0x9B"));
    CHECK(contains(after("CONNECT v5 id=c will=t:x will-qos=1", limits), "<- CONNACK 0x00"));
    CHECK(contains(after("CONNECT v5 id=c will=t:x will-retain", limits), "<- CONNACK 0x9A"));
}

TEST_CASE("What the server lacks is told in CONNACK, what it has is not",
          "[MQTT-3.2.2-9][MQTT-3.1.2-28]") {
    ChannelLimits limits;
    limits.max_qos = mqtt::QoS::AtLeastOnce;
    limits.response_topic_prefix = "reply/";
    CHECK(contains(after("CONNECT v5 id=c", limits), "max-qos=1"));
    CHECK(!contains(after("CONNECT v5 id=c", limits), "resp-info"));
    CHECK(contains(after("CONNECT v5 id=c resp-info", limits), "resp-info='reply/c'"));
    CHECK(!contains(after("CONNECT v5 id=c"), "max-qos"));
    CHECK(!contains(after("CONNECT v5 id=c"), "available"));
}

TEST_CASE("Keep Alive above the maximum is replaced and told; below it counts as given",
          "[MQTT-3.2.2-22][MQTT-3.1.2-21]") {
    ChannelLimits limits;
    limits.max_keep_alive = std::chrono::seconds(100);
    CHECK(contains(after("CONNECT v5 id=c ka=101", limits), " ka=100\n") == false);
    CHECK(contains(after("CONNECT v5 id=c ka=101", limits), "alias-max=32 ka=100"));
    CHECK(contains(after("CONNECT v5 id=c ka=0", limits), "alias-max=32 ka=100"));
    CHECK(contains(after("CONNECT v5 id=c ka=100", limits), "ka=100 window"));
    CHECK(!contains(after("CONNECT v5 id=c ka=100", limits), "alias-max=32 ka"));
    limits.max_keep_alive = std::chrono::seconds(0);
    CHECK(contains(after("CONNECT v5 id=c ka=0", limits), "ka=0 window"));
}

TEST_CASE("Silence for one and a half Keep Alive ends the connection as a lost one",
          "[MQTT-3.1.2-22][MQTT311-3.1.2-24]") {
    for (const char* version : {"v5", "v311"}) {
        Bench bench;
        bench.connect(std::string("CONNECT id=c clean ka=20 ") + version);
        bench.command("tick 29999");
        CHECK(!bench.recorder.closed());
        bench.command("tick 1");
        CHECK(contains(bench.log(), "detach lost"));
        CHECK(bench.recorder.close_cause->reason == ReasonCode::KeepAliveTimeout);
    }
}

TEST_CASE("A Control Packet, and a large one while it arrives, puts the deadline off",
          "[MQTT-3.1.2-22]") {
    Bench bench;
    bench.connect("CONNECT v5 id=c clean ka=20");
    const std::string large = bytes_of(mqtt::ProtocolVersion::V5, "PUBLISH a payload-size=5000");
    for (int i = 0; i < 4; ++i) {
        bench.command("tick 20000");
        bench.send_bytes(std::string_view(large).substr(static_cast<std::size_t>(i) * 1100, 1100));
        CHECK(!bench.recorder.closed());
    }
    bench.command("tick 20000");
    bench.send_bytes(large.substr(4400, 10));
    bench.command("tick 10000");
    CHECK(bench.recorder.closed());
}

TEST_CASE("CONNACK is within the client's Maximum Packet Size, or is not sent at all",
          "[MQTT-3.2.2-19][MQTT-3.2.2-20][MQTT-3.1.2-24]") {
    Bench bench;
    AttachOutcome outcome;
    outcome.reason = ReasonCode::Banned;
    outcome.reason_string = "a reason string of quite some length";
    bench.recorder.attach_outcome = outcome;
    bench.send("CONNECT v5 id=c max=20");
    CHECK(contains(bench.log(), "<- CONNACK 0x8A\n"));
    CHECK(contains(after("CONNECT v5 id=c max=10"), "close 0x95"));
    CHECK(!contains(after("CONNECT v5 id=c max=10"), "<-"));
}

TEST_CASE("An authentication method that is not offered is refused with 0x8C",
          "[MQTT-4.12.0-1][MQTT-4.12.0-4]") {
    CHECK(after("CONNECT v5 id=c method=X") ==
          "<- CONNACK 0x8C why='authentication method is not offered'\n"
          "close 0x8C authentication method is not offered");
}

TEST_CASE("AUTH repeats the method, says 0x18, and CONNACK repeats the method",
          "[MQTT-4.12.0-2][MQTT-4.12.0-5][MQTT-4.12.0-3]") {
    ChannelLimits limits;
    limits.auth_methods = {"X"};
    Bench bench(limits);
    bench.recorder.attach_outcome = AttachOutcome{};
    bench.recorder.auth = {AuthOutcome::Kind::Continue, {}, "q"};
    bench.send("CONNECT v5 id=c method=X data=p");
    CHECK(contains(bench.log(), "<- AUTH 0x18 method='X' data='q'"));
    bench.recorder.auth = {AuthOutcome::Kind::Accepted, {}, "r"};
    bench.send("AUTH 0x18 method=X data=a");
    CHECK(contains(bench.log(), "method='X' data='r'"));
    CHECK(bench.channel->state() == Channel::State::Connected);
}

TEST_CASE("Without a method in CONNECT neither side sends AUTH", "[MQTT-4.12.0-6][MQTT-4.12.0-7]") {
    Bench bench;
    bench.connect("CONNECT v5 id=c clean").send("AUTH 0x19 method=X");
    const std::string happened = bench.log();
    CHECK(contains(happened, "<- DISCONNECT 0x82"));
    CHECK(!contains(happened, "<- AUTH"));
    CHECK(!contains(after("CONNECT v5 id=c"), "method"));
}

TEST_CASE("A session belongs to who was authenticated, not to who a client says it is") {
    {
        Bench bench;
        bench.send("CONNECT v5 id=c1 user=u pass=p");
        CHECK(contains(bench.log(), "authenticate connect id=c1 user=u pass=p"));
        CHECK(!contains(bench.log(), "identity="));
    }
    Bench bench;
    bench.recorder.auth.identity = "proved";
    bench.send("CONNECT v5 id=c1 user=u pass=p");
    CHECK(contains(bench.log(), " identity=proved"));
}

TEST_CASE("Before CONNACK of an authentication only AUTH and DISCONNECT may come",
          "[MQTT-3.1.2-30]") {
    ChannelLimits limits;
    limits.auth_methods = {"X"};
    for (const char* packet : {"PUBLISH a x", "PINGREQ", "SUBSCRIBE 1 a:0", "CONNECT v5 id=c"}) {
        Bench bench(limits);
        bench.recorder.auth = {AuthOutcome::Kind::Continue, {}, "q"};
        bench.send("CONNECT v5 id=c method=X").send(packet);
        CHECK(contains(bench.log(), "<- CONNACK 0x82"));
    }
    Bench bench(limits);
    bench.recorder.auth = {AuthOutcome::Kind::Continue, {}, "q"};
    bench.send("CONNECT v5 id=c method=X").send("DISCONNECT");
    CHECK(contains(bench.log(), "close 0x00 client disconnected"));
}

TEST_CASE("Re-authentication keeps the method; when it fails the client is told and closed",
          "[MQTT-4.12.1-1][MQTT-4.12.1-2]") {
    ChannelLimits limits;
    limits.auth_methods = {"X", "Y"};
    for (const char* method : {"X", "Y"}) {
        Bench bench(limits);
        bench.connect("CONNECT v5 id=c clean method=X");
        bench.recorder.auth = {AuthOutcome::Kind::Refused, ReasonCode::NotAuthorized, {}};
        bench.send(std::string("AUTH 0x19 method=") + method);
        CHECK(contains(bench.log(), *method == 'X' ? "<- DISCONNECT 0x87" : "<- DISCONNECT 0x82"));
        CHECK(bench.recorder.closed());
    }
}

TEST_CASE("While a re-authentication waits, the connection goes on as before") {
    ChannelLimits limits;
    limits.auth_methods = {"X"};
    Bench bench(limits);
    bench.connect("CONNECT v5 id=c clean method=X");
    bench.recorder.auth.kind = AuthOutcome::Kind::Pending;
    bench.send("AUTH 0x19 method=X\nPINGREQ");
    CHECK(contains(bench.log(), "<- PINGRESP"));
    bench.command("authenticated data=ok");
    CHECK(bench.log() == "<- AUTH 0x00 method='X' data='ok'");
    bench.send("AUTH 0x19 method=X\nAUTH 0x19 method=X");
    CHECK(contains(bench.log(), "<- DISCONNECT 0x82"));
}

}  // namespace quorate::broker::test
