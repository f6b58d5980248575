// Messages to the client and its acknowledgements, by statement. Long, because it is a list.
#include <algorithm>
#include <array>
#include <deque>
#include <map>

#include "tests/unit/catch.h"
#include "tests/unit/channel/recorder.h"

namespace quorate::broker::test {
namespace {

using mqtt::QoS;
using mqtt::ReasonCode;

constexpr const char* kV5 = "CONNECT v5 id=c clean";
constexpr const char* kV3 = "CONNECT v311 id=c clean";

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

uint64_t dropped(const Bench& bench, DropCause cause) {
    return bench.context.counters.dropped[static_cast<std::size_t>(cause)];
}

void connect_durable(Bench& bench, uint64_t first, std::string_view line = "") {
    AttachOutcome outcome;
    outcome.durable = true;
    outcome.first_unacked = MessageNumber(first);
    bench.connect("CONNECT v5 id=c expiry=10 " + std::string(line), outcome);
}

}  // namespace

TEST_CASE("QoS 0 goes out at once with DUP 0, whatever the window",
          "[MQTT-4.3.1-1][MQTT311-4.3.1-1][MQTT-3.3.4-10][MQTT-4.9.0-3]") {
    ChannelLimits limits;
    limits.max_inflight_out = 1;
    Bench bench(limits);
    bench.connect(kV5);
    bench.offer("a", QoS::AtLeastOnce);
    CHECK(bench.offer("a", QoS::AtLeastOnce) == OfferResult::Queued);
    CHECK(bench.offer("a", QoS::AtMostOnce) == OfferResult::Sent);
    CHECK(bench.log() == "<- PUBLISH a x qos=1 id=2\n<- PUBLISH a x qos=0");
}

TEST_CASE("QoS 1 and 2 take identifiers that are not in use and are first sent with DUP 0",
          "[MQTT-4.3.2-1][MQTT-4.3.2-2][MQTT-4.3.3-1][MQTT-4.3.3-2][MQTT-2.2.1-4]"
          "[MQTT-3.3.1-3][MQTT311-2.3.1-4][MQTT311-4.3.2-1][MQTT311-4.3.3-1]") {
    ChannelLimits limits;
    limits.max_inflight_out = 65535;
    Bench bench(limits);
    bench.connect(kV3);
    std::map<uint32_t, int> in_use;
    for (int i = 0; i < 70000; ++i) {
        bench.offer("a", i % 2 == 0 ? QoS::AtLeastOnce : QoS::ExactlyOnce);
        const std::vector<std::string> lines = bench.lines();
        REQUIRE(lines.size() == 1);
        const uint32_t id = number_of(value_of(words_of(lines[0]), "id"));
        CHECK(!contains(lines[0], "dup"));
        REQUIRE(id != 0);
        REQUIRE(++in_use[id] == 1);
        const std::string text = std::to_string(id);
        bench.send(i % 2 == 0 ? "PUBACK " + text : "PUBREC " + text + "\nPUBCOMP " + text);
        (void)bench.lines();
        in_use.erase(id);
    }
}

TEST_CASE("The host hears that a PUBREC is awaited, and nothing of PUBACKs") {
    Bench bench;
    bench.connect(kV5);
    bench.offer("a", QoS::AtMostOnce);
    bench.offer("a", QoS::AtLeastOnce);
    CHECK(bench.recorder.answers_awaited == 0);
    bench.offer("a", QoS::ExactlyOnce);
    CHECK(bench.recorder.answers_awaited == 1);
}

TEST_CASE("No more than Receive Maximum messages are out at once",
          "[MQTT-3.3.4-9][MQTT-4.9.0-1][MQTT-4.9.0-2]") {
    Bench bench;
    bench.connect("CONNECT v5 id=c clean rm=5");
    for (int i = 0; i < 20; ++i) {
        bench.offer("a", i % 2 == 0 ? QoS::AtLeastOnce : QoS::ExactlyOnce);
    }
    CHECK(bench.lines().size() == 5);
    CHECK(bench.channel->queued_messages() == 15);
    // PUBREC gives no room back, PUBCOMP and PUBACK do.
    bench.send("PUBREC 3");
    CHECK(bench.log() == "<- PUBREL 3 0x00");
    bench.send("PUBACK 2");
    CHECK(bench.log() == "<- PUBLISH a x qos=2 id=7");
    bench.send("PUBCOMP 3");
    CHECK(bench.log() == "<- PUBLISH a x qos=1 id=8");
}

TEST_CASE("A message is unacknowledged until PUBACK, or PUBREC and PUBCOMP",
          "[MQTT-4.3.2-3][MQTT-4.3.3-3][MQTT-4.3.3-4][MQTT-4.3.3-5]") {
    Bench bench;
    bench.connect(kV5);
    bench.offer("a", QoS::AtLeastOnce);
    bench.offer("a", QoS::ExactlyOnce);
    CHECK(bench.channel->inflight_out() == 2);
    bench.send("PUBACK 2");
    CHECK(bench.channel->inflight_out() == 1);
    bench.send("PUBREC 3");
    CHECK(bench.channel->inflight_out() == 1);
    CHECK(contains(bench.log(), "<- PUBREL 3 0x00"));
    bench.send("PUBCOMP 3");
    CHECK(bench.channel->inflight_out() == 0);
}

TEST_CASE("On a live connection nothing is sent twice, however long no answer comes",
          "[MQTT-4.4.0-1][MQTT311-4.4.0-1]") {
    Bench bench;
    bench.connect("CONNECT v5 id=c clean ka=0");
    bench.offer("a", QoS::AtLeastOnce);
    bench.offer("a", QoS::ExactlyOnce);
    (void)bench.lines();
    for (int i = 0; i < 100; ++i) {
        bench.command("tick 30000");
        bench.send("PINGREQ");
    }
    for (const std::string& line : bench.lines()) {
        CHECK(line == "<- PINGRESP");
    }
}

TEST_CASE("PUBREL leaves a durable session after PUBREC is committed, in the order of the PUBRECs",
          "[MQTT-4.6.0-4][MQTT311-4.6.0-4]") {
    Bench bench;
    connect_durable(bench, 1);
    bench.command("deliver 1 a x qos=2");
    bench.command("deliver 2 a x qos=2");
    (void)bench.lines();
    bench.send("PUBREC 3\nPUBREC 2\nPUBREC 2");
    CHECK(bench.log() == "acknowledge 2 pubrec\nacknowledge 1 pubrec");
    bench.command("committed 2");
    bench.command("committed 1");
    bench.command("committed 1");
    CHECK(bench.log() == "<- PUBREL 3 0x00\n<- PUBREL 2 0x00");
}

TEST_CASE("A resumed session repeats what it must: PUBLISH with DUP 1, or PUBREL alone",
          "[MQTT-4.4.0-1][MQTT-3.3.1-1][MQTT-4.3.3-6][MQTT311-3.3.1-1][MQTT311-4.4.0-1]"
          "[MQTT311-4.6.0-1]") {
    Bench bench;
    connect_durable(bench, 70000);
    bench.command("deliver 70000 a x qos=1 dup");
    bench.command("deliver 70001 pubrec");
    bench.command("deliver 70003 a y qos=2 dup");
    bench.command("deliver 70004 a z qos=2");
    CHECK(bench.log() ==
          "<- PUBLISH a x qos=1 id=4466 dup\n<- PUBREL 4467 0x00\n"
          "<- PUBLISH a y qos=2 id=4469 dup\n<- PUBLISH a z qos=2 id=4470");
    CHECK(bench.context.counters.redeliveries == 2);
    bench.send("PUBCOMP 4467\nPUBACK 4466");
    CHECK(contains(bench.log(), "acknowledge 70001 pubcomp\nacknowledge 70000 puback"));
}

TEST_CASE("What a durable session sends keeps within the window of numbers") {
    Bench bench;
    connect_durable(bench, 100, "rm=10");
    CHECK(bench.channel->next_number() == MessageNumber(100));
    CHECK(bench.channel->credit() == 10);
    bench.command("deliver 100 a x");
    bench.command("deliver 105 a x");
    CHECK(bench.channel->credit() == 4);
    bench.command("deliver 110 a x");
    CHECK(contains(bench.log(), "out_of_window"));
    bench.send("PUBACK 101");
    CHECK(bench.log() == "acknowledge 100 puback\nwindow_open");
    CHECK(bench.channel->credit() == 9);  // 101 to 104 were passed over
    bench.command("deliver 114 a x");
    bench.command("deliver 115 a x");
    CHECK(contains(bench.log(), "out_of_window"));
}

TEST_CASE("A PUBLISH refused with 0x80 or above is settled and not repeated",
          "[MQTT-4.4.0-2][MQTT-4.8.2-6]") {
    Bench bench;
    connect_durable(bench, 1);
    bench.command("deliver 1 a x qos=1");
    bench.command("deliver 2 a x qos=2");
    (void)bench.lines();
    bench.send("PUBACK 2 0x97\nPUBREC 3 0x83");
    CHECK(bench.log() == "acknowledge 1 refused\nacknowledge 2 refused\nwindow_open");
    CHECK(bench.channel->inflight_out() == 0);
}

TEST_CASE("A message larger than the client takes is not sent and counts as done",
          "[MQTT-3.1.2-24][MQTT-3.1.2-25]") {
    Bench bench;
    bench.connect("CONNECT v5 id=c clean max=100");
    const std::string large(100, 'x');
    for (const QoS qos : {QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce}) {
        CHECK(bench.offer("a", qos, large) == OfferResult::Dropped);
        CHECK(bench.offer("a", qos, "small") == OfferResult::Sent);
    }
    CHECK(dropped(bench, DropCause::TooLarge) == 3);
    Bench durable;
    connect_durable(durable, 5, "max=100");
    durable.command("deliver 5 a " + large);
    CHECK(durable.log() == "acknowledge 5 too_large\nsettled");
    durable.command("deliver 6 a x");
    CHECK(durable.log() == "<- PUBLISH a x qos=1 id=7");
}

TEST_CASE("Topic aliases to the client stay within its maximum and mean what they said",
          "[MQTT-3.1.2-26][MQTT-3.3.2-11][MQTT-3.3.2-8][MQTT-3.3.2-10]") {
    Bench bench;
    bench.connect("CONNECT v5 id=c clean alias=3");
    std::map<std::string, std::string> meaning;
    bool used = false;
    for (int i = 0; i < 500; ++i) {
        const std::string topic = "some/topic/" + std::to_string((i * i) % 7);
        bench.offer(topic, QoS::AtMostOnce, "p");
        const auto words = words_of(bench.lines().at(0));
        const std::string alias = value_of(words, "alias");
        if (!alias.empty()) {
            CHECK(number_of(alias) >= 1);
            CHECK(number_of(alias) <= 3);
        }
        if (words.at(2) == "-") {
            used = true;
            CHECK(meaning[alias] == topic);
        } else {
            CHECK(words.at(2) == topic);
            if (!alias.empty()) meaning[alias] = topic;
        }
    }
    CHECK(used);
}

TEST_CASE("Without a Topic Alias Maximum of the client no alias is sent", "[MQTT-3.1.2-27]") {
    for (const char* connect : {kV5, "CONNECT v5 id=c clean alias=0", kV3}) {
        Bench bench;
        bench.connect(connect);
        for (int i = 0; i < 10; ++i) {
            bench.offer("long/topic", QoS::AtMostOnce);
        }
        CHECK(!contains(bench.log(), "alias"));
    }
}

TEST_CASE("Message expiry: what waited is sent with the rest of it, or not at all",
          "[MQTT-3.3.2-5][MQTT-3.3.2-6]") {
    ChannelLimits limits;
    limits.max_inflight_out = 1;
    Bench bench(limits);
    bench.connect(kV5);
    bench.command("offer a first qos=1");
    bench.command("offer a gone qos=1 expiry=10 shared=3");
    bench.command("offer a late qos=1 expiry=20");
    (void)bench.lines();
    bench.now += std::chrono::milliseconds(12999);
    bench.send("PUBACK 2");
    CHECK(bench.log() == "acknowledge 0 dropped shared=3\n<- PUBLISH a late qos=1 id=3 expiry=8");
    CHECK(dropped(bench, DropCause::Expired) == 1);
}

TEST_CASE("An expired QoS 2 message that was sent is completed all the same",
          "[MQTT-4.3.3-7][MQTT-4.3.3-13]") {
    Bench bench;
    bench.connect(kV5);
    bench.command("offer a x qos=2 expiry=1");
    bench.now += std::chrono::seconds(10);
    bench.send("PUBREC 2");
    CHECK(contains(bench.log(), "<- PUBREL 2 0x00"));
}

TEST_CASE("Properties reach a version 5 client as they are and never a version 3 one",
          "[MQTT-3.3.2-4][MQTT-3.3.2-15][MQTT-3.3.2-16][MQTT-3.3.2-17][MQTT-3.3.2-18]"
          "[MQTT-3.3.2-20]") {
    std::string forward;
    mqtt::PropertyWriter writer(forward);
    writer.user("b", "2");
    writer.byte(mqtt::PropertyId::PayloadFormatIndicator, 1);
    writer.text(mqtt::PropertyId::ResponseTopic, "r");
    writer.text(mqtt::PropertyId::CorrelationData, "d");
    writer.text(mqtt::PropertyId::ContentType, "t");
    writer.user("a", "1");
    mqtt::MessageView message;
    message.topic = "a";
    message.payload = "x";
    message.forward = forward;
    message.message_expiry_s = 9;
    const std::array<uint32_t, 2> ids = {3, 4};
    Offer offer;
    offer.message = &message;
    offer.subscription_ids = ids;
    Bench v5;
    v5.connect(kV5);
    v5.channel->offer(v5.now, offer);
    const std::string line = v5.log();
    for (const char* part :
         {"user-property=b:2", "format=1", "response-topic='r'", "correlation='d'",
          "content-type='t'", "user-property=a:1", "expiry=9", "sub-id=3", "sub-id=4"}) {
        CHECK(contains(line, part));
    }
    CHECK(line.find("user-property=b") < line.find("user-property=a"));
    Bench v3;
    v3.connect(kV3);
    v3.channel->offer(v3.now, offer);
    CHECK(v3.log() == "<- PUBLISH a x qos=0");
}

TEST_CASE("A message encoded once is the same to each receiver as one encoded for it alone") {
    mqtt::MessageView message;
    message.topic = "a/b";
    message.payload = "hello";
    EncodedPublishCache cache;
    const std::array<uint32_t, 1> ids = {9};
    for (int round = 0; round < 3; ++round) {
        const std::string payload = "hello" + std::to_string(round);
        message.payload = payload;
        if (round == 2) message.message_expiry_s = 77;
        cache.begin(message);
        for (const char* connect :
             {kV5, kV3, "CONNECT v5 id=c clean alias=5", "CONNECT v5 id=c clean max=21"}) {
            for (int variant = 0; variant < 12; ++variant) {
                Offer offer;
                offer.message = &message;
                offer.qos = static_cast<QoS>(variant % 3);
                offer.retain = variant / 3 % 2 == 1;
                if (variant >= 6) offer.subscription_ids = ids;
                Bench alone;
                alone.connect(connect);
                Bench fan_out;
                fan_out.connect(connect);
                const OfferResult expected = alone.channel->offer(alone.now, offer);
                offer.cache = &cache;
                CHECK(fan_out.channel->offer(fan_out.now, offer) == expected);
                CHECK(fan_out.log() == alone.log());
            }
        }
    }
}

TEST_CASE("The order of one QoS is kept through window, queue and output",
          "[MQTT-4.6.0-5][MQTT-4.6.0-6][MQTT311-4.6.0-5][MQTT311-4.6.0-6]") {
    ChannelLimits limits;
    limits.max_inflight_out = 3;
    Bench bench(limits);
    bench.connect(kV5);
    uint32_t expected = 0;
    std::deque<std::string> out;  // identifiers in flight
    const auto read = [&] {
        for (const std::string& line : bench.lines()) {
            CHECK(words_of(line).at(3) == std::to_string(expected++));
            out.push_back(value_of(words_of(line), "id"));
        }
    };
    const auto acknowledge = [&] {
        if (out.empty()) return;
        const std::string id = out.front();
        out.pop_front();
        bench.send("PUBACK " + id);
        read();
    };
    for (uint32_t i = 0; i < 200; ++i) {
        bench.recorder.stuck_output = i % 5 == 0 ? 2 << 20 : 0;
        bench.offer("a", QoS::AtLeastOnce, std::to_string(i));
        read();
        if (i % 3 == 0) acknowledge();
    }
    bench.recorder.stuck_output = 0;
    bench.command("drained");
    read();
    while (!out.empty()) {
        acknowledge();
    }
    CHECK(expected == 200);
}

TEST_CASE("Limits of the queue drop what the policy says, and count it") {
    ChannelLimits limits;
    limits.max_inflight_out = 1;
    limits.max_queued_messages = 3;
    for (const QueueFull policy :
         {QueueFull::DropOldest, QueueFull::DropNewest, QueueFull::Disconnect}) {
        limits.queue_full = policy;
        Bench bench(limits);
        bench.connect(kV5);
        for (int i = 0; i < 6; ++i) {
            bench.offer("a", QoS::AtLeastOnce, std::to_string(i));
        }
        if (policy == QueueFull::Disconnect) {
            CHECK(bench.recorder.close_cause->reason == ReasonCode::QuotaExceeded);
            continue;
        }
        CHECK(dropped(bench, DropCause::QueueMessages) == 2);
        (void)bench.lines();
        bench.send("PUBACK 2\nPUBACK 3\nPUBACK 4\nPUBACK 5");
        bench.send("PUBACK 3\nPUBACK 4\nPUBACK 5");
        bench.send("PUBACK 4\nPUBACK 5");
        const bool newest = policy == QueueFull::DropNewest;
        CHECK(bench.log() == (newest ? "<- PUBLISH a 1 qos=1 id=3\n<- PUBLISH a 2 qos=1 id=4\n"
                                       "<- PUBLISH a 3 qos=1 id=5"
                                     : "<- PUBLISH a 3 qos=1 id=3\n<- PUBLISH a 4 qos=1 id=4\n"
                                       "<- PUBLISH a 5 qos=1 id=5"));
    }
}

TEST_CASE("The queue is bounded in bytes, also by one message that could never fit") {
    ChannelLimits limits;
    limits.max_inflight_out = 1;
    limits.max_queued_bytes = 10000;
    Bench bench(limits);
    bench.connect(kV5);
    bench.offer("a", QoS::AtLeastOnce);
    for (int i = 0; i < 100; ++i) {
        CHECK(bench.offer("a", QoS::AtLeastOnce, std::string(900, 'x')) == OfferResult::Queued);
        CHECK(bench.channel->queued_bytes() <= 10000);
    }
    CHECK(dropped(bench, DropCause::QueueBytes) == 90);
    CHECK(bench.offer("a", QoS::AtLeastOnce, std::string(20000, 'x')) == OfferResult::Dropped);
}

TEST_CASE("Output that is not taken drops QoS 0 and keeps QoS 1 and 2") {
    Bench bench;
    bench.connect(kV5);
    bench.recorder.stuck_output = (1 << 20) + 1;
    CHECK(bench.offer("a", QoS::AtMostOnce) == OfferResult::Dropped);
    CHECK(bench.offer("a", QoS::AtLeastOnce) == OfferResult::Queued);
    CHECK(dropped(bench, DropCause::Output) == 1);
    CHECK(bench.recorder.drains_awaited > 0);
    bench.recorder.stuck_output = 0;
    CHECK(bench.offer("a", QoS::ExactlyOnce, "y") == OfferResult::Sent);  // not past the first
    CHECK(bench.log() == "<- PUBLISH a x qos=1 id=2\n<- PUBLISH a y qos=2 id=3");
    bench.recorder.stuck_output = (1 << 20) + 1;
    CHECK(bench.offer("a", QoS::AtLeastOnce, "z") == OfferResult::Queued);
    bench.recorder.stuck_output = 0;
    bench.command("drained");
    CHECK(bench.log() == "<- PUBLISH a z qos=1 id=4");
}

TEST_CASE("Acknowledgements that fit nothing: unknown ones pass, contradictions end it",
          "[MQTT-4.13.1-1][MQTT311-4.8.0-1]") {
    Bench bench;
    bench.connect(kV5);
    bench.send("PUBACK 9\nPUBCOMP 9\nPUBREC 9 0x80");
    CHECK(bench.log().empty());
    CHECK(bench.context.counters.unknown_acks == 3);
    bench.send("PUBREC 9");
    CHECK(bench.log() == "<- PUBREL 9 0x92");
    for (const char* packet : {"PUBREC 2", "PUBCOMP 2", "PUBACK 3", "PUBCOMP 3"}) {
        Bench wrong;
        wrong.connect(kV5);
        wrong.offer("a", QoS::AtLeastOnce);
        wrong.offer("a", QoS::ExactlyOnce);
        wrong.send(packet);
        CHECK(wrong.recorder.close_cause->kind == CloseKind::ProtocolError);
    }
}

TEST_CASE("Offers to a connection that has ended are dropped and their group is told") {
    Bench bench;
    bench.connect(kV5);
    bench.send("DISCONNECT");
    (void)bench.lines();
    bench.command("offer a x qos=1 shared=4");
    CHECK(bench.log() == "acknowledge 0 unsent shared=4\ndropped");
    bench.command("deliver 1 a x");
    CHECK(bench.log() == "not_connected");
}

TEST_CASE("At the end of a connection its shared messages are returned",
          "[MQTT-4.8.2-4][MQTT-4.8.2-5]") {
    ChannelLimits limits;
    limits.max_inflight_out = 3;
    Bench bench(limits);
    bench.connect(kV5);
    for (int i = 1; i <= 5; ++i) {
        bench.command("offer a x qos=" + std::to_string(1 + i % 2) +
                      " shared=" + std::to_string(i));
    }
    bench.send("PUBREC 2");
    (void)bench.lines();
    bench.command("lost");
    CHECK(bench.log() ==
          "acknowledge 1 unacked_qos2 shared=1\nacknowledge 2 unacked_qos1 shared=2\n"
          "acknowledge 3 unacked_qos2 shared=3\nacknowledge 0 unsent shared=4\n"
          "acknowledge 0 unsent shared=5\ndetach lost highest=3\nclose 0x80 transport closed");
}

}  // namespace quorate::broker::test
