// Properties of MQTT 5: one mechanism for reading, checking and building them. Spec: MQTT 5 §2.2.2.
//
// A block of properties is kept as the bytes it had on the wire, without its length prefix. The
// decoder checks a block once (`check_properties`); after that `PropertyView` reads it in place.
// Thread: any; values and views only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/mqtt/types.h"

namespace quorate::mqtt {

enum class PropertyId : uint8_t {
    PayloadFormatIndicator = 0x01,
    MessageExpiryInterval = 0x02,
    ContentType = 0x03,
    ResponseTopic = 0x08,
    CorrelationData = 0x09,
    SubscriptionIdentifier = 0x0B,
    SessionExpiryInterval = 0x11,
    AssignedClientIdentifier = 0x12,
    ServerKeepAlive = 0x13,
    AuthenticationMethod = 0x15,
    AuthenticationData = 0x16,
    RequestProblemInformation = 0x17,
    WillDelayInterval = 0x18,
    RequestResponseInformation = 0x19,
    ResponseInformation = 0x1A,
    ServerReference = 0x1C,
    ReasonString = 0x1F,
    ReceiveMaximum = 0x21,
    TopicAliasMaximum = 0x22,
    TopicAlias = 0x23,
    MaximumQos = 0x24,
    RetainAvailable = 0x25,
    UserProperty = 0x26,
    MaximumPacketSize = 0x27,
    WildcardSubscriptionAvailable = 0x28,
    SubscriptionIdentifierAvailable = 0x29,
    SharedSubscriptionAvailable = 0x2A,
};

enum class PropertyType : uint8_t {
    None,  // not a property of MQTT 5
    Byte,
    TwoByteInteger,
    FourByteInteger,
    VariableByteInteger,
    Utf8String,
    BinaryData,
    Utf8StringPair,
};

// The block a property stands in: a packet (same number as its PacketType) or the will's own block.
enum class PropertyOwner : uint8_t {
    Will = 0,
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Disconnect = 14,
    Auth = 15,
};

[[nodiscard]] PropertyType type_of(PropertyId id);
[[nodiscard]] bool property_allowed(PropertyOwner owner, PropertyId id);
// True for what a PUBLISH hands on to the subscriber unchanged and in order: payload format,
// content type, response topic, correlation data, user properties ([MQTT-3.3.2-4] and its
// siblings).
[[nodiscard]] bool is_forwarded(PropertyId id);

struct Property {
    PropertyId id = PropertyId::UserProperty;
    uint32_t number = 0;     // the integer types
    std::string_view text;   // string, binary data, or the name of a pair
    std::string_view value;  // the value of a pair
};

// Takes the next property off `rest`. False at the end and at the first byte that is no property,
// an unknown identifier included; then `rest` keeps what was not read. Checks bounds, not contents.
[[nodiscard]] bool next_property(std::string_view& rest, Property& out);

// One bit for each PropertyId.
using PropertySet = uint64_t;
[[nodiscard]] constexpr PropertySet set_of(PropertyId id) {
    return PropertySet{1} << static_cast<unsigned>(id);
}

// A block of properties that passed `check_properties` or was built by PropertyWriter. Over other
// bytes it is safe, and ends early. Lifetime: that of the bytes.
class PropertyView {
  public:
    class Iterator {
      public:
        Iterator() = default;
        explicit Iterator(std::string_view bytes) : rest_(bytes) { ++*this; }
        const Property& operator*() const { return property_; }
        const Property* operator->() const { return &property_; }
        Iterator& operator++() {
            done_ = !next_property(rest_, property_);
            return *this;
        }
        bool operator!=(const Iterator& other) const { return done_ != other.done_; }

      private:
        std::string_view rest_;
        Property property_;
        bool done_ = true;
    };

    PropertyView() = default;
    explicit PropertyView(std::string_view bytes) : bytes_(bytes) {}
    // `present`: which properties occur, known from checking the block; saves searching for others.
    PropertyView(std::string_view bytes, PropertySet present) : bytes_(bytes), present_(present) {}

    [[nodiscard]] Iterator begin() const { return Iterator(bytes_); }
    [[nodiscard]] Iterator end() const { return {}; }
    [[nodiscard]] std::string_view bytes() const { return bytes_; }
    [[nodiscard]] bool empty() const { return bytes_.empty(); }
    // False when it is known that none of these occurs.
    [[nodiscard]] bool may_have(PropertySet any_of) const { return (present_ & any_of) != 0; }

    // The value of the first property `id`, if there is one of that kind.
    [[nodiscard]] std::optional<uint32_t> number(PropertyId id) const;
    [[nodiscard]] std::optional<std::string_view> text(PropertyId id) const;

  private:
    std::string_view bytes_;
    PropertySet present_ = ~PropertySet{0};
};

// Bounds against bloat; over them a packet is refused with 0x97 (Quota exceeded).
struct PropertyLimits {
    uint32_t user_properties_max = 64;
    uint32_t user_property_bytes_max = 16 * 1024;  // names and values together
};

// Checks a whole block: known identifiers, allowed in this packet, once each where the
// specification says so, values in range, strings valid UTF-8. Errors: 0x81 for bytes that cannot
// be read or an identifier that is not allowed, 0x82 for duplicates and forbidden values, 0x94 for
// Topic Alias 0, 0x97 over the limits. Spec: MQTT 5 §2.2.2.2 and the property sections of §3.
[[nodiscard]] DecodeResult check_properties(PropertyOwner owner, std::string_view bytes,
                                            const PropertyLimits& limits);
// The same, and on success the checked block in `out`.
[[nodiscard]] DecodeResult check_properties(PropertyOwner owner, std::string_view bytes,
                                            const PropertyLimits& limits, PropertyView& out);

// The properties of a checked block that are handed on to subscribers, in order. A view of the
// block as long as they lie side by side; copied over `scratch` when another property stands
// between them.
[[nodiscard]] std::string_view forwarded_properties(PropertyView properties, std::string& scratch);

// Appends properties to a string, in call order. The caller chooses ids of the right type:
// Requires: `type_of(id)` fits the function; texts have at most 65,535 bytes.
class PropertyWriter {
  public:
    explicit PropertyWriter(std::string& out) : out_(out) {}

    void byte(PropertyId id, uint8_t value);
    void two_byte(PropertyId id, uint16_t value);
    void four_byte(PropertyId id, uint32_t value);
    void variable(PropertyId id, uint32_t value);
    void text(PropertyId id, std::string_view value);  // strings and binary data
    void user(std::string_view name, std::string_view value);

  private:
    std::string& out_;
};

}  // namespace quorate::mqtt
