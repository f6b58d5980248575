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

// The body of a SUBSCRIBE or UNSUBSCRIBE of the version, with packet identifier 1.
std::string request(uint8_t first, ProtocolVersion version, std::string_view payload) {
    return framed(
        first, wire(version == ProtocolVersion::V5 ? "00 01 00" : "00 01") + std::string(payload));
}

ReasonCode reason(ProtocolVersion version, std::string_view bytes,
                  const DecodeLimits& limits = {}) {
    return decode_bytes(version, bytes, limits).reason;
}

}  // namespace

TEST_CASE("a SUBSCRIBE of version 5 has options for each filter") {
    Decoded out;
    const std::string bytes =
        packet("82 00 0a 02 0b 07 \"a/+\" 00 \"$share/g/b/#\" 29 \"c\" 06 \"d\" 1d");
    REQUIRE(decode_bytes(ProtocolVersion::V5, bytes, out).ok());
    const Subscribe& subscribe = out.subscribe;
    CHECK(subscribe.packet_id == PacketId(10));
    CHECK(subscribe.subscription_id == 7);
    REQUIRE(subscribe.requests.size() == 4);
    CHECK(subscribe.requests[0].filter == "a/+");
    CHECK(subscribe.requests[0].share_name().empty());
    CHECK(subscribe.requests[0].topic_filter() == "a/+");
    CHECK(subscribe.requests[0].qos == QoS::AtMostOnce);
    CHECK(subscribe.requests[1].filter == "$share/g/b/#");
    CHECK(subscribe.requests[1].share_name() == "g");
    CHECK(subscribe.requests[1].topic_filter() == "b/#");
    CHECK(subscribe.requests[1].qos == QoS::AtLeastOnce);
    CHECK(subscribe.requests[1].retain_as_published);
    CHECK(subscribe.requests[1].retain_handling == RetainHandling::DoNotSend);
    CHECK(subscribe.requests[2].qos == QoS::ExactlyOnce);
    CHECK(subscribe.requests[2].no_local);
    CHECK_FALSE(subscribe.requests[2].retain_as_published);
    CHECK(subscribe.requests[3].no_local);
    CHECK(subscribe.requests[3].retain_as_published);
    CHECK(subscribe.requests[3].retain_handling == RetainHandling::SendIfNew);
}

TEST_CASE("a SUBSCRIBE of version 3 has a QoS for each filter and knows $share") {
    Decoded out;
    const std::string bytes = packet("82 00 0a \"a\" 02 \"$share/g/b\" 01");
    for (const ProtocolVersion version : {ProtocolVersion::V31, ProtocolVersion::V311}) {
        REQUIRE(decode_bytes(version, bytes, out).ok());
        REQUIRE(out.subscribe.requests.size() == 2);
        CHECK(out.subscribe.subscription_id == 0);
        CHECK(out.subscribe.requests[0].qos == QoS::ExactlyOnce);
        CHECK(out.subscribe.requests[0].retain_handling == RetainHandling::Send);
        CHECK(out.subscribe.requests[1].share_name() == "g");
    }
}

TEST_CASE("subscription options with reserved bits or impossible values are refused",
          "[MQTT-3.8.3-5][MQTT311-3.8.3-4]") {
    for (unsigned options = 0; options < 256; ++options) {
        std::string payload = prefixed("a");
        payload += static_cast<char>(static_cast<uint8_t>(options));
        ReasonCode wanted = ReasonCode::Success;
        if ((options & 0x03U) == 3 || (options & 0x30U) == 0x30) wanted = ReasonCode::ProtocolError;
        if ((options & 0xC0U) != 0) wanted = ReasonCode::MalformedPacket;
        INFO(options);
        CHECK(reason(ProtocolVersion::V5, request(0x82, ProtocolVersion::V5, payload)) == wanted);
        wanted = options > 2 ? ReasonCode::MalformedPacket : ReasonCode::Success;
        CHECK(reason(ProtocolVersion::V311, request(0x82, ProtocolVersion::V311, payload)) ==
              wanted);
    }
}

TEST_CASE("No Local on a shared subscription is a protocol error", "[MQTT-3.8.3-4]") {
    const std::string bytes = request(0x82, ProtocolVersion::V5, wire("\"$share/g/a\" 04"));
    CHECK(reason(ProtocolVersion::V5, bytes) == ReasonCode::ProtocolError);
}

TEST_CASE("a request without filters is a protocol error",
          "[MQTT-3.8.3-2][MQTT-3.10.3-2][MQTT311-3.8.3-3][MQTT311-3.10.3-2]") {
    for (const ProtocolVersion version : kVersions) {
        CHECK(reason(version, request(0x82, version, "")) == ReasonCode::ProtocolError);
        CHECK(reason(version, request(0xA2, version, "")) == ReasonCode::ProtocolError);
    }
}

TEST_CASE("malformed filters are 0x8F in both requests",
          "[MQTT-4.7.1-1][MQTT-4.7.1-2][MQTT-4.7.3-1][MQTT-4.8.2-1][MQTT-4.8.2-2]"
          "[MQTT311-4.7.1-2][MQTT311-4.7.1-3][MQTT311-4.7.3-1]") {
    for (const char* filter : {"", "a#", "#/a", "a+", "$share/g", "$share//a", "$share/+/a",
                               "$share/g/", "$share/g/a+"}) {
        for (const ProtocolVersion version : kVersions) {
            INFO(filter);
            CHECK(reason(version, request(0x82, version, prefixed(filter) + '\0')) ==
                  ReasonCode::TopicFilterInvalid);
            CHECK(reason(version, request(0xA2, version, prefixed(filter))) ==
                  ReasonCode::TopicFilterInvalid);
        }
    }
}

TEST_CASE("filters that are not UTF-8 are malformed",
          "[MQTT-3.8.3-1][MQTT-3.10.3-1][MQTT-4.7.3-2][MQTT311-3.8.3-1][MQTT311-3.10.3-1]"
          "[MQTT311-4.7.3-2]") {
    for (const ProtocolVersion version : kVersions) {
        for (const char* filter : {"00 01 ff", "00 03 61 00 62", "00 0a '$share/' ff '/a'"}) {
            CHECK(reason(version, request(0x82, version, wire(filter) + '\0')) ==
                  ReasonCode::MalformedPacket);
            CHECK(reason(version, request(0xA2, version, wire(filter))) ==
                  ReasonCode::MalformedPacket);
        }
    }
}

TEST_CASE("a filter over our limits is refused alone, not the packet") {
    DecodeLimits limits;
    limits.topics = {8, 3};
    Decoded out;
    const std::string bytes =
        request(0x82, ProtocolVersion::V5, wire("\"a/b/c\" 00 \"a/b/c/d\" 00 \"012345678\" 00"));
    REQUIRE(decode_bytes(ProtocolVersion::V5, bytes, out, limits).ok());
    REQUIRE(out.subscribe.requests.size() == 3);
    CHECK(out.subscribe.requests[0].refused == ReasonCode::Success);
    CHECK(out.subscribe.requests[1].refused == ReasonCode::TopicFilterInvalid);
    CHECK(out.subscribe.requests[2].refused == ReasonCode::TopicFilterInvalid);
}

TEST_CASE("more filters than a packet may have are a quota exceeded") {
    DecodeLimits limits;
    limits.filters_per_packet_max = 2;
    const std::string two = wire("\"a\" 00 \"b\" 00");
    const std::string three = wire("\"a\" 00 \"b\" 00 \"c\" 00");
    CHECK(reason(ProtocolVersion::V5, request(0x82, ProtocolVersion::V5, two), limits) ==
          ReasonCode::Success);
    CHECK(reason(ProtocolVersion::V5, request(0x82, ProtocolVersion::V5, three), limits) ==
          ReasonCode::QuotaExceeded);
    CHECK(reason(ProtocolVersion::V5, request(0xA2, ProtocolVersion::V5, wire("\"a\" \"b\" \"c\"")),
                 limits) == ReasonCode::QuotaExceeded);
}

TEST_CASE("packet identifier 0 in a request is a protocol error",
          "[MQTT-2.2.1-3][MQTT311-2.3.1-1]") {
    for (const ProtocolVersion version : kVersions) {
        CHECK(reason(version, packet("82 00 00 00 \"a\" 00")) == ReasonCode::ProtocolError);
        CHECK(reason(version, packet("a2 00 00 00 \"a\"")) == ReasonCode::ProtocolError);
    }
}

TEST_CASE("a second subscription identifier is a protocol error") {
    CHECK(reason(ProtocolVersion::V5, packet("82 00 01 04 0b 01 0b 02 \"a\" 00")) ==
          ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V5, packet("a2 00 01 02 0b 01 \"a\"")) ==
          ReasonCode::MalformedPacket);
}

TEST_CASE("requests cut short are malformed") {
    for (const char* text : {"82 00", "82 00 01 00 00 05 'ab'", "82 00 01 00 \"a\"", "a2 00",
                             "a2 00 01 00 00", "82 00 01 05 \"a\" 00"}) {
        INFO(text);
        CHECK(reason(ProtocolVersion::V5, packet(text)) == ReasonCode::MalformedPacket);
    }
    CHECK(reason(ProtocolVersion::V311, packet("82 00 01 \"a\"")) == ReasonCode::MalformedPacket);
}

TEST_CASE("an UNSUBSCRIBE is an identifier and filters") {
    Decoded out;
    REQUIRE(decode_bytes(ProtocolVersion::V5,
                         packet("a2 00 05 07 26 \"a\" \"b\" \"x/#\" \"$share/g/y\""), out)
                .ok());
    CHECK(out.unsubscribe.packet_id == PacketId(5));
    CHECK(out.unsubscribe.filters == std::vector<std::string_view>{"x/#", "$share/g/y"});
    REQUIRE(decode_bytes(ProtocolVersion::V311, packet("a2 00 05 \"x\""), out).ok());
    CHECK(out.unsubscribe.filters == std::vector<std::string_view>{"x"});
}

TEST_CASE("SUBACK and UNSUBACK have a code for each filter",
          "[MQTT-3.9.3-2][MQTT-3.11.3-2][MQTT311-3.9.3-2]") {
    Decoded out;
    REQUIRE(decode_bytes(ProtocolVersion::V5, packet("90 00 01 00 00 01 02 87"), out).ok());
    CHECK(out.suback.reasons ==
          std::vector<ReasonCode>{ReasonCode::GrantedQos0, ReasonCode::GrantedQos1,
                                  ReasonCode::GrantedQos2, ReasonCode::NotAuthorized});
    REQUIRE(decode_bytes(ProtocolVersion::V311, packet("90 00 01 02 80"), out).ok());
    CHECK(out.suback.reasons ==
          std::vector<ReasonCode>{ReasonCode::GrantedQos2, ReasonCode::UnspecifiedError});
    REQUIRE(decode_bytes(ProtocolVersion::V5, packet("b0 00 01 00 00 11"), out).ok());
    CHECK(out.unsuback.reasons ==
          std::vector<ReasonCode>{ReasonCode::Success, ReasonCode::NoSubscriptionExisted});
    REQUIRE(decode_bytes(ProtocolVersion::V311, packet("b0 00 01"), out).ok());
    CHECK(out.unsuback.reasons.empty());
    CHECK(reason(ProtocolVersion::V5, packet("90 00 01 00 03")) == ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V5, packet("90 00 01 00")) == ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V311, packet("90 00 01 87")) == ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V5, packet("b0 00 01 00 02")) == ReasonCode::ProtocolError);
    CHECK(reason(ProtocolVersion::V311, packet("b0 00 01 00")) == ReasonCode::MalformedPacket);
}
