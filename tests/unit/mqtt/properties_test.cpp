#include "proto/mqtt/properties.h"

#include <random>
#include <string>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/mqtt/wire_text.h"

using namespace quorate::mqtt;
using namespace quorate::mqtt::test;

namespace {

using Owner = PropertyOwner;

constexpr Owner kOwners[] = {
    Owner::Will,        Owner::Connect,  Owner::Connack,    Owner::Publish,   Owner::Puback,
    Owner::Pubrec,      Owner::Pubrel,   Owner::Pubcomp,    Owner::Subscribe, Owner::Suback,
    Owner::Unsubscribe, Owner::Unsuback, Owner::Disconnect, Owner::Auth,
};

// Table 2-4 of the specification, written again: identifier, a valid instance, where it may stand.
struct Row {
    PropertyId id;
    std::string bytes;
    std::vector<Owner> owners;
};

std::vector<Row> table() {
    const std::vector<Owner> message = {Owner::Publish, Owner::Will};
    const std::vector<Owner> setup = {Owner::Connect, Owner::Connack};
    const std::vector<Owner> connack = {Owner::Connack};
    const std::vector<Owner> everywhere(std::begin(kOwners), std::end(kOwners));
    return {
        {PropertyId::PayloadFormatIndicator, wire("01 01"), message},
        {PropertyId::MessageExpiryInterval, wire("02 00 00 00 00"), message},
        {PropertyId::ContentType, wire("03 \"text/plain\""), message},
        {PropertyId::ResponseTopic, wire("08 \"a/b\""), message},
        {PropertyId::CorrelationData, wire("09 00 02 00 ff"), message},
        {PropertyId::SubscriptionIdentifier,
         wire("0b ff ff ff 7f"),
         {Owner::Publish, Owner::Subscribe}},
        {PropertyId::SessionExpiryInterval,
         wire("11 ff ff ff ff"),
         {Owner::Connect, Owner::Connack, Owner::Disconnect}},
        {PropertyId::AssignedClientIdentifier, wire("12 \"id\""), connack},
        {PropertyId::ServerKeepAlive, wire("13 00 00"), connack},
        {PropertyId::AuthenticationMethod,
         wire("15 \"SCRAM\""),
         {Owner::Connect, Owner::Connack, Owner::Auth}},
        {PropertyId::AuthenticationData,
         wire("16 00 01 00"),
         {Owner::Connect, Owner::Connack, Owner::Auth}},
        {PropertyId::RequestProblemInformation, wire("17 00"), {Owner::Connect}},
        {PropertyId::WillDelayInterval, wire("18 00 00 00 05"), {Owner::Will}},
        {PropertyId::RequestResponseInformation, wire("19 01"), {Owner::Connect}},
        {PropertyId::ResponseInformation, wire("1a \"info\""), connack},
        {PropertyId::ServerReference,
         wire("1c \"other:1883\""),
         {Owner::Connack, Owner::Disconnect}},
        {PropertyId::ReasonString,
         wire("1f \"because\""),
         {Owner::Connack, Owner::Puback, Owner::Pubrec, Owner::Pubrel, Owner::Pubcomp,
          Owner::Suback, Owner::Unsuback, Owner::Disconnect, Owner::Auth}},
        {PropertyId::ReceiveMaximum, wire("21 00 01"), setup},
        {PropertyId::TopicAliasMaximum, wire("22 00 00"), setup},
        {PropertyId::TopicAlias, wire("23 00 01"), {Owner::Publish}},
        {PropertyId::MaximumQos, wire("24 01"), connack},
        {PropertyId::RetainAvailable, wire("25 00"), connack},
        {PropertyId::UserProperty, wire("26 \"name\" \"value\""), everywhere},
        {PropertyId::MaximumPacketSize, wire("27 00 00 00 01"), setup},
        {PropertyId::WildcardSubscriptionAvailable, wire("28 01"), connack},
        {PropertyId::SubscriptionIdentifierAvailable, wire("29 01"), connack},
        {PropertyId::SharedSubscriptionAvailable, wire("2a 01"), connack},
    };
}

ReasonCode check(Owner owner, std::string_view bytes, const PropertyLimits& limits = {}) {
    const DecodeResult result = check_properties(owner, bytes, limits);
    return result.reason;
}

}  // namespace

TEST_CASE("a property stands in the packets of table 2-4 and is malformed in all others") {
    REQUIRE(table().size() == 27);
    for (const Row& row : table()) {
        for (const Owner owner : kOwners) {
            const bool listed =
                std::find(row.owners.begin(), row.owners.end(), owner) != row.owners.end();
            INFO(static_cast<int>(row.id) << " in " << static_cast<int>(owner));
            CHECK(property_allowed(owner, row.id) == listed);
            CHECK(check(owner, row.bytes) ==
                  (listed ? ReasonCode::Success : ReasonCode::MalformedPacket));
        }
    }
}

TEST_CASE("identifiers that are no property are malformed") {
    std::vector<bool> known(256, false);
    for (const Row& row : table())
        known[static_cast<std::size_t>(row.id)] = true;
    for (unsigned id = 0; id < 256; ++id) {
        if (known[id]) continue;
        const std::string bytes(8, static_cast<char>(static_cast<uint8_t>(id)));
        INFO(id);
        CHECK(type_of(static_cast<PropertyId>(id)) == PropertyType::None);
        CHECK(check(Owner::Publish, bytes) == ReasonCode::MalformedPacket);
        CHECK_FALSE(is_forwarded(static_cast<PropertyId>(id)));
    }
}

TEST_CASE("a property twice is a protocol error unless it may repeat") {
    for (const Row& row : table()) {
        for (const Owner owner : row.owners) {
            const bool repeats =
                row.id == PropertyId::UserProperty ||
                (row.id == PropertyId::SubscriptionIdentifier && owner == Owner::Publish);
            INFO(static_cast<int>(row.id) << " in " << static_cast<int>(owner));
            CHECK(check(owner, row.bytes + row.bytes) ==
                  (repeats ? ReasonCode::Success : ReasonCode::ProtocolError));
        }
    }
}

TEST_CASE("a property cut anywhere is malformed") {
    for (const Row& row : table()) {
        for (std::size_t size = 1; size < row.bytes.size(); ++size) {
            INFO(static_cast<int>(row.id) << " cut at " << size);
            CHECK(check(row.owners.front(), std::string_view(row.bytes).substr(0, size)) ==
                  ReasonCode::MalformedPacket);
        }
    }
}

TEST_CASE("forbidden values have the reason code of their section",
          "[MQTT-3.3.2-8][MQTT-3.3.2-13][MQTT-3.3.2-14][MQTT-3.3.2-19][MQTT-1.5.7-1]"
          "[MQTT-1.5.5-1]") {
    struct Bad {
        const char* name;
        Owner owner;
        const char* bytes;
        ReasonCode reason;
    };
    const Bad rows[] = {
        {"payload format 2", Owner::Publish, "01 02", ReasonCode::ProtocolError},
        {"request problem information 2", Owner::Connect, "17 02", ReasonCode::ProtocolError},
        {"request response information 2", Owner::Connect, "19 02", ReasonCode::ProtocolError},
        {"maximum qos 2", Owner::Connack, "24 02", ReasonCode::ProtocolError},
        {"retain available 2", Owner::Connack, "25 02", ReasonCode::ProtocolError},
        {"wildcards available 2", Owner::Connack, "28 02", ReasonCode::ProtocolError},
        {"identifiers available 2", Owner::Connack, "29 02", ReasonCode::ProtocolError},
        {"sharing available 2", Owner::Connack, "2a 02", ReasonCode::ProtocolError},
        {"receive maximum 0", Owner::Connect, "21 00 00", ReasonCode::ProtocolError},
        {"maximum packet size 0", Owner::Connect, "27 00 00 00 00", ReasonCode::ProtocolError},
        {"subscription identifier 0", Owner::Subscribe, "0b 00", ReasonCode::ProtocolError},
        {"overlong subscription identifier", Owner::Subscribe, "0b 81 00",
         ReasonCode::MalformedPacket},
        {"subscription identifier of five bytes", Owner::Subscribe, "0b 80 80 80 80 01",
         ReasonCode::MalformedPacket},
        {"topic alias 0", Owner::Publish, "23 00 00", ReasonCode::TopicAliasInvalid},
        {"response topic with +", Owner::Publish, "08 \"a/+\"", ReasonCode::ProtocolError},
        {"response topic with #", Owner::Will, "08 \"#\"", ReasonCode::ProtocolError},
        {"empty response topic", Owner::Publish, "08 \"\"", ReasonCode::ProtocolError},
        {"response topic not UTF-8", Owner::Publish, "08 00 01 ff", ReasonCode::MalformedPacket},
        {"content type not UTF-8", Owner::Publish, "03 00 01 c3", ReasonCode::MalformedPacket},
        {"content type with U+0000", Owner::Publish, "03 00 01 00", ReasonCode::MalformedPacket},
        {"reason string not UTF-8", Owner::Puback, "1f 00 01 80", ReasonCode::MalformedPacket},
        {"user name half not UTF-8", Owner::Auth, "26 00 01 ff \"v\"", ReasonCode::MalformedPacket},
        {"user value half not UTF-8", Owner::Auth, "26 \"n\" 00 01 00",
         ReasonCode::MalformedPacket},
    };
    for (const Bad& row : rows) {
        INFO(row.name);
        CHECK(check(row.owner, wire(row.bytes)) == row.reason);
    }
    CHECK(check(Owner::Publish, wire("09 00 02 ff 00")) == ReasonCode::Success);
}

TEST_CASE("user properties are limited in number and in bytes") {
    const std::string one = wire("26 \"ab\" \"cd\"");
    std::string many;
    for (int i = 0; i < 3; ++i)
        many += one;
    CHECK(check(Owner::Publish, many, {3, 100}) == ReasonCode::Success);
    CHECK(check(Owner::Publish, many, {2, 100}) == ReasonCode::QuotaExceeded);
    CHECK(check(Owner::Publish, many, {3, 12}) == ReasonCode::Success);
    CHECK(check(Owner::Publish, many, {3, 11}) == ReasonCode::QuotaExceeded);
}

TEST_CASE("a view reads what a writer wrote, in order") {
    std::string bytes;
    PropertyWriter writer(bytes);
    writer.byte(PropertyId::PayloadFormatIndicator, 1);
    writer.four_byte(PropertyId::MessageExpiryInterval, 0x01020304);
    writer.two_byte(PropertyId::TopicAlias, 0x0506);
    writer.variable(PropertyId::SubscriptionIdentifier, 268'435'455);
    writer.text(PropertyId::ContentType, "text");
    writer.user("name", "value");
    CHECK(bytes == wire("01 01 02 01 02 03 04 23 05 06 0b ff ff ff 7f 03 \"text\" 26 \"name\" "
                        "\"value\""));
    const PropertyView view(bytes);
    std::vector<PropertyId> seen;
    for (const Property& property : view)
        seen.push_back(property.id);
    CHECK(seen == std::vector<PropertyId>{PropertyId::PayloadFormatIndicator,
                                          PropertyId::MessageExpiryInterval, PropertyId::TopicAlias,
                                          PropertyId::SubscriptionIdentifier,
                                          PropertyId::ContentType, PropertyId::UserProperty});
    CHECK(view.number(PropertyId::TopicAlias) == 0x0506U);
    CHECK(view.number(PropertyId::SubscriptionIdentifier) == 268'435'455U);
    CHECK(view.number(PropertyId::MessageExpiryInterval) == 0x01020304U);
    CHECK(view.text(PropertyId::ContentType) == "text");
    CHECK(view.text(PropertyId::ResponseTopic) == std::nullopt);
    CHECK(view.number(PropertyId::MaximumQos) == std::nullopt);
    CHECK((*(++view.begin())).number == 0x01020304U);
    CHECK(view.begin()->id == PropertyId::PayloadFormatIndicator);
}

TEST_CASE("a view over bytes that nobody checked ends early and safely") {
    std::mt19937 random(5);
    for (int round = 0; round < 20000; ++round) {
        std::string bytes(random() % 24, '\0');
        for (char& c : bytes)
            c = static_cast<char>(static_cast<uint8_t>(random() % 48));
        std::size_t count = 0;
        for (const Property& property : PropertyView(bytes)) {
            count += 1 + property.text.size() + property.value.size();
        }
        REQUIRE(count <= bytes.size());
    }
}

TEST_CASE("what is handed on is a view while it is one piece, and a copy otherwise",
          "[MQTT-3.3.2-4][MQTT-3.3.2-15][MQTT-3.3.2-16][MQTT-3.3.2-17][MQTT-3.3.2-18]"
          "[MQTT-3.3.2-20][MQTT-3.1.3-10]") {
    const std::string format = wire("01 01");
    const std::string expiry = wire("02 00 00 00 09");
    const std::string type = wire("03 \"t\"");
    const std::string response = wire("08 \"r\"");
    const std::string correlation = wire("09 00 01 00");
    const std::string alias = wire("23 00 01");
    const std::string user_a = wire("26 \"b\" \"1\"");
    const std::string user_b = wire("26 \"a\" \"2\"");
    struct Case {
        std::string block;
        std::string forward;
        bool copied;
    };
    const Case cases[] = {
        {"", "", false},
        {expiry + alias, "", false},
        {format + type + response + correlation + user_a + user_b,
         format + type + response + correlation + user_a + user_b, false},
        {alias + user_a + user_b + expiry, user_a + user_b, false},
        {user_a + alias + user_b, user_a + user_b, true},
        {user_b + expiry + format + alias + user_a, user_b + format + user_a, true},
    };
    for (const Case& row : cases) {
        REQUIRE(check(Owner::Publish, row.block) == ReasonCode::Success);
        std::string scratch = "left over from the last packet";
        const std::string_view forward = forwarded_properties(PropertyView(row.block), scratch);
        CHECK(forward == row.forward);
        const bool in_block = forward.data() >= row.block.data() &&
                              forward.data() <= row.block.data() + row.block.size();
        if (!forward.empty()) CHECK(in_block == !row.copied);
    }
}
