#include "proto/mqtt/types.h"

#include <set>
#include <string>

#include "tests/unit/catch.h"

using namespace quorate::mqtt;

TEST_CASE("version 3 says what its six return codes can say and closes silently otherwise",
          "[MQTT311-3.2.2-6]") {
    CHECK(connack_return_code(ReasonCode::Success) == uint8_t{0});
    CHECK(connack_return_code(ReasonCode::UnsupportedProtocolVersion) == uint8_t{1});
    CHECK(connack_return_code(ReasonCode::ClientIdentifierNotValid) == uint8_t{2});
    CHECK(connack_return_code(ReasonCode::ServerUnavailable) == uint8_t{3});
    CHECK(connack_return_code(ReasonCode::ServerBusy) == uint8_t{3});
    CHECK(connack_return_code(ReasonCode::BadUserNameOrPassword) == uint8_t{4});
    CHECK(connack_return_code(ReasonCode::NotAuthorized) == uint8_t{5});
    CHECK(connack_return_code(ReasonCode::Banned) == uint8_t{5});
    CHECK(connack_return_code(ReasonCode::MalformedPacket) == std::nullopt);
    CHECK(connack_return_code(ReasonCode::ProtocolError) == std::nullopt);
    CHECK(connack_return_code(ReasonCode::TopicNameInvalid) == std::nullopt);
}

TEST_CASE("SUBACK of 3.1.1 has the granted QoS or 0x80", "[MQTT311-3.9.3-2]") {
    CHECK(suback_return_code(ReasonCode::GrantedQos0) == 0);
    CHECK(suback_return_code(ReasonCode::GrantedQos1) == 1);
    CHECK(suback_return_code(ReasonCode::GrantedQos2) == 2);
    CHECK(suback_return_code(ReasonCode::NotAuthorized) == 0x80);
    CHECK(suback_return_code(ReasonCode::TopicFilterInvalid) == 0x80);
}

TEST_CASE("each packet allows the reason codes of its table and no others",
          "[MQTT-3.2.2-8][MQTT-3.4.2-1][MQTT-3.5.2-1][MQTT-3.6.2-1][MQTT-3.7.2-1][MQTT-3.9.3-2]"
          "[MQTT-3.11.3-2][MQTT-3.14.2-1][MQTT-3.15.2-1]") {
    struct Row {
        PacketType type;
        std::set<unsigned> codes;
    };
    const std::set<unsigned> puback = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99};
    const Row rows[] = {
        {PacketType::Connack, {0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
                               0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F}},
        {PacketType::Puback, puback},
        {PacketType::Pubrec, puback},
        {PacketType::Pubrel, {0x00, 0x92}},
        {PacketType::Pubcomp, {0x00, 0x92}},
        {PacketType::Suback,
         {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2}},
        {PacketType::Unsuback, {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91}},
        {PacketType::Disconnect,
         {0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94,
          0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2}},
        {PacketType::Auth, {0x00, 0x18, 0x19}},
        {PacketType::Publish, {}},
        {PacketType::Pingreq, {}},
    };
    for (const Row& row : rows) {
        for (unsigned code = 0; code < 256; ++code) {
            INFO(to_string(row.type) << " " << code);
            CHECK(reason_allowed(row.type, static_cast<uint8_t>(code)) == row.codes.contains(code));
        }
    }
}

TEST_CASE("every code of the table has its own name") {
    std::set<std::string> names;
    int known = 0;
    for (unsigned code = 0; code < 256; ++code) {
        const std::string name = to_string(static_cast<ReasonCode>(code));
        if (name == "unknown") continue;
        ++known;
        names.insert(name);
    }
    CHECK(known == 43);
    CHECK(names.size() == 43);
    std::set<std::string> types;
    for (unsigned type = 0; type < 16; ++type)
        types.insert(to_string(static_cast<PacketType>(type)));
    CHECK(types.size() == 16);
    CHECK(std::string(to_string(ProtocolVersion::V31)) == "3.1");
    CHECK(std::string(to_string(ProtocolVersion::V311)) == "3.1.1");
    CHECK(std::string(to_string(ProtocolVersion::V5)) == "5.0");
    CHECK(std::string(to_string(static_cast<ProtocolVersion>(9))) == "unknown");
}
