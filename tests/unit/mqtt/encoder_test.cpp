#include "proto/mqtt/encoder.h"

#include <array>
#include <string>

#include "tests/unit/catch.h"
#include "tests/unit/mqtt/wire_text.h"

using namespace quorate;
using namespace quorate::mqtt;
using namespace quorate::mqtt::test;

namespace {

std::string publish_bytes(ProtocolVersion version, const PublishFields& fields) {
    std::string out;
    REQUIRE(append_publish(out, version, fields));
    return out;
}

// Reason string of 10 bytes (13 on the wire), two user properties of 7 bytes on the wire each.
std::string reason_and_users() {
    std::string bytes;
    PropertyWriter writer(bytes);
    writer.user("a", "b");
    writer.text(PropertyId::ReasonString, "0123456789");
    writer.user("c", "d");
    return bytes;
}

}  // namespace

TEST_CASE("a PUBLISH is written as its version wants it", "[MQTT-2.2.2-1][MQTT-2.2.1-2]") {
    const std::array<uint32_t, 2> ids = {1, 300};
    PublishFields fields;
    fields.topic = "a/b";
    fields.payload = "x";
    fields.forward = "\x01\x01";
    fields.qos = QoS::ExactlyOnce;
    fields.retain = true;
    fields.dup = true;
    fields.packet_id = PacketId(0x0102);
    fields.topic_alias = 5;
    fields.message_expiry_s = 60;
    fields.subscription_ids = ids;
    CHECK(publish_bytes(ProtocolVersion::V311, fields) == packet("3d \"a/b\" 01 02 'x'"));
    CHECK(publish_bytes(ProtocolVersion::V5, fields) ==
          packet("3d \"a/b\" 01 02 0f 02 00 00 00 3c 0b 01 0b ac 02 23 00 05 01 01 'x'"));
    PublishFields plain;
    plain.topic = "t";
    CHECK(publish_bytes(ProtocolVersion::V5, plain) == packet("30 \"t\" 00"));
    CHECK(publish_bytes(ProtocolVersion::V31, plain) == packet("30 \"t\""));
}

TEST_CASE("the packet identifier and DUP can be patched in place") {
    for (const std::size_t payload : {1U, 200U, 20'000U}) {
        const std::string body(payload, 'p');
        PublishFields fields;
        fields.topic = "topic";
        fields.payload = body;
        fields.qos = QoS::AtLeastOnce;
        fields.packet_id = PacketId(1);
        const PublishSize size = publish_size(ProtocolVersion::V5, fields);
        std::string bytes(size.total, '\0');
        auto* out = reinterpret_cast<std::byte*>(bytes.data());
        const std::size_t at = write_publish(out, ProtocolVersion::V5, fields, size);
        patch_packet_id(out + at, PacketId(0xABCD));
        patch_dup(out, true);
        Decoded decoded;
        REQUIRE(decode_bytes(ProtocolVersion::V5, bytes, decoded).ok());
        CHECK(decoded.publish.packet_id == PacketId(0xABCD));
        CHECK(decoded.publish.dup);
        patch_dup(out, false);
        REQUIRE(decode_bytes(ProtocolVersion::V5, bytes, decoded).ok());
        CHECK_FALSE(decoded.publish.dup);
        CHECK(decoded.publish.payload == body);
    }
    PublishFields fields;
    fields.topic = "t";
    std::string bytes(5, '\0');
    CHECK(write_publish(reinterpret_cast<std::byte*>(bytes.data()), ProtocolVersion::V311, fields,
                        publish_size(ProtocolVersion::V311, fields)) == 0);
}

TEST_CASE("what fits no MQTT packet has no size") {
    // The views claim sizes; publish_size() reads none of their bytes.
    const char byte = 'x';
    PublishFields fields;
    fields.topic = {&byte, 1};
    fields.payload = {&byte, kRemainingLengthMax - 3};
    CHECK(publish_size(ProtocolVersion::V311, fields).total == kPacketSizeMax);
    CHECK(publish_size(ProtocolVersion::V5, fields).total == 0);
    fields.payload = {&byte, kRemainingLengthMax - 2};
    CHECK(publish_size(ProtocolVersion::V311, fields).total == 0);
    fields.payload = {};
    fields.forward = {&byte, std::size_t{1} << 33};
    CHECK(publish_size(ProtocolVersion::V5, fields).total == 0);
    fields.forward = {};
    fields.topic = {&byte, 65'536};
    CHECK(publish_size(ProtocolVersion::V311, fields).total == 0);
}

TEST_CASE("a PUBLISH above the receiver's maximum is not written", "[MQTT-3.1.2-24]") {
    PublishFields fields;
    fields.topic = "topic";
    fields.payload = "payload";
    std::string out = "kept";
    CHECK_FALSE(append_publish(out, ProtocolVersion::V311, fields, 15));
    CHECK(out == "kept");
    CHECK(append_publish(out, ProtocolVersion::V311, fields, 16));
    CHECK(out.size() == 4 + 16);
}

TEST_CASE("short acknowledgements are four bytes, five with a reason",
          "[MQTT-3.4.2-1][MQTT-3.6.1-1]") {
    std::array<std::byte, kShortAckBytesMax> out{};
    const auto text = [&out](std::size_t size) { return as_text(ByteView(out.data(), size)); };
    const PacketId id(0x1234);
    CHECK(text(write_ack(out.data(), ProtocolVersion::V5, PacketType::Puback, id)) ==
          wire("40 02 12 34"));
    CHECK(text(write_ack(out.data(), ProtocolVersion::V311, PacketType::Pubrel, id,
                         ReasonCode::PacketIdentifierNotFound)) == wire("62 02 12 34"));
    CHECK(text(write_ack(out.data(), ProtocolVersion::V5, PacketType::Pubcomp, id,
                         ReasonCode::PacketIdentifierNotFound)) == wire("70 03 12 34 92"));
    CHECK(text(write_ack(out.data(), ProtocolVersion::V5, PacketType::Pubrec, id)) ==
          wire("50 02 12 34"));
}

TEST_CASE("user properties go first and the reason string next to make a packet fit",
          "[MQTT-3.2.2-19][MQTT-3.2.2-20][MQTT-3.4.2-2][MQTT-3.4.2-3][MQTT-3.5.2-2]"
          "[MQTT-3.5.2-3][MQTT-3.6.2-2][MQTT-3.6.2-3][MQTT-3.7.2-2][MQTT-3.7.2-3]"
          "[MQTT-3.9.2-1][MQTT-3.9.2-2][MQTT-3.11.2-1][MQTT-3.11.2-2][MQTT-3.14.2-3]"
          "[MQTT-3.14.2-4][MQTT-3.15.2-2][MQTT-3.15.2-3]") {
    const std::string properties = reason_and_users();
    const std::string method = wire("15 \"m\"");
    const std::string alias_maximum = wire("22 00 05");
    for (const PacketType type : {PacketType::Connack, PacketType::Puback, PacketType::Pubrec,
                                  PacketType::Pubrel, PacketType::Pubcomp, PacketType::Suback,
                                  PacketType::Unsuback, PacketType::Disconnect, PacketType::Auth}) {
        std::string kept;
        if (type == PacketType::Connack) kept = alias_maximum;
        if (type == PacketType::Auth) kept = method;
        const std::string all = kept + properties;
        const auto append = [&](std::string& out, std::string_view block, uint32_t max) {
            const PropertyView view(block);
            const auto failure = type == PacketType::Pubrel || type == PacketType::Pubcomp
                                     ? ReasonCode::PacketIdentifierNotFound
                                     : ReasonCode::NotAuthorized;
            const ProtocolVersion v5 = ProtocolVersion::V5;
            if (type == PacketType::Connack)
                return append_connack(out, v5, {false, failure, view}, max);
            if (type == PacketType::Suback) {
                return append_suback(out, v5, {PacketId(1), view, {failure}}, max);
            }
            if (type == PacketType::Unsuback) {
                return append_unsuback(out, v5, {PacketId(1), view, {failure}}, max);
            }
            if (type == PacketType::Disconnect)
                return append_disconnect(out, v5, {failure, view}, max);
            if (type == PacketType::Auth) {
                return append_auth(out, v5, {ReasonCode::ContinueAuthentication, view}, max);
            }
            return append_ack(out, v5, {type, PacketId(1), failure, view}, max);
        };
        INFO(to_string(type));
        std::string whole;
        std::string without_users;
        std::string bare;
        REQUIRE(append(whole, all, kPacketSizeMax));
        REQUIRE(append(without_users, kept + wire("1f \"0123456789\""), kPacketSizeMax));
        REQUIRE(append(bare, kept, kPacketSizeMax));
        for (std::size_t max = 0; max <= whole.size() + 1; ++max) {
            std::string out;
            const bool written = append(out, all, static_cast<uint32_t>(max));
            INFO(max);
            CHECK(written == (max >= bare.size()));
            if (max >= whole.size()) {
                CHECK(out == whole);
            } else if (max >= without_users.size()) {
                CHECK(out == without_users);
            } else {
                CHECK(out == (written ? bare : ""));
            }
        }
    }
}

TEST_CASE("what is normal is left out of acknowledgements and DISCONNECT") {
    std::string out;
    REQUIRE(append_ack(out, ProtocolVersion::V5,
                       {PacketType::Puback, PacketId(7), ReasonCode::Success, {}}));
    CHECK(out == wire("40 02 00 07"));
    out.clear();
    REQUIRE(append_disconnect(out, ProtocolVersion::V5, {}));
    CHECK(out == wire("e0 00"));
    out.clear();
    REQUIRE(append_auth(out, ProtocolVersion::V5, {}));
    CHECK(out == wire("f0 00"));
    out.clear();
    const std::string why = wire("1f \"w\"");
    REQUIRE(append_ack(out, ProtocolVersion::V5,
                       {PacketType::Pubrel, PacketId(7), ReasonCode::Success, PropertyView(why)}));
    CHECK(out == packet("62 00 07 00 04 1f \"w\""));
}

TEST_CASE("version 3 has no properties, and a CONNACK only where it has a code",
          "[MQTT311-3.2.2-6][MQTT311-3.9.3-2][MQTT311-3.2.2-4]") {
    const std::string properties = reason_and_users();
    const PropertyView view(properties);
    std::string out;
    REQUIRE(append_connack(out, ProtocolVersion::V311, {true, ReasonCode::Success, view}));
    CHECK(out == wire("20 02 01 00"));
    out.clear();
    REQUIRE(append_connack(out, ProtocolVersion::V31, {true, ReasonCode::Success, view}));
    CHECK(out == wire("20 02 00 00"));
    out.clear();
    REQUIRE(append_connack(out, ProtocolVersion::V311, {false, ReasonCode::NotAuthorized, view}));
    CHECK(out == wire("20 02 00 05"));
    out.clear();
    CHECK_FALSE(
        append_connack(out, ProtocolVersion::V311, {false, ReasonCode::ProtocolError, view}));
    CHECK(out.empty());
    REQUIRE(append_suback(
        out, ProtocolVersion::V311,
        {PacketId(1), view, {ReasonCode::GrantedQos2, ReasonCode::TopicFilterInvalid}}));
    CHECK(out == wire("90 04 00 01 02 80"));
    out.clear();
    REQUIRE(append_unsuback(out, ProtocolVersion::V311,
                            {PacketId(1), view, {ReasonCode::NoSubscriptionExisted}}));
    CHECK(out == wire("b0 02 00 01"));
    out.clear();
    CHECK_FALSE(append_auth(out, ProtocolVersion::V311, {}));
    REQUIRE(append_disconnect(out, ProtocolVersion::V311, {ReasonCode::ServerShuttingDown, view}));
    CHECK(out == wire("e0 00"));
    out.clear();
    append_pingreq(out);
    append_pingresp(out);
    CHECK(out == wire("c0 00 d0 00"));
}

TEST_CASE("codes are written in the order of the filters",
          "[MQTT-3.9.3-1][MQTT-3.11.3-1][MQTT311-3.9.3-1]") {
    std::string out;
    REQUIRE(append_suback(
        out, ProtocolVersion::V5,
        {PacketId(1),
         {},
         {ReasonCode::GrantedQos2, ReasonCode::NotAuthorized, ReasonCode::GrantedQos0}}));
    CHECK(out == wire("90 06 00 01 00 02 87 00"));
    out.clear();
    REQUIRE(append_unsuback(
        out, ProtocolVersion::V5,
        {PacketId(1), {}, {ReasonCode::NoSubscriptionExisted, ReasonCode::Success}}));
    CHECK(out == wire("b0 05 00 01 00 11 00"));
}
