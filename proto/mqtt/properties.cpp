#include "proto/mqtt/properties.h"

#include <array>

#include "proto/base/assert.h"
#include "proto/mqtt/utf8.h"
#include "proto/mqtt/wire.h"

namespace quorate::mqtt {
namespace {

using enum PropertyOwner;

constexpr std::size_t kIdEnd = 0x2B;

struct Row {
    PropertyType type = PropertyType::None;
    uint16_t owners = 0;  // one bit per PropertyOwner
};

template <typename... Owners>
constexpr uint16_t in(Owners... owners) {
    return static_cast<uint16_t>(((1U << static_cast<unsigned>(owners)) | ... | 0U));
}

constexpr uint16_t kEverywhereButWill =
    in(Connect, Connack, Publish, Puback, Pubrec, Pubrel, Pubcomp, Subscribe, Suback, Unsubscribe,
       Unsuback, Disconnect, Auth);

// MQTT 5 §2.2.2.2, table 2-4.
constexpr std::array<Row, kIdEnd> make_table() {
    std::array<Row, kIdEnd> table{};
    const auto row = [&table](PropertyId id, PropertyType type, uint16_t owners) {
        table[static_cast<std::size_t>(id)] = {type, owners};
    };
    using enum PropertyId;
    using enum PropertyType;
    row(PayloadFormatIndicator, Byte, in(Publish, Will));
    row(MessageExpiryInterval, FourByteInteger, in(Publish, Will));
    row(ContentType, Utf8String, in(Publish, Will));
    row(ResponseTopic, Utf8String, in(Publish, Will));
    row(CorrelationData, BinaryData, in(Publish, Will));
    row(SubscriptionIdentifier, VariableByteInteger, in(Publish, Subscribe));
    row(SessionExpiryInterval, FourByteInteger, in(Connect, Connack, Disconnect));
    row(AssignedClientIdentifier, Utf8String, in(Connack));
    row(ServerKeepAlive, TwoByteInteger, in(Connack));
    row(AuthenticationMethod, Utf8String, in(Connect, Connack, Auth));
    row(AuthenticationData, BinaryData, in(Connect, Connack, Auth));
    row(RequestProblemInformation, Byte, in(Connect));
    row(WillDelayInterval, FourByteInteger, in(Will));
    row(RequestResponseInformation, Byte, in(Connect));
    row(ResponseInformation, Utf8String, in(Connack));
    row(ServerReference, Utf8String, in(Connack, Disconnect));
    row(ReasonString, Utf8String,
        in(Connack, Puback, Pubrec, Pubrel, Pubcomp, Suback, Unsuback, Disconnect, Auth));
    row(ReceiveMaximum, TwoByteInteger, in(Connect, Connack));
    row(TopicAliasMaximum, TwoByteInteger, in(Connect, Connack));
    row(TopicAlias, TwoByteInteger, in(Publish));
    row(MaximumQos, Byte, in(Connack));
    row(RetainAvailable, Byte, in(Connack));
    row(UserProperty, Utf8StringPair, kEverywhereButWill | in(Will));
    row(MaximumPacketSize, FourByteInteger, in(Connect, Connack));
    row(WildcardSubscriptionAvailable, Byte, in(Connack));
    row(SubscriptionIdentifierAvailable, Byte, in(Connack));
    row(SharedSubscriptionAvailable, Byte, in(Connack));
    return table;
}

constexpr std::array<Row, kIdEnd> kTable = make_table();

const Row& row_of(PropertyId id) {
    const auto index = static_cast<std::size_t>(id);
    return kTable[index < kIdEnd ? index : 0];
}

DecodeResult check_integer(const Property& property) {
    switch (row_of(property.id).type) {
        case PropertyType::Byte:
            // Every property of one byte is a yes or no.
            if (property.number > 1) return protocol_error("property value is neither 0 nor 1");
            return {};
        case PropertyType::TwoByteInteger:
            if (property.number != 0) return {};
            if (property.id == PropertyId::TopicAlias) {
                return {ReasonCode::TopicAliasInvalid, "topic alias is 0"};
            }
            if (property.id == PropertyId::ReceiveMaximum) {
                return protocol_error("receive maximum is 0");
            }
            return {};
        case PropertyType::FourByteInteger:
            if (property.number == 0 && property.id == PropertyId::MaximumPacketSize) {
                return protocol_error("maximum packet size is 0");
            }
            return {};
        case PropertyType::VariableByteInteger:
            if (property.number == 0) return protocol_error("subscription identifier is 0");
            return {};
        case PropertyType::None:
        case PropertyType::Utf8String:
        case PropertyType::BinaryData:
        case PropertyType::Utf8StringPair:
            return {};
    }
    return {};
}

DecodeResult check_text(const Property& property) {
    if (property.id == PropertyId::ResponseTopic) {
        const TextTraits traits = traits_of(property.text);
        if (traits.wildcard || property.text.empty()) {
            return protocol_error("response topic is not a topic name");
        }
    }
    if (!valid_utf8(property.text) || !valid_utf8(property.value)) {
        return malformed("property is not valid UTF-8");
    }
    return {};
}

constexpr PropertySet kForwarded =
    set_of(PropertyId::PayloadFormatIndicator) | set_of(PropertyId::ContentType) |
    set_of(PropertyId::ResponseTopic) | set_of(PropertyId::CorrelationData) |
    set_of(PropertyId::UserProperty);

bool may_repeat(PropertyOwner owner, PropertyId id) {
    return id == PropertyId::UserProperty ||
           (id == PropertyId::SubscriptionIdentifier && owner == Publish);
}

}  // namespace

PropertyType type_of(PropertyId id) {
    return row_of(id).type;
}

bool property_allowed(PropertyOwner owner, PropertyId id) {
    return ((unsigned{row_of(id).owners} >> static_cast<unsigned>(owner)) & 1U) != 0;
}

bool is_forwarded(PropertyId id) {
    return static_cast<std::size_t>(id) < kIdEnd && (kForwarded & set_of(id)) != 0;
}

bool next_property(std::string_view& rest, Property& out) {
    if (rest.empty()) return false;
    WireReader reader(rest.substr(1));
    // Identifiers are Variable Byte Integers, but none is above 127.
    out = Property{static_cast<PropertyId>(rest.front()), 0, {}, {}};
    uint8_t byte = 0;
    uint16_t two = 0;
    bool read = false;
    switch (type_of(out.id)) {
        case PropertyType::None:
            return false;
        case PropertyType::Byte:
            read = reader.u8(byte);
            out.number = byte;
            break;
        case PropertyType::TwoByteInteger:
            read = reader.u16(two);
            out.number = two;
            break;
        case PropertyType::FourByteInteger:
            read = reader.u32(out.number);
            break;
        case PropertyType::VariableByteInteger:
            read = reader.variable(out.number);
            break;
        case PropertyType::Utf8String:
        case PropertyType::BinaryData:
            read = reader.text(out.text);
            break;
        case PropertyType::Utf8StringPair:
            read = reader.text(out.text) && reader.text(out.value);
            break;
    }
    if (read) rest = reader.rest();
    return read;
}

std::optional<uint32_t> PropertyView::number(PropertyId id) const {
    if (!may_have(set_of(id))) return std::nullopt;
    for (const Property& property : *this) {
        if (property.id == id) return property.number;
    }
    return std::nullopt;
}

std::optional<std::string_view> PropertyView::text(PropertyId id) const {
    if (!may_have(set_of(id))) return std::nullopt;
    for (const Property& property : *this) {
        if (property.id == id) return property.text;
    }
    return std::nullopt;
}

DecodeResult check_properties(PropertyOwner owner, std::string_view bytes,
                              const PropertyLimits& limits) {
    PropertyView view;
    return check_properties(owner, bytes, limits, view);
}

DecodeResult check_properties(PropertyOwner owner, std::string_view bytes,
                              const PropertyLimits& limits, PropertyView& out) {
    const std::string_view block = bytes;
    PropertySet seen = 0;
    uint32_t user_count = 0;
    std::size_t user_bytes = 0;
    Property property;
    while (next_property(bytes, property)) {
        const Row& row = row_of(property.id);
        if (!property_allowed(owner, property.id)) {
            return malformed("property does not belong in this packet");
        }
        const PropertySet bit = set_of(property.id);
        if ((seen & bit) != 0 && !may_repeat(owner, property.id)) {
            return protocol_error("property occurs twice");
        }
        seen |= bit;
        if (property.id == PropertyId::UserProperty) {
            ++user_count;
            user_bytes += property.text.size() + property.value.size();
            if (user_count > limits.user_properties_max ||
                user_bytes > limits.user_property_bytes_max) {
                return {ReasonCode::QuotaExceeded, "too many user properties"};
            }
        }
        const bool is_text =
            row.type == PropertyType::Utf8String || row.type == PropertyType::Utf8StringPair;
        const DecodeResult result = is_text ? check_text(property) : check_integer(property);
        if (!result.ok()) return result;
    }
    if (!bytes.empty()) return malformed("property is unknown or cut short");
    out = PropertyView(block, seen);
    return {};
}

std::string_view forwarded_properties(PropertyView properties, std::string& scratch) {
    if (!properties.may_have(~kForwarded)) return properties.bytes();
    std::string_view rest = properties.bytes();
    std::string_view run;  // what is handed on, while it is one piece of the input
    bool copied = false;
    Property property;
    for (std::string_view before = rest; next_property(rest, property); before = rest) {
        if (!is_forwarded(property.id)) continue;
        const std::string_view piece = before.substr(0, before.size() - rest.size());
        if (run.empty() && !copied) {
            run = piece;
        } else if (!copied && run.data() + run.size() == piece.data()) {
            run = {run.data(), run.size() + piece.size()};
        } else {
            if (!copied) scratch.assign(run);
            copied = true;
            scratch.append(piece);
        }
    }
    return copied ? std::string_view(scratch) : run;
}

void PropertyWriter::byte(PropertyId id, uint8_t value) {
    DASSERT(type_of(id) == PropertyType::Byte, "property is not a byte");
    append_u8(out_, static_cast<uint8_t>(id));
    append_u8(out_, value);
}

void PropertyWriter::two_byte(PropertyId id, uint16_t value) {
    DASSERT(type_of(id) == PropertyType::TwoByteInteger, "property is not a two byte integer");
    append_u8(out_, static_cast<uint8_t>(id));
    append_u16(out_, value);
}

void PropertyWriter::four_byte(PropertyId id, uint32_t value) {
    DASSERT(type_of(id) == PropertyType::FourByteInteger, "property is not a four byte integer");
    append_u8(out_, static_cast<uint8_t>(id));
    append_u32(out_, value);
}

void PropertyWriter::variable(PropertyId id, uint32_t value) {
    DASSERT(type_of(id) == PropertyType::VariableByteInteger, "property is not of variable length");
    append_u8(out_, static_cast<uint8_t>(id));
    append_variable(out_, value);
}

void PropertyWriter::text(PropertyId id, std::string_view value) {
    DASSERT(type_of(id) == PropertyType::Utf8String || type_of(id) == PropertyType::BinaryData,
            "property is neither string nor binary");
    ASSERT(value.size() <= UINT16_MAX, "a string has at most 65,535 bytes");
    append_u8(out_, static_cast<uint8_t>(id));
    append_text(out_, value);
}

void PropertyWriter::user(std::string_view name, std::string_view value) {
    ASSERT(name.size() <= UINT16_MAX && value.size() <= UINT16_MAX,
           "a string has at most 65,535 bytes");
    append_u8(out_, static_cast<uint8_t>(PropertyId::UserProperty));
    append_text(out_, name);
    append_text(out_, value);
}

}  // namespace quorate::mqtt
