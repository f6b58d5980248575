// Acknowledgements, PING, CONNACK, DISCONNECT, AUTH.
#include <string>

#include "proto/mqtt/decoder.h"
#include "tests/unit/catch.h"
#include "tests/unit/mqtt/wire_text.h"

using namespace quorate;
using namespace quorate::mqtt;
using namespace quorate::mqtt::test;

namespace {

constexpr const char* kAckFirstBytes[] = {"40", "50", "62", "70"};

ReasonCode reason(ProtocolVersion version, const std::string& text,
                  const DecodeLimits& limits = {}) {
    return decode_bytes(version, packet(text), limits).reason;
}

}  // namespace

TEST_CASE("an acknowledgement is an identifier, perhaps a reason code, perhaps properties") {
    for (const std::string first : kAckFirstBytes) {
        Decoded out;
        REQUIRE(decode_bytes(ProtocolVersion::V311, packet(first + "12 34"), out).ok());
        CHECK(out.ack.packet_id == PacketId(0x1234));
        CHECK(out.ack.reason == ReasonCode::Success);
        REQUIRE(decode_bytes(ProtocolVersion::V5, packet(first + "12 34"), out).ok());
        CHECK(out.ack.reason == ReasonCode::Success);
        const std::string code = first == "40" || first == "50" ? "87" : "92";
        REQUIRE(decode_bytes(ProtocolVersion::V5, packet(first + "12 34" + code), out).ok());
        CHECK(is_failure(out.ack.reason));
        CHECK(out.ack.properties.empty());
        const std::string full = packet(first + "12 34" + code + "0b 1f \"why\" 26 00 00 00 00");
        REQUIRE(decode_bytes(ProtocolVersion::V5, full, out).ok());
        CHECK(out.ack.properties.text(PropertyId::ReasonString) == "why");
        REQUIRE(decode_bytes(ProtocolVersion::V5, packet(first + "12 34 00 00"), out).ok());
    }
}

TEST_CASE("acknowledgements of the wrong shape are refused",
          "[MQTT-3.4.2-1][MQTT-3.5.2-1][MQTT-3.6.2-1][MQTT-3.7.2-1]") {
    for (const std::string first : kAckFirstBytes) {
        CHECK(reason(ProtocolVersion::V5, first) == ReasonCode::MalformedPacket);
        CHECK(reason(ProtocolVersion::V311, first + "00") == ReasonCode::MalformedPacket);
        CHECK(reason(ProtocolVersion::V311, first + "00 01 00") == ReasonCode::MalformedPacket);
        CHECK(reason(ProtocolVersion::V31, first + "00 00") == ReasonCode::ProtocolError);
        CHECK(reason(ProtocolVersion::V5, first + "00 00") == ReasonCode::ProtocolError);
        CHECK(reason(ProtocolVersion::V5, first + "00 01 05") == ReasonCode::ProtocolError);
        CHECK(reason(ProtocolVersion::V5, first + "00 01 00 01") == ReasonCode::MalformedPacket);
        CHECK(reason(ProtocolVersion::V5, first + "00 01 00 00 00") == ReasonCode::MalformedPacket);
        CHECK(reason(ProtocolVersion::V5, first + "00 01 00 03 23 00 01") ==
              ReasonCode::MalformedPacket);
    }
}

TEST_CASE("PINGREQ and PINGRESP are two bytes") {
    for (const char* first : {"c0", "d0"}) {
        CHECK(reason(ProtocolVersion::V5, first) == ReasonCode::Success);
        CHECK(reason(ProtocolVersion::V311, std::string(first) + "00") ==
              ReasonCode::MalformedPacket);
    }
}

TEST_CASE("a CONNACK has flags, a code and in version 5 properties",
          "[MQTT-3.2.2-1][MQTT-3.2.2-6][MQTT-3.2.2-8][MQTT311-3.2.2-4]") {
    Decoded out;
    REQUIRE(decode_bytes(ProtocolVersion::V5, packet("20 01 00 05 12 \"id\""), out).ok());
    CHECK(out.connack.session_present);
    CHECK(out.connack.properties.text(PropertyId::AssignedClientIdentifier) == "id");
    REQUIRE(decode_bytes(ProtocolVersion::V311, packet("20 00 05"), out).ok());
    CHECK(out.connack.reason == ReasonCode::NotAuthorized);
    REQUIRE(decode_bytes(ProtocolVersion::V31, packet("20 01 00"), out).ok());
    CHECK_FALSE(out.connack.session_present);
    for (unsigned code = 0; code <= 5; ++code) {
        const std::string bytes = {0x20, 2, 0, static_cast<char>(code)};
        REQUIRE(decode_bytes(ProtocolVersion::V311, bytes, out).ok());
        CHECK(connack_return_code(out.connack.reason) == static_cast<uint8_t>(code));
    }
    CHECK(reason(ProtocolVersion::V311, "20 00 06") == ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V311, "20 02 00") == ReasonCode::MalformedPacket);
    CHECK(reason(ProtocolVersion::V311, "20 01 05") == ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V5, "20 01 87 00") == ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V5, "20 00 01 00") == ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V5, "20 00 00") == ReasonCode::MalformedPacket);
    CHECK(reason(ProtocolVersion::V5, "20 00") == ReasonCode::MalformedPacket);
    CHECK(reason(ProtocolVersion::V311, "20 00 00 00") == ReasonCode::MalformedPacket);
}

TEST_CASE("a DISCONNECT may leave out what is normal", "[MQTT-3.14.2-1][MQTT-3.14.2-2]") {
    Decoded out;
    REQUIRE(decode_bytes(ProtocolVersion::V5, packet("e0"), out).ok());
    CHECK(out.disconnect.reason == ReasonCode::NormalDisconnection);
    REQUIRE(decode_bytes(ProtocolVersion::V5, packet("e0 04"), out).ok());
    CHECK(out.disconnect.reason == ReasonCode::DisconnectWithWill);
    REQUIRE(decode_bytes(ProtocolVersion::V5, packet("e0 00 05 11 00 00 00 07"), out).ok());
    CHECK(out.disconnect.properties.number(PropertyId::SessionExpiryInterval) == 7U);
    CHECK(reason(ProtocolVersion::V5, "e0 01") == ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V5, "e0 00 01") == ReasonCode::MalformedPacket);
    CHECK(reason(ProtocolVersion::V5, "e0 00 00 00") == ReasonCode::MalformedPacket);
    CHECK(reason(ProtocolVersion::V311, "e0 00") == ReasonCode::MalformedPacket);
    CHECK(reason(ProtocolVersion::V311, "e0") == ReasonCode::Success);
    DecodeLimits limits;
    limits.sender = Sender::Server;
    CHECK(reason(ProtocolVersion::V5, "e0 00 05 11 00 00 00 07", limits) ==
          ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V5, "e0 9d 06 1c \"b:1\"", limits) == ReasonCode::Success);
}

TEST_CASE("an AUTH is of version 5 and names its method", "[MQTT-3.15.2-1][MQTT-3.15.1-1]") {
    Decoded out;
    REQUIRE(decode_bytes(ProtocolVersion::V5, packet("f0 18 04 15 \"m\""), out).ok());
    CHECK(out.auth.reason == ReasonCode::ContinueAuthentication);
    CHECK(out.auth.properties.text(PropertyId::AuthenticationMethod) == "m");
    REQUIRE(decode_bytes(ProtocolVersion::V5, packet("f0"), out).ok());
    CHECK(out.auth.reason == ReasonCode::Success);
    CHECK(reason(ProtocolVersion::V5, "f0 18 00") == ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V5, "f0 18") == ReasonCode::MalformedPacket);
    CHECK(reason(ProtocolVersion::V5, "f0 01 04 15 \"m\"") == ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V5, "f0 18 04 15 \"m\" 00") == ReasonCode::MalformedPacket);
    CHECK(reason(ProtocolVersion::V311, "f0") == ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V5, "f1") == ReasonCode::MalformedPacket);
}
