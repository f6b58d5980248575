#include <string>

#include "proto/mqtt/decoder.h"
#include "tests/unit/catch.h"
#include "tests/unit/mqtt/wire_text.h"

using namespace quorate;
using namespace quorate::mqtt;
using namespace quorate::mqtt::test;

namespace {

struct Refused {
    const char* name;
    const char* bytes;
    ReasonCode reason;
};

ReasonCode reason_of(std::string_view bytes, const DecodeLimits& limits = {}) {
    return decode_bytes(ProtocolVersion::V311, bytes, limits).reason;
}

}  // namespace

TEST_CASE("a CONNECT of 3.1.1 with everything", "[MQTT311-3.1.3-1][MQTT311-3.1.2-9]") {
    Decoded out;
    const std::string bytes =
        packet("10 \"MQTT\" 04 f6 00 3c \"client\" \"will/topic\" 00 02 00 ff \"user\" \"pass\"");
    REQUIRE(decode_bytes(ProtocolVersion::V311, bytes, out).ok());
    const Connect& connect = out.connect;
    CHECK(connect.version == ProtocolVersion::V311);
    CHECK(connect.clean_start);
    CHECK(connect.keep_alive_s == 60);
    CHECK(connect.client_id == "client");
    REQUIRE(connect.will.has_value());
    CHECK(connect.will->topic == "will/topic");
    CHECK(connect.will->payload == std::string_view("\0\xFF", 2));
    CHECK(connect.will->qos == QoS::ExactlyOnce);
    CHECK(connect.will->retain);
    CHECK(connect.user_name == "user");
    CHECK(connect.password == "pass");
}

TEST_CASE("a CONNECT of 5.0 with every property") {
    Decoded out;
    const std::string bytes = packet(
        "10 \"MQTT\" 05 0e 00 00 "
        "2b 11 00 00 00 0a 21 00 14 27 00 00 04 00 22 00 07 19 01 17 00 26 \"n\" \"v\" "
        "15 \"SCRAM\" 16 00 05 64 61 74 61 00 "
        "\"\" "
        "15 18 00 00 00 05 02 00 00 00 09 01 01 08 \"r/t\" 09 00 00 "
        "\"w\" \"p\"");
    const DecodeResult result = decode_bytes(ProtocolVersion::V5, bytes, out);
    INFO((result.why == nullptr ? "ok" : result.why));
    REQUIRE(result.ok());
    const Connect& connect = out.connect;
    CHECK(connect.version == ProtocolVersion::V5);
    CHECK(connect.session_expiry_interval_s == 10);
    CHECK(connect.receive_maximum == 20);
    CHECK(connect.maximum_packet_size == 1024);
    CHECK(connect.topic_alias_maximum == 7);
    CHECK(connect.request_response_information);
    CHECK_FALSE(connect.request_problem_information);
    CHECK(connect.authentication_method == "SCRAM");
    CHECK(connect.authentication_data == std::string_view("data\0", 5));
    CHECK(connect.client_id.empty());
    REQUIRE(connect.will.has_value());
    CHECK(connect.will->qos == QoS::AtLeastOnce);
    CHECK(connect.will->delay_interval_s == 5);
    CHECK(connect.will->message_expiry_s == 9U);
    CHECK(connect.will->forward == wire("01 01 08 \"r/t\" 09 00 00"));
    CHECK_FALSE(connect.user_name.has_value());
}

TEST_CASE("absent properties have the defaults of the specification") {
    Decoded out;
    REQUIRE(
        decode_bytes(ProtocolVersion::V5, packet("10 \"MQTT\" 05 00 00 0a 00 \"c\""), out).ok());
    CHECK_FALSE(out.connect.clean_start);
    CHECK(out.connect.session_expiry_interval_s == 0);
    CHECK(out.connect.receive_maximum == 65'535);
    CHECK(out.connect.maximum_packet_size == kPacketSizeMax);
    CHECK(out.connect.topic_alias_maximum == 0);
    CHECK_FALSE(out.connect.request_response_information);
    CHECK(out.connect.request_problem_information);
    CHECK_FALSE(out.connect.authentication_method.has_value());
    CHECK_FALSE(out.connect.will.has_value());
}

TEST_CASE("names and levels we do not speak are 0x84, told in the version they sound like",
          "[MQTT-3.1.2-1][MQTT-3.1.2-2][MQTT311-3.1.2-1][MQTT311-3.1.2-2]") {
    struct Row {
        const char* bytes;
        ProtocolVersion answer;
    };
    const Row rows[] = {
        {"10 \"MQTT\" 03 02 00 00 \"c\"", ProtocolVersion::V311},
        {"10 \"MQTT\" 06 02 00 00 00 \"c\"", ProtocolVersion::V5},
        {"10 \"MQTT\" 84 02 00 00 \"c\"", ProtocolVersion::V311},
        {"10 \"MQTT\" 00 02 00 00 \"c\"", ProtocolVersion::V311},
        {"10 \"MQIsdp\" 83 02 00 00 \"c\"", ProtocolVersion::V311},
        {"10 \"MQIsdp\" 04 02 00 00 \"c\"", ProtocolVersion::V311},
        {"10 \"mqtt\" 04 02 00 00 \"c\"", ProtocolVersion::V311},
        {"10 \"MQTX\" 05 02 00 00 00 \"c\"", ProtocolVersion::V5},
        {"10 \"\" 04 02 00 00 \"c\"", ProtocolVersion::V311},
    };
    for (const Row& row : rows) {
        Decoded out;
        INFO(row.bytes);
        CHECK(decode_bytes(ProtocolVersion::V5, packet(row.bytes), out).reason ==
              ReasonCode::UnsupportedProtocolVersion);
        CHECK(out.connect.version == row.answer);
    }
    Decoded out;
    CHECK(decode_bytes(ProtocolVersion::V5, packet("10 00 04 'MQ'"), out).reason ==
          ReasonCode::MalformedPacket);
    CHECK(out.connect.version == ProtocolVersion::V311);
}

TEST_CASE("connect flags that contradict each other are malformed",
          "[MQTT-3.1.2-3][MQTT-3.1.2-11][MQTT-3.1.2-12][MQTT-3.1.2-13][MQTT311-3.1.2-3]"
          "[MQTT311-3.1.2-13][MQTT311-3.1.2-14][MQTT311-3.1.2-15][MQTT311-3.1.2-11]"
          "[MQTT311-3.1.2-22][MQTT-3.1.4-1][MQTT311-3.1.4-1]") {
    const Refused rows[] = {
        {"reserved flag", "10 \"MQTT\" 04 03 00 00 \"c\"", ReasonCode::MalformedPacket},
        {"reserved flag, 5", "10 \"MQTT\" 05 03 00 00 00 \"c\"", ReasonCode::MalformedPacket},
        {"will QoS 1 without will", "10 \"MQTT\" 04 0a 00 00 \"c\"", ReasonCode::MalformedPacket},
        {"will QoS 2 without will, 5", "10 \"MQTT\" 05 12 00 00 00 \"c\"",
         ReasonCode::MalformedPacket},
        {"will retain without will", "10 \"MQTT\" 04 22 00 00 \"c\"", ReasonCode::MalformedPacket},
        {"will retain without will, 5", "10 \"MQTT\" 05 22 00 00 00 \"c\"",
         ReasonCode::MalformedPacket},
        {"will QoS 3", "10 \"MQTT\" 04 1e 00 00 \"c\" \"w\" \"p\"", ReasonCode::MalformedPacket},
        {"will QoS 3, 5", "10 \"MQTT\" 05 1e 00 00 00 \"c\" 00 \"w\" \"p\"",
         ReasonCode::MalformedPacket},
        {"password alone", "10 \"MQTT\" 04 42 00 00 \"c\" \"p\"", ReasonCode::MalformedPacket},
    };
    for (const Refused& row : rows) {
        INFO(row.name);
        CHECK(reason_of(packet(row.bytes)) == row.reason);
    }
    CHECK(reason_of(packet("10 \"MQTT\" 05 42 00 00 00 \"c\" \"p\"")) == ReasonCode::Success);
    CHECK(reason_of(packet("10 \"MQIsdp\" 03 03 00 00 \"c\"")) == ReasonCode::Success);
}

TEST_CASE("fields are there exactly when their flag says so",
          "[MQTT-3.1.2-9][MQTT-3.1.2-16][MQTT-3.1.2-17][MQTT-3.1.2-18][MQTT-3.1.2-19]"
          "[MQTT-3.1.3-1][MQTT-3.1.3-3][MQTT311-3.1.2-18][MQTT311-3.1.2-19][MQTT311-3.1.2-20]"
          "[MQTT311-3.1.2-21][MQTT311-3.1.3-3]") {
    const Refused rows[] = {
        {"no client identifier", "10 \"MQTT\" 04 02 00 00", ReasonCode::MalformedPacket},
        {"user name missing", "10 \"MQTT\" 04 82 00 00 \"c\"", ReasonCode::MalformedPacket},
        {"password missing", "10 \"MQTT\" 04 c2 00 00 \"c\" \"u\"", ReasonCode::MalformedPacket},
        {"will missing", "10 \"MQTT\" 04 06 00 00 \"c\"", ReasonCode::MalformedPacket},
        {"will payload missing", "10 \"MQTT\" 04 06 00 00 \"c\" \"w\"",
         ReasonCode::MalformedPacket},
        {"will properties missing", "10 \"MQTT\" 05 06 00 00 00 \"c\"",
         ReasonCode::MalformedPacket},
        {"user name without flag", "10 \"MQTT\" 04 02 00 00 \"c\" \"u\"",
         ReasonCode::MalformedPacket},
        {"password without flag", "10 \"MQTT\" 05 82 00 00 00 \"c\" \"u\" \"p\"",
         ReasonCode::MalformedPacket},
        {"no keep alive", "10 \"MQTT\" 04 02 00", ReasonCode::MalformedPacket},
        {"no properties", "10 \"MQTT\" 05 02 00 00", ReasonCode::MalformedPacket},
        {"bytes at the end", "10 \"MQIsdp\" 03 02 00 00 \"c\" 00", ReasonCode::MalformedPacket},
    };
    for (const Refused& row : rows) {
        INFO(row.name);
        CHECK(reason_of(packet(row.bytes)) == row.reason);
    }
}

TEST_CASE("version 3.1 may announce credentials and leave them out") {
    Decoded out;
    REQUIRE(
        decode_bytes(ProtocolVersion::V31, packet("10 \"MQIsdp\" 03 c2 00 00 \"c\""), out).ok());
    CHECK_FALSE(out.connect.user_name.has_value());
    CHECK_FALSE(out.connect.password.has_value());
    REQUIRE(decode_bytes(ProtocolVersion::V31, packet("10 \"MQIsdp\" 03 c2 00 00 \"c\" \"u\""), out)
                .ok());
    CHECK(out.connect.user_name == "u");
    CHECK_FALSE(out.connect.password.has_value());
    CHECK(reason_of(packet("10 \"MQIsdp\" 03 82 00 00 \"c\" 00")) == ReasonCode::MalformedPacket);
}

TEST_CASE("strings of CONNECT are UTF-8, password and will payload are any bytes",
          "[MQTT-3.1.3-4][MQTT-3.1.3-11][MQTT-3.1.3-12][MQTT311-3.1.3-4][MQTT311-3.1.3-10]"
          "[MQTT311-3.1.3-11]") {
    const Refused rows[] = {
        {"client identifier", "10 \"MQTT\" 04 02 00 00 00 01 ff", ReasonCode::MalformedPacket},
        {"client identifier with U+0000", "10 \"MQTT\" 05 02 00 00 00 00 01 00",
         ReasonCode::MalformedPacket},
        {"will topic", "10 \"MQTT\" 04 06 00 00 \"c\" 00 01 ff \"p\"", ReasonCode::MalformedPacket},
        {"user name", "10 \"MQTT\" 04 82 00 00 \"c\" 00 01 ff", ReasonCode::MalformedPacket},
        {"password", "10 \"MQTT\" 04 c2 00 00 \"c\" \"u\" 00 02 ff 00", ReasonCode::Success},
        {"will payload", "10 \"MQTT\" 04 06 00 00 \"c\" \"w\" 00 02 ff 00", ReasonCode::Success},
    };
    for (const Refused& row : rows) {
        INFO(row.name);
        CHECK(reason_of(packet(row.bytes)) == row.reason);
    }
}

TEST_CASE("which client identifiers may be empty depends on the version",
          "[MQTT-3.1.3-6][MQTT-3.1.3-8][MQTT311-3.1.3-6][MQTT311-3.1.3-7][MQTT311-3.1.3-8]"
          "[MQTT311-3.1.3-9]") {
    const Refused rows[] = {
        {"3.1", "10 \"MQIsdp\" 03 02 00 00 \"\"", ReasonCode::ClientIdentifierNotValid},
        {"3.1.1 clean", "10 \"MQTT\" 04 02 00 00 \"\"", ReasonCode::Success},
        {"3.1.1 not clean", "10 \"MQTT\" 04 00 00 00 \"\"", ReasonCode::ClientIdentifierNotValid},
        {"5 clean", "10 \"MQTT\" 05 02 00 00 00 \"\"", ReasonCode::Success},
        {"5 not clean", "10 \"MQTT\" 05 00 00 00 00 \"\"", ReasonCode::Success},
    };
    for (const Refused& row : rows) {
        INFO(row.name);
        CHECK(reason_of(packet(row.bytes)) == row.reason);
    }
}

TEST_CASE("client identifiers up to the limit are accepted, of any characters",
          "[MQTT-3.1.3-5][MQTT311-3.1.3-5]") {
    const auto connect_as = [](const std::string& id) {
        return framed(0x10, wire("\"MQTT\" 04 02 00 00") + prefixed(id));
    };
    CHECK(reason_of(connect_as("0123456789abcdefghijABC")) == ReasonCode::Success);
    CHECK(reason_of(connect_as("a/b+c#d \xC3\xA4")) == ReasonCode::Success);
    CHECK(reason_of(connect_as(std::string(256, 'x'))) == ReasonCode::Success);
    CHECK(reason_of(connect_as(std::string(257, 'x'))) == ReasonCode::ClientIdentifierNotValid);
}

TEST_CASE("a will topic is a topic name", "[MQTT-4.7.0-1][MQTT311-4.7.1-1]") {
    const Refused rows[] = {
        {"wildcard", "10 \"MQTT\" 04 06 00 00 \"c\" \"a/#\" \"p\"", ReasonCode::TopicNameInvalid},
        {"empty", "10 \"MQTT\" 05 06 00 00 00 \"c\" 00 \"\" \"p\"", ReasonCode::TopicNameInvalid},
    };
    for (const Refused& row : rows) {
        INFO(row.name);
        CHECK(reason_of(packet(row.bytes)) == row.reason);
    }
    DecodeLimits limits;
    limits.topics.levels_max = 1;
    CHECK(reason_of(packet("10 \"MQTT\" 04 06 00 00 \"c\" \"a/b\" \"p\""), limits) ==
          ReasonCode::TopicNameInvalid);
}

TEST_CASE("a will payload that is not the UTF-8 it claims to be is refused") {
    const std::string bytes = packet("10 \"MQTT\" 05 06 00 00 00 \"c\" 02 01 01 \"w\" 00 01 ff");
    DecodeLimits limits;
    CHECK(reason_of(bytes, limits) == ReasonCode::PayloadFormatInvalid);
    limits.check_payload_format = false;
    CHECK(reason_of(bytes, limits) == ReasonCode::Success);
}

TEST_CASE("authentication data needs a method") {
    CHECK(reason_of(packet("10 \"MQTT\" 05 02 00 00 04 16 00 01 ff \"c\"")) ==
          ReasonCode::ProtocolError);
    CHECK(reason_of(packet("10 \"MQTT\" 05 02 00 00 08 15 \"m\" 16 00 01 ff \"c\"")) ==
          ReasonCode::Success);
}

TEST_CASE("a will's own properties are checked as a will's") {
    CHECK(reason_of(packet("10 \"MQTT\" 05 06 00 00 00 \"c\" 03 23 00 01 \"w\" \"p\"")) ==
          ReasonCode::MalformedPacket);
    CHECK(reason_of(packet("10 \"MQTT\" 05 06 00 00 05 18 00 00 00 01 \"c\" 00 \"w\" \"p\"")) ==
          ReasonCode::MalformedPacket);
}
