// Every way a connection ends; and every packet in every state.
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

}  // namespace

TEST_CASE("DISCONNECT 0x00 discards the will, any other reason keeps it",
          "[MQTT-3.14.4-3][MQTT-3.1.2-10][MQTT311-3.14.4-3][MQTT311-3.1.2-10]") {
    Bench normal;
    normal.connect("CONNECT v5 id=c clean will=w:x").send("DISCONNECT");
    CHECK(contains(normal.log(), "detach disconnected "));
    Bench v3;
    v3.connect("CONNECT v311 id=c clean will=w:x").send("DISCONNECT");
    CHECK(contains(v3.log(), "detach disconnected "));
    for (const char* reason : {"0x04", "0x80", "0x82", "0x97"}) {
        Bench bench;
        bench.connect("CONNECT v5 id=c clean will=w:x").send(std::string("DISCONNECT ") + reason);
        CHECK(contains(bench.log(), "detach disconnected_with_will"));
    }
    Bench lost;
    lost.connect("CONNECT v5 id=c clean will=w:x").command("lost");
    CHECK(contains(lost.log(), "detach lost"));
}

TEST_CASE("A Session Expiry Interval in DISCONNECT replaces that of CONNECT, unless that was 0",
          "[MQTT-3.1.2-23]") {
    Bench bench;
    bench.connect("CONNECT v5 id=c clean expiry=5").send("DISCONNECT 0x00 expiry=0");
    CHECK(contains(bench.log(), "detach disconnected expiry=0"));
    Bench zero;
    zero.connect(kV5).send("DISCONNECT 0x00 expiry=0");
    CHECK(contains(zero.log(), "detach disconnected expiry=0"));
    Bench wrong;
    wrong.connect(kV5).send("DISCONNECT 0x00 expiry=1");
    CHECK(contains(wrong.log(), "<- DISCONNECT 0x82"));
}

TEST_CASE("After a DISCONNECT of either side nothing is read, written or asked",
          "[MQTT-3.14.4-1][MQTT-3.14.4-2][MQTT311-3.14.4-1]") {
    for (const char* connect : {kV5, kV3}) {
        for (const bool by_server : {false, true}) {
            Bench bench;
            bench.connect(connect);
            if (by_server) {
                bench.command("disconnect 0x98");
            } else {
                bench.send("DISCONNECT");
            }
            CHECK(contains(bench.log(), "close"));
            bench.send("PUBLISH a x qos=1 id=1\nPINGREQ\nSUBSCRIBE 1 a:0");
            bench.command("published 0");
            bench.command("tick 1000000");
            bench.command("lost");
            bench.command("let_go");
            bench.command("disconnect 0x8B");
            CHECK(bench.log().empty());
            CHECK(bench.input.empty());
        }
    }
}

TEST_CASE("A server's DISCONNECT carries a code that it may, no session expiry, and fits",
          "[MQTT-3.14.2-1][MQTT-3.14.2-2][MQTT-3.14.2-3]") {
    for (unsigned code = 0x80; code <= 0xFF; ++code) {
        Bench bench;
        bench.connect(kV5);
        bench.channel->disconnect(static_cast<ReasonCode>(code), "why");
        const std::string happened = bench.log();
        CHECK(contains(happened, "<- DISCONNECT 0x"));
        CHECK(!contains(happened, "BAD"));
        CHECK(!contains(happened, "DISCONNECT expiry"));
    }
    Bench small;
    small.connect("CONNECT v5 id=c clean max=25");
    small.channel->disconnect(ReasonCode::AdministrativeAction, "a reason of too many words");
    CHECK(contains(small.log(), "<- DISCONNECT 0x98\n"));
}

TEST_CASE("A malformed packet or a protocol error ends the connection and says why",
          "[MQTT-4.13.1-1][MQTT-4.13.2-1][MQTT311-4.8.0-1][MQTT-3.3.1-4][MQTT-3.6.1-1]") {
    struct Case {
        const char* packet;
        ReasonCode reason;
    };
    const Case cases[] = {
        {"RAW 36 06 00 01 61 00 01 00", ReasonCode::MalformedPacket},  // QoS 3
        {"RAW 60 02 00 01", ReasonCode::MalformedPacket},              // PUBREL flags
        {"RAW 82 05 00 01 00 00 00", ReasonCode::MalformedPacket},     // SUBSCRIBE cut
        {"RAW 00 00", ReasonCode::MalformedPacket},                    // type 0
        {"RAW 30 ff ff ff ff 7f", ReasonCode::MalformedPacket},        // length
        {"RAW 20 03 00 00 00", ReasonCode::ProtocolError},             // CONNACK
        {"RAW 90 04 00 01 00 00", ReasonCode::ProtocolError},          // SUBACK
        {"RAW b0 04 00 01 00 00", ReasonCode::ProtocolError},          // UNSUBACK
        {"RAW d0 00", ReasonCode::ProtocolError},                      // PINGRESP
        {"RAW 30 04 00 01 2b 00", ReasonCode::TopicNameInvalid},       // topic +
        {"RAW 30 80 80 80 01", ReasonCode::PacketTooLarge},            // 2 MiB declared
    };
    for (const Case& one : cases) {
        INFO(one.packet);
        Bench v5;
        v5.connect(kV5).send(one.packet);
        REQUIRE(v5.recorder.closed());
        CHECK(v5.recorder.close_cause->reason == one.reason);
        CHECK(contains(v5.log(), "<- DISCONNECT " + hex(one.reason)));
        Bench v3;
        v3.connect(kV3).send(one.packet);
        CHECK(v3.recorder.closed());
        CHECK(!contains(v3.log(), "<-"));
    }
}

TEST_CASE("Taken over: told 0x8E, silent from then on, detached when its answers are in",
          "[MQTT-3.1.4-3][MQTT311-3.1.4-2]") {
    Bench bench;
    bench.connect(kV5);
    bench.recorder.verdict.kind = PublishVerdict::Kind::Pending;
    bench.send("PUBLISH a x qos=1 id=1\nPUBLISH a x qos=2 id=2");
    (void)bench.lines();
    bench.command("let_go");
    CHECK(bench.log() ==
          "<- DISCONNECT 0x8E why='session taken over'\nclose 0x8E session taken over");
    bench.send("PUBLISH b y\nPINGREQ");
    bench.command("lost");
    bench.command("published 0");
    CHECK(bench.log().empty());
    bench.command("published 2147483648");
    CHECK(bench.log() == "detach let_go highest=0");
}

TEST_CASE("A connection that ends while its session is being attached detaches once") {
    for (const char* end : {"lost", "let_go", "disconnect 0x8B"}) {
        Bench bench;
        bench.send(kV5);
        bench.command(end);
        bench.command("attached");
        CHECK(bench.recorder.detaches == 1);
        CHECK(bench.channel->state() == Channel::State::Closed);
        CHECK(!contains(bench.log(), "CONNACK 0x00"));
    }
}

TEST_CASE("Until CONNACK the server sends no DISCONNECT", "[MQTT-3.14.0-1]") {
    for (const char* end : {"let_go", "disconnect 0x8B", "tick 1000000"}) {
        Bench waiting;
        waiting.command(end);
        CHECK(!contains(waiting.log(), "<-"));
        Bench authenticating;
        authenticating.recorder.auth.kind = AuthOutcome::Kind::Pending;
        authenticating.send(kV5);
        authenticating.command(end);
        CHECK(!contains(authenticating.log(), "<- DISCONNECT"));
        CHECK(authenticating.recorder.closed());
    }
}

namespace {

constexpr const char* kPackets[] = {"CONNECT v5 id=c clean",
                                    "CONNECT v311 id=c clean",
                                    "RAW 20 03 00 00 00",
                                    "PUBLISH a x",
                                    "PUBLISH a x qos=1 id=1",
                                    "PUBLISH a x qos=2 id=1",
                                    "PUBACK 1",
                                    "PUBREC 1",
                                    "PUBREL 1",
                                    "PUBCOMP 1",
                                    "SUBSCRIBE 1 a:0",
                                    "RAW 90 04 00 01 00 00",
                                    "UNSUBSCRIBE 1 a",
                                    "RAW b0 04 00 01 00 00",
                                    "PINGREQ",
                                    "RAW d0 00",
                                    "DISCONNECT",
                                    "AUTH 0x18 method=X",
                                    "AUTH 0x19 method=X",
                                    "RAW 00",
                                    "RAW f1 00"};

}  // namespace

TEST_CASE("Every packet in every state is dealt with, and what is wrong closes",
          "[MQTT-4.13.1-1]") {
    const char* const legal_when_connected[] = {"PUBLISH", "PUBACK",    "PUBREC", "PUBREL",
                                                "PUBCOMP", "SUBSCRIBE", "UNSUB",  "PINGREQ"};
    using State = Channel::State;
    for (const char* connect : {"CONNECT v5 id=c clean", "CONNECT v5 id=c clean method=X",
                                "CONNECT v311 id=c clean", "CONNECT v31 id=c clean"}) {
        for (const State state : {State::WaitingConnect, State::Authenticating, State::Attaching,
                                  State::Connected, State::LettingGo, State::Closed}) {
            for (const char* packet : kPackets) {
                INFO(connect << " in " << name_of(state) << ": " << packet);
                ChannelLimits limits;
                limits.auth_methods = {"X"};
                Bench bench(limits);
                if (state == State::Authenticating) {
                    bench.recorder.auth.kind = contains(connect, "method")
                                                   ? AuthOutcome::Kind::Continue
                                                   : AuthOutcome::Kind::Pending;
                }
                if (state != State::WaitingConnect) bench.send(connect);
                if (state == State::Connected || state == State::LettingGo) {
                    bench.command("attached");
                }
                if (state == State::LettingGo) {
                    bench.recorder.verdict.kind = PublishVerdict::Kind::Pending;
                    bench.send("PUBLISH a x qos=1 id=9");
                    bench.command("let_go");
                }
                if (state == State::Closed) bench.command("lost");
                REQUIRE(bench.channel->state() == state);
                bench.recorder.auth.kind = AuthOutcome::Kind::Accepted;
                (void)bench.lines();
                bench.send(packet);
                const std::string happened = bench.log();
                CHECK(!contains(happened, "BAD"));
                if (state == State::WaitingConnect) {
                    CHECK(bench.recorder.closed() == !contains(packet, "CONNECT v"));
                } else if (state == State::Connected) {
                    const bool legal =
                        std::ranges::any_of(legal_when_connected, [&](const char* name) {
                            return std::string_view(packet).starts_with(name);
                        });
                    const bool again = contains(packet, "AUTH 0x19") && contains(connect, "method");
                    CHECK(bench.recorder.closed() == (!legal && !again));
                } else if (state == State::Attaching || state == State::LettingGo ||
                           state == State::Closed) {
                    CHECK(happened.empty());
                    CHECK(bench.channel->state() == state);
                }
            }
        }
    }
}

TEST_CASE("An idle connection of version 3.1.1 costs at most 400 bytes") {
    Bench bench;
    bench.connect("CONNECT v311 id=a-client-identifier-23 clean ka=60");
    bench.send("PINGREQ");
    bench.command("tick 1");
    CHECK(sizeof(Channel) <= 368);
    CHECK(bench.channel->memory_bytes() <= 400);
}

TEST_CASE("What a connection used is given back once it is idle again") {
    Bench bench;
    bench.connect("CONNECT v311 id=c clean ka=60");
    const std::size_t idle = bench.channel->memory_bytes();
    bench.recorder.verdict.kind = PublishVerdict::Kind::Pending;
    for (int i = 1; i <= 100; ++i) {
        const std::string id = std::to_string(i);
        bench.send("PUBLISH a x qos=1 id=" + id + "\nPUBLISH a x qos=2 id=" + id);
        bench.offer("a", mqtt::QoS::AtLeastOnce, "x");
    }
    CHECK(bench.channel->memory_bytes() > 2 * idle);
    for (uint32_t i = 0; i < 100; ++i) {
        bench.channel->on_published(i, ReasonCode::Success);
        bench.channel->on_published(0x80000000U | i, ReasonCode::Success);
    }
    for (int i = 1; i <= 101; ++i) {
        const std::string id = std::to_string(i);
        bench.send("PUBREL " + id + "\nPUBACK " + id);
    }
    CHECK(bench.channel->inflight_out() == 0);
    bench.command("tick 1");
    CHECK(bench.channel->memory_bytes() == idle);
}

}  // namespace quorate::broker::test
