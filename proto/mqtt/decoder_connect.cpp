// The packets that begin and end a connection: CONNECT, CONNACK, DISCONNECT, AUTH.
#include "proto/mqtt/decoder.h"
#include "proto/mqtt/utf8.h"
#include "proto/mqtt/wire.h"

namespace quorate::mqtt {
namespace {

constexpr uint8_t kReservedFlag = 0x01;
constexpr uint8_t kCleanFlag = 0x02;
constexpr uint8_t kWillFlag = 0x04;
constexpr uint8_t kWillRetainFlag = 0x20;
constexpr uint8_t kPasswordFlag = 0x40;
constexpr uint8_t kUserNameFlag = 0x80;

// Protocol Name and level. §3.1.2.1, §3.1.2.2. A level from 0x80 on is a bridge's.
DecodeResult read_version(WireReader& reader, ProtocolVersion& version) {
    std::string_view name;
    uint8_t level = 0;
    if (!reader.text(name) || !reader.u8(level)) return malformed("no protocol name and level");
    if (name == "MQTT" && level == 4) {
        version = ProtocolVersion::V311;
    } else if (name == "MQTT" && level == 5) {
        version = ProtocolVersion::V5;
    } else if (name == "MQIsdp" && level == 3) {
        version = ProtocolVersion::V31;
    } else {
        version = level >= 5 && level < 0x80 ? ProtocolVersion::V5 : ProtocolVersion::V311;
        return {ReasonCode::UnsupportedProtocolVersion, "unknown protocol name or level"};
    }
    return {};
}

DecodeResult check_connect_flags(ProtocolVersion version, uint8_t flags) {
    if (version != ProtocolVersion::V31 && (flags & kReservedFlag) != 0) {
        return malformed("reserved flag of CONNECT");
    }
    const unsigned will_qos = (flags >> 3) & 0x03U;
    if (will_qos == 3) return malformed("will QoS 3");
    if ((flags & kWillFlag) == 0 && (will_qos != 0 || (flags & kWillRetainFlag) != 0)) {
        return malformed("will QoS or will retain without a will");
    }
    const bool password_alone = (flags & (kUserNameFlag | kPasswordFlag)) == kPasswordFlag;
    if (version == ProtocolVersion::V311 && password_alone) {
        return malformed("password without user name");
    }
    return {};
}

DecodeResult read_connect_properties(WireReader& reader, const DecodeLimits& limits, Connect& out) {
    const DecodeResult result =
        take_properties(reader, PropertyOwner::Connect, limits.properties, out.properties);
    if (!result.ok()) return result;
    for (const Property& property : out.properties) {
        const uint32_t number = property.number;
        if (property.id == PropertyId::SessionExpiryInterval) {
            out.session_expiry_interval_s = number;
        } else if (property.id == PropertyId::ReceiveMaximum) {
            out.receive_maximum = static_cast<uint16_t>(number);
        } else if (property.id == PropertyId::MaximumPacketSize) {
            out.maximum_packet_size = number;
        } else if (property.id == PropertyId::TopicAliasMaximum) {
            out.topic_alias_maximum = static_cast<uint16_t>(number);
        } else if (property.id == PropertyId::RequestResponseInformation) {
            out.request_response_information = number != 0;
        } else if (property.id == PropertyId::RequestProblemInformation) {
            out.request_problem_information = number != 0;
        } else if (property.id == PropertyId::AuthenticationMethod) {
            out.authentication_method = property.text;
        } else if (property.id == PropertyId::AuthenticationData) {
            out.authentication_data = property.text;
        }
    }
    const bool has_data = out.properties.text(PropertyId::AuthenticationData).has_value();
    if (has_data && !out.authentication_method.has_value()) {
        return protocol_error("authentication data without a method");
    }
    return {};
}

DecodeResult read_client_id(WireReader& reader, const DecodeLimits& limits, Connect& out) {
    if (!reader.text(out.client_id)) return malformed("client identifier does not fit the packet");
    if (!valid_utf8(out.client_id)) return malformed("client identifier is not valid UTF-8");
    if (out.client_id.size() > limits.client_id_bytes_max) {
        return {ReasonCode::ClientIdentifierNotValid, "client identifier too long"};
    }
    // Version 5 assigns one; 3.1.1 does so for a session that ends with the connection; 3.1 never.
    const bool may_be_empty = out.version == ProtocolVersion::V5 ||
                              (out.version == ProtocolVersion::V311 && out.clean_start);
    if (out.client_id.empty() && !may_be_empty) {
        return {ReasonCode::ClientIdentifierNotValid, "empty client identifier"};
    }
    return {};
}

DecodeResult read_will(WireReader& reader, ProtocolVersion version, const DecodeLimits& limits,
                       std::string& scratch, Will& will) {
    if (version == ProtocolVersion::V5) {
        const DecodeResult result =
            take_properties(reader, PropertyOwner::Will, limits.properties, will.properties);
        if (!result.ok()) return result;
        const PropertyView& block = will.properties;
        will.delay_interval_s = block.number(PropertyId::WillDelayInterval).value_or(0);
        will.message_expiry_s = block.number(PropertyId::MessageExpiryInterval);
        will.forward = forwarded_properties(block, scratch);
    }
    if (!reader.text(will.topic)) return malformed("will topic does not fit the packet");
    if (!reader.text(will.payload)) return malformed("will payload does not fit the packet");
    if (!valid_utf8(will.topic)) return malformed("will topic is not valid UTF-8");
    if (!valid_topic_name(will.topic) || !within_limits(will.topic, limits.topics)) {
        return {ReasonCode::TopicNameInvalid, "will topic is not a topic name"};
    }
    if (limits.check_payload_format &&
        will.properties.number(PropertyId::PayloadFormatIndicator) == 1U &&
        !valid_utf8_payload(will.payload)) {
        return {ReasonCode::PayloadFormatInvalid, "will payload is not UTF-8"};
    }
    return {};
}

DecodeResult read_credentials(WireReader& reader, uint8_t flags, Connect& out) {
    // MQTT 3.1: where the packet ends early, the Remaining Length has precedence over the flags.
    const bool may_be_cut = out.version == ProtocolVersion::V31;
    std::string_view text;
    if ((flags & kUserNameFlag) != 0 && !(may_be_cut && reader.empty())) {
        if (!reader.text(text)) return malformed("user name does not fit the packet");
        if (!valid_utf8(text)) return malformed("user name is not valid UTF-8");
        out.user_name = text;
    }
    if ((flags & kPasswordFlag) != 0 && !(may_be_cut && reader.empty())) {
        if (!reader.text(text)) return malformed("password does not fit the packet");
        out.password = text;
    }
    if (!reader.empty()) return malformed("bytes after the payload");
    return {};
}

ReasonCode reason_of_return_code(uint8_t code) {
    switch (code) {
        case 0:
            return ReasonCode::Success;
        case 1:
            return ReasonCode::UnsupportedProtocolVersion;
        case 2:
            return ReasonCode::ClientIdentifierNotValid;
        case 3:
            return ReasonCode::ServerUnavailable;
        case 4:
            return ReasonCode::BadUserNameOrPassword;
        case 5:
            return ReasonCode::NotAuthorized;
        default:
            return ReasonCode::UnspecifiedError;
    }
}

}  // namespace

DecodeResult decode_connect(const Frame& frame, const DecodeLimits& limits, std::string& scratch,
                            Connect& out) {
    out = Connect{};
    WireReader reader(frame.body);
    if (const DecodeResult result = read_version(reader, out.version); !result.ok()) return result;
    uint8_t flags = 0;
    if (!reader.u8(flags)) return malformed("no connect flags");
    if (const DecodeResult result = check_connect_flags(out.version, flags); !result.ok()) {
        return result;
    }
    out.clean_start = (flags & kCleanFlag) != 0;
    if (!reader.u16(out.keep_alive_s)) return malformed("no keep alive");
    if (out.version == ProtocolVersion::V5) {
        const DecodeResult result = read_connect_properties(reader, limits, out);
        if (!result.ok()) return result;
    }
    if (const DecodeResult result = read_client_id(reader, limits, out); !result.ok()) {
        return result;
    }
    if ((flags & kWillFlag) != 0) {
        Will& will = out.will.emplace();
        will.qos = static_cast<QoS>((flags >> 3) & 0x03U);
        will.retain = (flags & kWillRetainFlag) != 0;
        const DecodeResult result = read_will(reader, out.version, limits, scratch, will);
        if (!result.ok()) return result;
    }
    return read_credentials(reader, flags, out);
}

DecodeResult decode_connack(ProtocolVersion version, const Frame& frame, const DecodeLimits& limits,
                            Connack& out) {
    out = Connack{};
    WireReader reader(frame.body);
    uint8_t flags = 0;
    uint8_t code = 0;
    if (!reader.u8(flags) || !reader.u8(code)) return malformed("CONNACK cut short");
    if (version != ProtocolVersion::V31 && (flags & 0xFEU) != 0) {
        return malformed("reserved flags of CONNACK");
    }
    out.session_present = version != ProtocolVersion::V31 && flags != 0;
    if (version == ProtocolVersion::V5) {
        if (!reason_allowed(PacketType::Connack, code)) {
            return protocol_error("reason code not of CONNACK");
        }
        out.reason = static_cast<ReasonCode>(code);
        const DecodeResult result =
            take_properties(reader, PropertyOwner::Connack, limits.properties, out.properties);
        if (!result.ok()) return result;
    } else {
        if (code > 5) return protocol_error("return code not of CONNACK");
        out.reason = reason_of_return_code(code);
    }
    if (!reader.empty()) return malformed("bytes after the CONNACK");
    if (out.session_present && out.reason != ReasonCode::Success) {
        return protocol_error("session present in a refusal");
    }
    return {};
}

DecodeResult decode_disconnect(ProtocolVersion version, const Frame& frame,
                               const DecodeLimits& limits, Disconnect& out) {
    out = Disconnect{};
    WireReader reader(frame.body);
    uint8_t reason = 0;
    if (!reader.u8(reason)) return {};
    if (version != ProtocolVersion::V5) return malformed("DISCONNECT with a body");
    if (!reason_allowed(PacketType::Disconnect, reason)) {
        return protocol_error("reason code not of DISCONNECT");
    }
    out.reason = static_cast<ReasonCode>(reason);
    if (reader.empty()) return {};
    const DecodeResult result =
        take_properties(reader, PropertyOwner::Disconnect, limits.properties, out.properties);
    if (!result.ok()) return result;
    if (!reader.empty()) return malformed("bytes after the properties");
    if (limits.sender == Sender::Server &&
        out.properties.number(PropertyId::SessionExpiryInterval).has_value()) {
        return protocol_error("session expiry interval in a server's DISCONNECT");
    }
    return {};
}

DecodeResult decode_auth(ProtocolVersion version, const Frame& frame, const DecodeLimits& limits,
                         Auth& out) {
    out = Auth{};
    if (version != ProtocolVersion::V5) return protocol_error("AUTH before version 5");
    WireReader reader(frame.body);
    uint8_t reason = 0;
    if (!reader.u8(reason)) return {};
    if (!reason_allowed(PacketType::Auth, reason)) {
        return protocol_error("reason code not of AUTH");
    }
    out.reason = static_cast<ReasonCode>(reason);
    const DecodeResult result =
        take_properties(reader, PropertyOwner::Auth, limits.properties, out.properties);
    if (!result.ok()) return result;
    if (!reader.empty()) return malformed("bytes after the properties");
    if (!out.properties.text(PropertyId::AuthenticationMethod).has_value()) {
        return protocol_error("AUTH without an authentication method");
    }
    return {};
}

}  // namespace quorate::mqtt
