// The packets of MQTT as structs of views. Spec: MQTT 5 §3, MQTT 3.1.1 §3.
//
// A decoded packet points into the bytes it was decoded from (and a PUBLISH or CONNECT perhaps into
// the caller's scratch string): it lives as long as they do, no longer. The same structs are what
// the encoder takes. In versions 3.1 and 3.1.1 all property members are empty.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "proto/base/ids.h"
#include "proto/mqtt/properties.h"
#include "proto/mqtt/types.h"

namespace quorate::mqtt {

inline constexpr uint32_t kRemainingLengthMax = 268'435'455;  // four bytes of seven bits
inline constexpr uint32_t kPacketSizeMax = kRemainingLengthMax + 5;

// §3.1.2.5 to §3.1.3.4. The encoder writes `properties`; the fields below it were read from there.
struct Will {
    std::string_view topic;
    std::string_view payload;
    QoS qos = QoS::AtMostOnce;
    bool retain = false;
    PropertyView properties;

    uint32_t delay_interval_s = 0;
    std::optional<uint32_t> message_expiry_s;
    std::string_view forward;  // as PublishView::forward
};

// §3.1. The encoder writes `properties`; the fields below it were read from there, with the default
// of the specification where the property is absent.
struct Connect {
    // After a failed decode: the version to answer in, V311 when the client's could not be read.
    ProtocolVersion version = ProtocolVersion::V311;
    bool clean_start = true;  // Clean Session in version 3
    uint16_t keep_alive_s = 0;
    std::string_view client_id;
    std::optional<Will> will;
    std::optional<std::string_view> user_name;
    std::optional<std::string_view> password;
    PropertyView properties;

    uint32_t session_expiry_interval_s = 0;  // 0xFFFFFFFF: never
    uint16_t receive_maximum = 65'535;
    uint32_t maximum_packet_size = kPacketSizeMax;
    uint16_t topic_alias_maximum = 0;
    bool request_response_information = false;
    bool request_problem_information = true;
    std::optional<std::string_view> authentication_method;
    std::string_view authentication_data;
};

// §3.2. In version 3 the Reason Code is translated by connack_return_code().
struct Connack {
    bool session_present = false;
    ReasonCode reason = ReasonCode::Success;
    PropertyView properties;
};

// §3.3.
struct PublishView {
    std::string_view topic;    // empty when only the alias was sent
    uint16_t topic_alias = 0;  // 0: none
    PacketId packet_id;        // 0 at QoS 0
    QoS qos = QoS::AtMostOnce;
    bool dup = false;
    bool retain = false;
    std::optional<uint32_t> message_expiry_s;
    std::string_view forward;  // properties to hand on to subscribers, unchanged and in order
    std::string_view payload;
    PropertyView properties;  // the whole block
};

// PUBACK, PUBREC, PUBREL, PUBCOMP (§3.4 to §3.7). Version 3 has no Reason Code: Success.
struct Ack {
    PacketType type = PacketType::Puback;
    PacketId packet_id;
    ReasonCode reason = ReasonCode::Success;
    PropertyView properties;
};

// One Topic Filter of a SUBSCRIBE. §3.8.3.
struct SubscriptionRequest {
    std::string_view filter;    // as received, with `$share/name/` if it had that
    uint16_t share_prefix = 0;  // bytes of `$share/name/`, 0 when not shared
    QoS qos = QoS::AtMostOnce;  // maximum QoS
    bool no_local = false;
    bool retain_as_published = false;
    RetainHandling retain_handling = RetainHandling::Send;
    // Success, or the SUBACK code for a well-formed filter that is over our limits.
    ReasonCode refused = ReasonCode::Success;

    // The ShareName, empty when not shared, and the filter that topics are matched with. §4.8.2.
    [[nodiscard]] std::string_view share_name() const {
        return share_prefix == 0 ? std::string_view{} : filter.substr(7, share_prefix - 8U);
    }
    [[nodiscard]] std::string_view topic_filter() const { return filter.substr(share_prefix); }
};

// §3.8.
struct Subscribe {
    PacketId packet_id;
    uint32_t subscription_id = 0;  // 0: none
    PropertyView properties;       // what the encoder writes
    std::vector<SubscriptionRequest> requests;
};

// §3.9. `reasons` has one byte per filter, as on the wire.
struct Suback {
    PacketId packet_id;
    PropertyView properties;
    std::vector<ReasonCode> reasons;
};

// §3.10. Filters as received.
struct Unsubscribe {
    PacketId packet_id;
    PropertyView properties;
    std::vector<std::string_view> filters;
};

// §3.11. `reasons` is empty in version 3.
struct Unsuback {
    PacketId packet_id;
    PropertyView properties;
    std::vector<ReasonCode> reasons;
};

// §3.14.
struct Disconnect {
    ReasonCode reason = ReasonCode::NormalDisconnection;
    PropertyView properties;
};

// §3.15; version 5 only.
struct Auth {
    ReasonCode reason = ReasonCode::Success;
    PropertyView properties;
};

}  // namespace quorate::mqtt
