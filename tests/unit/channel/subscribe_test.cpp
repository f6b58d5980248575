// SUBSCRIBE, UNSUBSCRIBE and PINGREQ, statement by statement.
#include "tests/unit/catch.h"
#include "tests/unit/channel/recorder.h"

namespace quorate::broker::test {
namespace {

using mqtt::ReasonCode;

constexpr const char* kV5 = "CONNECT v5 id=c clean";
constexpr const char* kV3 = "CONNECT v311 id=c clean";

}  // namespace

TEST_CASE("SUBACK has the identifier of its SUBSCRIBE and a code for each filter, in order",
          "[MQTT-3.8.4-1][MQTT-3.8.4-2][MQTT-3.8.4-5][MQTT-3.8.4-6][MQTT-3.8.4-7][MQTT-3.9.3-1]"
          "[MQTT311-3.8.4-1][MQTT311-3.8.4-2][MQTT311-3.8.4-4][MQTT311-3.8.4-5]"
          "[MQTT311-3.9.3-1][MQTT311-2.3.1-7]") {
    for (const char* connect : {kV5, kV3}) {
        Bench bench;
        bench.connect(connect).send("SUBSCRIBE 700 a:0 b/+:1 c/#:2");
        CHECK(bench.log() == "subscribe 700 a:0 b/+:1 c/#:2");
        bench.command("subscribed 700 0x02 0x00 0x01");
        CHECK(bench.log() == "<- SUBACK 700 0x02 0x00 0x01");
    }
}

TEST_CASE("SUBACK codes are those of the version", "[MQTT-3.9.3-2][MQTT311-3.9.3-2]") {
    Bench v5;
    v5.connect(kV5).send("SUBSCRIBE 1 a:0 b:0");
    (void)v5.lines();
    v5.command("subscribed 1 0x87 0x97");
    CHECK(v5.log() == "<- SUBACK 1 0x87 0x97");
    Bench v3;
    v3.connect(kV3).send("SUBSCRIBE 1 a:0 b:0");
    (void)v3.lines();
    v3.command("subscribed 1 0x87 0x97");
    CHECK(v3.log() == "<- SUBACK 1 0x80 0x80");
}

TEST_CASE("SUBSCRIBE with any QoS is accepted where the server's maximum is lower",
          "[MQTT-3.2.2-10]") {
    ChannelLimits limits;
    limits.max_qos = mqtt::QoS::AtMostOnce;
    Bench bench(limits);
    bench.connect(kV5).send("SUBSCRIBE 1 a:2 b:1");
    CHECK(bench.log() == "subscribe 1 a:0 b:0");
}

TEST_CASE("No Local on a shared subscription is a protocol error", "[MQTT-3.8.3-4]") {
    Bench bench;
    bench.connect(kV5).send("SUBSCRIBE 1 $share/g/a:1:nl");
    CHECK(bench.recorder.close_cause->reason == ReasonCode::ProtocolError);
}

TEST_CASE("A shared filter is taken apart, in every version", "[MQTT-4.8.2-1][MQTT-4.8.2-2]") {
    for (const char* connect : {kV5, kV3, "CONNECT v31 id=c clean"}) {
        Bench bench;
        bench.connect(connect).send("SUBSCRIBE 1 $share/group/a/+:1");
        CHECK(bench.log() == "subscribe 1 a/+:1:share=group");
        for (const char* bad : {"$share/g", "$share//a", "$share/g+/a", "$share/g/"}) {
            Bench refused;
            refused.connect(connect).send(std::string("SUBSCRIBE 1 ") + bad + ":1");
            CHECK(refused.recorder.closed());
        }
    }
}

TEST_CASE("Wildcards that are not supported are rejected", "[MQTT311-3.8.3-2]") {
    ChannelLimits limits;
    limits.wildcard_available = false;
    Bench v5(limits);
    v5.connect(kV5).send("SUBSCRIBE 1 a/+:0");
    CHECK(v5.recorder.close_cause->reason == ReasonCode::WildcardSubscriptionsNotSupported);
    Bench v3(limits);
    v3.connect(kV3).send("SUBSCRIBE 1 a/+:0");
    CHECK(v3.log() == "<- SUBACK 1 0x80");
}

TEST_CASE("UNSUBACK has the identifier of its UNSUBSCRIBE and, in version 5, codes in order",
          "[MQTT-3.10.4-4][MQTT-3.10.4-5][MQTT-3.10.4-6][MQTT-3.11.3-1][MQTT-3.11.3-2]"
          "[MQTT311-3.10.4-4][MQTT311-3.10.4-5][MQTT311-3.10.4-6]") {
    Bench v5;
    v5.connect(kV5).send("UNSUBSCRIBE 800 a b $share/g/c");
    CHECK(v5.log() == "unsubscribe 800 a b c:share=g");
    v5.command("unsubscribed 800 0x00 0x11 0x87");
    CHECK(v5.log() == "<- UNSUBACK 800 0x00 0x11 0x87");
    Bench v3;
    v3.connect(kV3).send("UNSUBSCRIBE 800 a b");
    (void)v3.lines();
    v3.command("unsubscribed 800 0x11 0x11");
    CHECK(v3.log() == "<- UNSUBACK 800");
}

TEST_CASE("A filter over our limits is refused alone, the others are subscribed") {
    std::string deep = "a";
    for (int i = 0; i < 100; ++i) {
        deep += "/a";
    }
    Bench bench;
    bench.connect(kV5).send("SUBSCRIBE 1 a:1 " + deep + ":1 b:2");
    CHECK(bench.log() == "subscribe 1 a:1 b:2");
    bench.command("subscribed 1 0x01 0x02");
    const std::vector<std::string> words = words_of(bench.lines().at(0));
    REQUIRE(words.size() == 6);
    CHECK(words[3] == "0x01");
    CHECK(number_of(words[4]) >= 0x80);
    CHECK(words[5] == "0x02");
}

TEST_CASE("An identifier of an unanswered request is told 0x91, version 3 is closed") {
    Bench v5;
    v5.connect(kV5).send("SUBSCRIBE 1 a:0\nSUBSCRIBE 1 b:0 c:0");
    CHECK(v5.log() == "subscribe 1 a:0\n<- SUBACK 1 0x91 0x91");
    v5.command("subscribed 1 0x00");
    CHECK(v5.log() == "<- SUBACK 1 0x00");
    Bench v3;
    v3.connect(kV3).send("SUBSCRIBE 1 a:0\nSUBSCRIBE 1 b:0");
    CHECK(v3.recorder.closed());
}

TEST_CASE("Answers for requests that nobody made are ignored") {
    Bench bench;
    bench.connect(kV5).send("SUBSCRIBE 1 a:0");
    (void)bench.lines();
    bench.command("subscribed 2 0x00");
    bench.command("unsubscribed 1 0x00");
    CHECK(bench.log().empty());
    bench.send("DISCONNECT");
    (void)bench.lines();
    bench.command("subscribed 1 0x00");
    CHECK(bench.log().empty());
}

TEST_CASE("An answer larger than the client takes ends the connection rather than be withheld",
          "[MQTT-3.1.2-24]") {
    Bench bench;
    bench.connect("CONNECT v5 id=c clean max=60");
    std::string line = "SUBSCRIBE 1";
    for (int i = 0; i < 100; ++i) {
        line += " a" + std::to_string(i) + ":0";
    }
    bench.send(line);
    (void)bench.lines();
    bench.channel->on_subscribed(PacketId(1), std::vector<ReasonCode>(100, ReasonCode::Success));
    CHECK(bench.recorder.close_cause->kind == CloseKind::PacketTooLarge);
}

TEST_CASE("PINGREQ is answered by PINGRESP", "[MQTT-3.12.4-1][MQTT311-3.12.4-1]") {
    for (const char* connect : {kV5, kV3, "CONNECT v31 id=c clean"}) {
        Bench bench;
        bench.connect(connect).send("PINGREQ");
        CHECK(bench.log() == "<- PINGRESP");
    }
}

}  // namespace quorate::broker::test
