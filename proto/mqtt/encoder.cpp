#include "proto/mqtt/encoder.h"

#include "proto/base/assert.h"
#include "proto/mqtt/wire.h"

namespace quorate::mqtt {
namespace {

constexpr uint8_t first_byte(PacketType type) {
    const bool has_flag = type == PacketType::Pubrel || type == PacketType::Subscribe ||
                          type == PacketType::Unsubscribe;
    return static_cast<uint8_t>((static_cast<unsigned>(type) << 4) | (has_flag ? 2U : 0U));
}

// The properties of one packet, less those that may be dropped to make it fit.
struct KeptProperties {
    std::string_view bytes;
    std::size_t size = 0;
    bool user = true;
    bool reason = true;

    [[nodiscard]] bool keeps(PropertyId id) const {
        return (user || id != PropertyId::UserProperty) &&
               (reason || id != PropertyId::ReasonString);
    }
    void measure() {
        std::string_view rest = bytes;
        size = 0;
        Property property;
        for (std::string_view before = rest; next_property(rest, property); before = rest) {
            if (keeps(property.id)) size += before.size() - rest.size();
        }
    }
    void append_to(std::string& out) const {
        std::string_view rest = bytes;
        Property property;
        for (std::string_view before = rest; next_property(rest, property); before = rest) {
            if (keeps(property.id)) out.append(before.substr(0, before.size() - rest.size()));
        }
    }
};

enum class WhenEmpty : bool { WriteLength, LeaveOut };

// A packet of version 5, cut where the properties stand: head, properties, tail.
struct Parts {
    PacketType type = PacketType::Pingreq;
    std::string_view head;
    PropertyView properties;
    std::string_view tail;
    bool may_drop = true;                           // what a server may leave out to make it fit
    WhenEmpty when_empty = WhenEmpty::WriteLength;  // no properties: a length of 0, or nothing
};

std::size_t remaining_length(const Parts& parts, const KeptProperties& kept) {
    const bool left_out = kept.size == 0 && parts.when_empty == WhenEmpty::LeaveOut;
    const std::size_t block =
        left_out ? 0 : variable_size(static_cast<uint32_t>(kept.size)) + kept.size;
    return parts.head.size() + block + parts.tail.size();
}

bool fits(std::size_t remaining, uint32_t packet_size_max) {
    return remaining <= kRemainingLengthMax &&
           1 + variable_size(static_cast<uint32_t>(remaining)) + remaining <= packet_size_max;
}

void append_header(std::string& out, PacketType type, std::size_t remaining) {
    append_u8(out, first_byte(type));
    append_variable(out, static_cast<uint32_t>(remaining));
}

bool append_parts(std::string& out, const Parts& parts, uint32_t packet_size_max) {
    KeptProperties kept{parts.properties.bytes()};
    if (kept.bytes.size() > kRemainingLengthMax) return false;
    kept.measure();
    std::size_t remaining = remaining_length(parts, kept);
    if (!fits(remaining, packet_size_max) && parts.may_drop) {
        kept.user = false;
        kept.measure();
        remaining = remaining_length(parts, kept);
        if (!fits(remaining, packet_size_max)) {
            kept.reason = false;
            kept.measure();
            remaining = remaining_length(parts, kept);
        }
    }
    if (!fits(remaining, packet_size_max)) return false;
    append_header(out, parts.type, remaining);
    out.append(parts.head);
    if (kept.size != 0 || parts.when_empty == WhenEmpty::WriteLength) {
        append_variable(out, static_cast<uint32_t>(kept.size));
        kept.append_to(out);
    }
    out.append(parts.tail);
    return true;
}

// Head and tail, without properties: what versions 3.1 and 3.1.1 write.
bool append_plain(std::string& out, PacketType type, std::string_view head, std::string_view tail,
                  uint32_t packet_size_max) {
    const std::size_t remaining = head.size() + tail.size();
    if (!fits(remaining, packet_size_max)) return false;
    append_header(out, type, remaining);
    out.append(head);
    out.append(tail);
    return true;
}

bool append_either(std::string& out, ProtocolVersion version, const Parts& parts,
                   uint32_t packet_size_max) {
    if (version == ProtocolVersion::V5) return append_parts(out, parts, packet_size_max);
    return append_plain(out, parts.type, parts.head, parts.tail, packet_size_max);
}

std::string packet_id_bytes(PacketId id) {
    std::string head;
    append_u16(head, id.value());
    return head;
}

// A packet of version 5 that is a Reason Code and properties, both left out as far as possible.
bool append_reason(std::string& out, PacketType type, std::string head, ReasonCode reason,
                   PropertyView properties, uint32_t packet_size_max) {
    const std::size_t bare = head.size();
    append_u8(head, number(reason));
    const std::size_t start = out.size();
    const Parts parts{type, head, properties, {}, true, WhenEmpty::LeaveOut};
    if (!append_parts(out, parts, packet_size_max)) return false;
    const bool nothing_else = out.size() - start == 2 + head.size();
    if (nothing_else && reason == ReasonCode::Success) {
        out.pop_back();
        out[start + 1] = static_cast<char>(bare);
    }
    return true;
}

uint8_t options_of(ProtocolVersion version, const SubscriptionRequest& request) {
    const auto qos = static_cast<unsigned>(request.qos);
    if (version != ProtocolVersion::V5) return static_cast<uint8_t>(qos);
    return static_cast<uint8_t>(qos | (request.no_local ? 0x04U : 0U) |
                                (request.retain_as_published ? 0x08U : 0U) |
                                (static_cast<unsigned>(request.retain_handling) << 4));
}

}  // namespace

bool append_ack(std::string& out, ProtocolVersion version, const Ack& ack,
                uint32_t packet_size_max) {
    if (version == ProtocolVersion::V5) {
        return append_reason(out, ack.type, packet_id_bytes(ack.packet_id), ack.reason,
                             ack.properties, packet_size_max);
    }
    return append_plain(out, ack.type, packet_id_bytes(ack.packet_id), {}, packet_size_max);
}

bool append_connack(std::string& out, ProtocolVersion version, const Connack& connack,
                    uint32_t packet_size_max) {
    std::string head;
    append_u8(head, connack.session_present && version != ProtocolVersion::V31 ? 1 : 0);
    if (version == ProtocolVersion::V5) {
        append_u8(head, number(connack.reason));
    } else {
        const std::optional<uint8_t> code = connack_return_code(connack.reason);
        if (!code.has_value()) return false;
        append_u8(head, *code);
    }
    const Parts parts{PacketType::Connack, head, connack.properties, {}};
    return append_either(out, version, parts, packet_size_max);
}

bool append_subscribe(std::string& out, ProtocolVersion version, const Subscribe& subscribe,
                      uint32_t packet_size_max) {
    const std::string head = packet_id_bytes(subscribe.packet_id);
    std::string tail;
    for (const SubscriptionRequest& request : subscribe.requests) {
        append_text(tail, request.filter);
        append_u8(tail, options_of(version, request));
    }
    const Parts parts{PacketType::Subscribe, head, subscribe.properties, tail, false};
    return append_either(out, version, parts, packet_size_max);
}

bool append_suback(std::string& out, ProtocolVersion version, const Suback& suback,
                   uint32_t packet_size_max) {
    const std::string head = packet_id_bytes(suback.packet_id);
    std::string tail;
    for (const ReasonCode code : suback.reasons) {
        append_u8(tail, version == ProtocolVersion::V5 ? number(code) : suback_return_code(code));
    }
    const Parts parts{PacketType::Suback, head, suback.properties, tail};
    return append_either(out, version, parts, packet_size_max);
}

bool append_unsubscribe(std::string& out, ProtocolVersion version, const Unsubscribe& unsubscribe,
                        uint32_t packet_size_max) {
    const std::string head = packet_id_bytes(unsubscribe.packet_id);
    std::string tail;
    for (const std::string_view filter : unsubscribe.filters)
        append_text(tail, filter);
    const Parts parts{PacketType::Unsubscribe, head, unsubscribe.properties, tail, false};
    return append_either(out, version, parts, packet_size_max);
}

bool append_unsuback(std::string& out, ProtocolVersion version, const Unsuback& unsuback,
                     uint32_t packet_size_max) {
    const std::string head = packet_id_bytes(unsuback.packet_id);
    std::string tail;
    if (version == ProtocolVersion::V5) {
        for (const ReasonCode code : unsuback.reasons)
            append_u8(tail, number(code));
    }
    const Parts parts{PacketType::Unsuback, head, unsuback.properties, tail};
    return append_either(out, version, parts, packet_size_max);
}

bool append_disconnect(std::string& out, ProtocolVersion version, const Disconnect& disconnect,
                       uint32_t packet_size_max) {
    if (version == ProtocolVersion::V5) {
        return append_reason(out, PacketType::Disconnect, {}, disconnect.reason,
                             disconnect.properties, packet_size_max);
    }
    return append_plain(out, PacketType::Disconnect, {}, {}, packet_size_max);
}

bool append_auth(std::string& out, ProtocolVersion version, const Auth& auth,
                 uint32_t packet_size_max) {
    if (version != ProtocolVersion::V5) return false;
    if (auth.reason == ReasonCode::Success && auth.properties.empty()) {
        return append_plain(out, PacketType::Auth, {}, {}, packet_size_max);
    }
    std::string head;
    append_u8(head, number(auth.reason));
    const Parts parts{PacketType::Auth, head, auth.properties, {}};
    return append_parts(out, parts, packet_size_max);
}

void append_pingreq(std::string& out) {
    append_header(out, PacketType::Pingreq, 0);
}

void append_pingresp(std::string& out) {
    append_header(out, PacketType::Pingresp, 0);
}

bool append_connect(std::string& out, const Connect& connect) {
    std::string head;
    append_text(head, connect.version == ProtocolVersion::V31 ? "MQIsdp" : "MQTT");
    append_u8(head, static_cast<uint8_t>(connect.version));
    unsigned flags = connect.clean_start ? 0x02U : 0U;
    if (connect.will.has_value()) {
        flags |= 0x04U | (static_cast<unsigned>(connect.will->qos) << 3) |
                 (connect.will->retain ? 0x20U : 0U);
    }
    flags |=
        (connect.password.has_value() ? 0x40U : 0U) | (connect.user_name.has_value() ? 0x80U : 0U);
    append_u8(head, flags);
    append_u16(head, connect.keep_alive_s);
    std::string tail;
    append_text(tail, connect.client_id);
    if (connect.will.has_value()) {
        if (connect.version == ProtocolVersion::V5) {
            const std::string_view block = connect.will->properties.bytes();
            append_variable(tail, static_cast<uint32_t>(block.size()));
            tail.append(block);
        }
        append_text(tail, connect.will->topic);
        append_text(tail, connect.will->payload);
    }
    if (connect.user_name.has_value()) append_text(tail, *connect.user_name);
    if (connect.password.has_value()) append_text(tail, *connect.password);
    const Parts parts{PacketType::Connect, head, connect.properties, tail, false};
    return append_either(out, connect.version, parts, kPacketSizeMax);
}

}  // namespace quorate::mqtt
