#include <string>

#include "proto/mqtt/decoder.h"
#include "tests/unit/catch.h"
#include "tests/unit/mqtt/wire_text.h"

using namespace quorate;
using namespace quorate::mqtt;
using namespace quorate::mqtt::test;

namespace {

constexpr ProtocolVersion kVersions[] = {ProtocolVersion::V31, ProtocolVersion::V311,
                                         ProtocolVersion::V5};

ReasonCode reason(ProtocolVersion version, std::string_view bytes,
                  const DecodeLimits& limits = {}) {
    return decode_bytes(version, bytes, limits).reason;
}

}  // namespace

TEST_CASE("a PUBLISH of version 3 is topic, identifier and payload",
          "[MQTT311-3.3.2-1][MQTT311-2.3.1-5]") {
    Decoded out;
    const std::string qos0 = packet("31 \"a/b\" 'hello'");
    REQUIRE(decode_bytes(ProtocolVersion::V311, qos0, out).ok());
    CHECK(out.publish.topic == "a/b");
    CHECK(out.publish.payload == "hello");
    CHECK(out.publish.qos == QoS::AtMostOnce);
    CHECK(out.publish.retain);
    CHECK_FALSE(out.publish.dup);
    CHECK(out.publish.packet_id == PacketId(0));

    const std::string qos2 = packet("3c \"a\" 12 34");
    REQUIRE(decode_bytes(ProtocolVersion::V31, qos2, out).ok());
    CHECK(out.publish.qos == QoS::ExactlyOnce);
    CHECK(out.publish.dup);
    CHECK_FALSE(out.publish.retain);
    CHECK(out.publish.packet_id == PacketId(0x1234));
    CHECK(out.publish.payload.empty());
}

TEST_CASE("a PUBLISH of version 5 has properties between identifier and payload",
          "[MQTT-3.3.2-1][MQTT-2.2.1-2]") {
    Decoded out;
    const std::string bytes =
        packet("32 \"a/b\" 00 09 13 02 00 00 00 3c 23 00 05 03 \"t\" 26 \"n\" \"v\" 'x'");
    REQUIRE(decode_bytes(ProtocolVersion::V5, bytes, out).ok());
    CHECK(out.publish.topic == "a/b");
    CHECK(out.publish.packet_id == PacketId(9));
    CHECK(out.publish.message_expiry_s == 60U);
    CHECK(out.publish.topic_alias == 5);
    CHECK(out.publish.forward == wire("03 \"t\" 26 \"n\" \"v\""));
    CHECK(out.publish.payload == "x");
    CHECK(out.publish.properties.bytes().size() == 0x13);
}

TEST_CASE("an alias may stand in place of the topic, but one of them is there") {
    Decoded out;
    const std::string alias_alone = packet("30 \"\" 03 23 00 01 'x'");
    REQUIRE(decode_bytes(ProtocolVersion::V5, alias_alone, out).ok());
    CHECK(out.publish.topic.empty());
    CHECK(out.publish.topic_alias == 1);
    CHECK(reason(ProtocolVersion::V5, packet("30 \"\" 00 'x'")) == ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V311, packet("30 \"\" 'x'")) == ReasonCode::TopicNameInvalid);
}

TEST_CASE("aliases from 1 to the maximum are accepted and no others",
          "[MQTT-3.3.2-8][MQTT-3.3.2-12]") {
    DecodeLimits limits;
    limits.topic_alias_maximum = 2;
    for (const unsigned alias : {0U, 1U, 2U, 3U, 255U}) {
        const std::string bytes =
            framed(0x30, wire("\"t\" 03 23 00") + static_cast<char>(static_cast<uint8_t>(alias)));
        const bool good = alias == 1 || alias == 2;
        CHECK(reason(ProtocolVersion::V5, bytes, limits) ==
              (good ? ReasonCode::Success : ReasonCode::TopicAliasInvalid));
    }
    limits.topic_alias_maximum = 0;
    CHECK(reason(ProtocolVersion::V5, packet("30 \"t\" 03 23 00 01"), limits) ==
          ReasonCode::TopicAliasInvalid);
}

TEST_CASE("QoS 3 is a malformed packet", "[MQTT-3.3.1-4][MQTT311-3.3.1-4]") {
    for (const ProtocolVersion version : kVersions) {
        CHECK(reason(version, packet("36 \"t\" 00 01 00")) == ReasonCode::MalformedPacket);
        DecodeLimits limits;
        PublishView out;
        std::string scratch;
        const std::string body = wire("\"t\" 00 01 00");
        const Frame frame{PacketType::Publish, 0x06, as_bytes(body)};
        CHECK(decode_publish(version, frame, limits, scratch, out).reason ==
              ReasonCode::MalformedPacket);
    }
}

TEST_CASE("DUP at QoS 0 is a malformed packet", "[MQTT-3.3.1-2][MQTT311-3.3.1-2]") {
    for (const ProtocolVersion version : kVersions) {
        CHECK(reason(version, packet("38 \"t\" 00")) == ReasonCode::MalformedPacket);
    }
}

TEST_CASE("packet identifier 0 is a protocol error", "[MQTT-2.2.1-3][MQTT311-2.3.1-1]") {
    for (const ProtocolVersion version : kVersions) {
        CHECK(reason(version, packet("32 \"t\" 00 00 00")) == ReasonCode::ProtocolError);
        CHECK(reason(version, packet("34 \"t\" 00 00 00")) == ReasonCode::ProtocolError);
    }
}

TEST_CASE("a wildcard in the topic is an invalid topic name",
          "[MQTT-3.3.2-2][MQTT-4.7.0-1][MQTT311-3.3.2-2][MQTT311-4.7.1-1]") {
    for (const ProtocolVersion version : kVersions) {
        for (const char* text : {"30 \"a/+\" 00", "30 \"#\" 00", "30 \"a+b/c\" 00"}) {
            CHECK(reason(version, packet(text)) == ReasonCode::TopicNameInvalid);
        }
    }
}

TEST_CASE("a topic that is not UTF-8 is a malformed packet",
          "[MQTT-1.5.4-1][MQTT-1.5.4-2][MQTT-3.3.2-1][MQTT-4.7.3-2][MQTT311-1.5.3-1]"
          "[MQTT311-1.5.3-2][MQTT311-3.3.2-1][MQTT311-4.7.3-2]") {
    for (const ProtocolVersion version : kVersions) {
        for (const char* text :
             {"30 00 01 ff 00", "30 00 03 61 00 62 00", "30 00 03 ed a0 80 00"}) {
            CHECK(reason(version, packet(text)) == ReasonCode::MalformedPacket);
        }
        CHECK(reason(version, packet("30 00 03 ef bb bf 00")) == ReasonCode::Success);
    }
}

TEST_CASE("topics over our limits are invalid topic names") {
    DecodeLimits limits;
    limits.topics = {20, 4};
    for (const ProtocolVersion version : kVersions) {
        CHECK(reason(version, packet("30 \"a/b/c/d\" 00"), limits) == ReasonCode::Success);
        CHECK(reason(version, packet("30 \"a/b/c/d/e\" 00"), limits) ==
              ReasonCode::TopicNameInvalid);
        CHECK(reason(version, packet("30 \"012345678901234567890\" 00"), limits) ==
              ReasonCode::TopicNameInvalid);
    }
}

TEST_CASE("a client does not send subscription identifiers and a server does", "[MQTT-3.3.4-6]") {
    const std::string bytes = packet("30 \"t\" 04 0b 01 0b 02");
    DecodeLimits limits;
    CHECK(reason(ProtocolVersion::V5, bytes, limits) == ReasonCode::ProtocolError);
    limits.sender = Sender::Server;
    CHECK(reason(ProtocolVersion::V5, bytes, limits) == ReasonCode::Success);
}

TEST_CASE("a payload that is not the UTF-8 it claims to be is refused, and still decoded") {
    const std::string bytes = packet("32 \"t\" 00 01 02 01 01 ff fe");
    DecodeLimits limits;
    Decoded out;
    CHECK(decode_bytes(ProtocolVersion::V5, bytes, out, limits).reason ==
          ReasonCode::PayloadFormatInvalid);
    CHECK(out.publish.packet_id == PacketId(1));
    CHECK(out.publish.topic == "t");
    CHECK(out.publish.payload == "\xFF\xFE");
    limits.check_payload_format = false;
    CHECK(reason(ProtocolVersion::V5, bytes, limits) == ReasonCode::Success);
    limits.check_payload_format = true;
    CHECK(reason(ProtocolVersion::V5, packet("30 \"t\" 02 01 00 ff"), limits) ==
          ReasonCode::Success);
    CHECK(reason(ProtocolVersion::V5, packet("30 \"t\" 02 01 01 61 00 62"), limits) ==
          ReasonCode::Success);
}

TEST_CASE("lengths that do not fit the packet are malformed") {
    for (const char* text : {"30", "30 00", "30 00 05 'abc'", "32 \"t\"", "32 \"t\" 00"}) {
        for (const ProtocolVersion version : kVersions) {
            INFO(text);
            CHECK(reason(version, packet(text)) == ReasonCode::MalformedPacket);
        }
    }
    for (const char* text : {"30 \"t\"", "30 \"t\" 01", "30 \"t\" 80", "30 \"t\" 80 00",
                             "30 \"t\" 03 01 01", "30 \"t\" 01 01 01", "30 \"t\" ff ff ff ff 01"}) {
        INFO(text);
        CHECK(reason(ProtocolVersion::V5, packet(text)) == ReasonCode::MalformedPacket);
    }
}

TEST_CASE("the scratch string is only written when properties must be gathered") {
    Decoded out;
    out.scratch = "untouched";
    const std::string plain = packet("30 \"t\" 06 26 \"n\" \"\" 'x'");
    REQUIRE(decode_bytes(ProtocolVersion::V5, plain, out).ok());
    CHECK(out.scratch == "untouched");
    const std::string mixed = packet("30 \"t\" 0b 01 01 02 00 00 00 01 01 01 'x'");
    CHECK(decode_bytes(ProtocolVersion::V5, mixed, out).reason == ReasonCode::MalformedPacket);
    const std::string apart = packet("30 \"t\" 0b 01 01 02 00 00 00 01 03 \"t\" 'x'");
    REQUIRE(decode_bytes(ProtocolVersion::V5, apart, out).ok());
    CHECK(out.scratch == wire("01 01 03 \"t\""));
    CHECK(out.publish.forward == out.scratch);
    CHECK(out.publish.message_expiry_s == 1U);
}
