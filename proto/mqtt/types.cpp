#include "proto/mqtt/types.h"

namespace quorate::mqtt {

const char* to_string(PacketType type) {
    switch (type) {
        case PacketType::Connect:
            return "CONNECT";
        case PacketType::Connack:
            return "CONNACK";
        case PacketType::Publish:
            return "PUBLISH";
        case PacketType::Puback:
            return "PUBACK";
        case PacketType::Pubrec:
            return "PUBREC";
        case PacketType::Pubrel:
            return "PUBREL";
        case PacketType::Pubcomp:
            return "PUBCOMP";
        case PacketType::Subscribe:
            return "SUBSCRIBE";
        case PacketType::Suback:
            return "SUBACK";
        case PacketType::Unsubscribe:
            return "UNSUBSCRIBE";
        case PacketType::Unsuback:
            return "UNSUBACK";
        case PacketType::Pingreq:
            return "PINGREQ";
        case PacketType::Pingresp:
            return "PINGRESP";
        case PacketType::Disconnect:
            return "DISCONNECT";
        case PacketType::Auth:
            return "AUTH";
    }
    return "reserved";
}

const char* to_string(ProtocolVersion version) {
    switch (version) {
        case ProtocolVersion::V31:
            return "3.1";
        case ProtocolVersion::V311:
            return "3.1.1";
        case ProtocolVersion::V5:
            return "5.0";
    }
    return "unknown";
}

namespace {

struct NamedCode {
    ReasonCode code;
    const char* name;
};

// MQTT 5 §2.4, table 2-6.
constexpr NamedCode kReasonNames[] = {
    {ReasonCode::Success, "Success"},
    {ReasonCode::GrantedQos1, "Granted QoS 1"},
    {ReasonCode::GrantedQos2, "Granted QoS 2"},
    {ReasonCode::DisconnectWithWill, "Disconnect with Will Message"},
    {ReasonCode::NoMatchingSubscribers, "No matching subscribers"},
    {ReasonCode::NoSubscriptionExisted, "No subscription existed"},
    {ReasonCode::ContinueAuthentication, "Continue authentication"},
    {ReasonCode::Reauthenticate, "Re-authenticate"},
    {ReasonCode::UnspecifiedError, "Unspecified error"},
    {ReasonCode::MalformedPacket, "Malformed Packet"},
    {ReasonCode::ProtocolError, "Protocol Error"},
    {ReasonCode::ImplementationSpecificError, "Implementation specific error"},
    {ReasonCode::UnsupportedProtocolVersion, "Unsupported Protocol Version"},
    {ReasonCode::ClientIdentifierNotValid, "Client Identifier not valid"},
    {ReasonCode::BadUserNameOrPassword, "Bad User Name or Password"},
    {ReasonCode::NotAuthorized, "Not authorized"},
    {ReasonCode::ServerUnavailable, "Server unavailable"},
    {ReasonCode::ServerBusy, "Server busy"},
    {ReasonCode::Banned, "Banned"},
    {ReasonCode::ServerShuttingDown, "Server shutting down"},
    {ReasonCode::BadAuthenticationMethod, "Bad authentication method"},
    {ReasonCode::KeepAliveTimeout, "Keep Alive timeout"},
    {ReasonCode::SessionTakenOver, "Session taken over"},
    {ReasonCode::TopicFilterInvalid, "Topic Filter invalid"},
    {ReasonCode::TopicNameInvalid, "Topic Name invalid"},
    {ReasonCode::PacketIdentifierInUse, "Packet Identifier in use"},
    {ReasonCode::PacketIdentifierNotFound, "Packet Identifier not found"},
    {ReasonCode::ReceiveMaximumExceeded, "Receive Maximum exceeded"},
    {ReasonCode::TopicAliasInvalid, "Topic Alias invalid"},
    {ReasonCode::PacketTooLarge, "Packet too large"},
    {ReasonCode::MessageRateTooHigh, "Message rate too high"},
    {ReasonCode::QuotaExceeded, "Quota exceeded"},
    {ReasonCode::AdministrativeAction, "Administrative action"},
    {ReasonCode::PayloadFormatInvalid, "Payload format invalid"},
    {ReasonCode::RetainNotSupported, "Retain not supported"},
    {ReasonCode::QosNotSupported, "QoS not supported"},
    {ReasonCode::UseAnotherServer, "Use another server"},
    {ReasonCode::ServerMoved, "Server moved"},
    {ReasonCode::SharedSubscriptionsNotSupported, "Shared Subscriptions not supported"},
    {ReasonCode::ConnectionRateExceeded, "Connection rate exceeded"},
    {ReasonCode::MaximumConnectTime, "Maximum connect time"},
    {ReasonCode::SubscriptionIdentifiersNotSupported, "Subscription Identifiers not supported"},
    {ReasonCode::WildcardSubscriptionsNotSupported, "Wildcard Subscriptions not supported"},
};

}  // namespace

const char* to_string(ReasonCode code) {
    for (const NamedCode& row : kReasonNames) {
        if (row.code == code) return row.name;
    }
    return "unknown";
}

namespace {

// The codes of 0x80 and above that each packet may carry, as bits from 0x80 on. MQTT 5 §2.4.
template <typename... Codes>
constexpr uint64_t failures(Codes... codes) {
    return ((uint64_t{1} << (codes - 0x80)) | ... | uint64_t{0});
}
constexpr uint64_t kConnackFailures =
    failures(0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95,
             0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F);
constexpr uint64_t kPubackFailures = failures(0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99);
constexpr uint64_t kPubrelFailures = failures(0x92);
constexpr uint64_t kSubackFailures = failures(0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2);
constexpr uint64_t kUnsubackFailures = failures(0x80, 0x83, 0x87, 0x8F, 0x91);
constexpr uint64_t kDisconnectFailures =
    failures(0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
             0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2);

constexpr bool is_in(uint64_t set, uint8_t code) {
    return code >= 0x80 && code < 0xC0 && ((set >> (code - 0x80)) & 1U) != 0;
}

}  // namespace

bool reason_allowed(PacketType type, uint8_t code) {
    switch (type) {
        case PacketType::Connack:
            return code == 0 || is_in(kConnackFailures, code);
        case PacketType::Puback:
        case PacketType::Pubrec:
            return code == 0 || code == 0x10 || is_in(kPubackFailures, code);
        case PacketType::Pubrel:
        case PacketType::Pubcomp:
            return code == 0 || is_in(kPubrelFailures, code);
        case PacketType::Suback:
            return code <= 2 || is_in(kSubackFailures, code);
        case PacketType::Unsuback:
            return code == 0 || code == 0x11 || is_in(kUnsubackFailures, code);
        case PacketType::Disconnect:
            return code == 0 || code == 0x04 || is_in(kDisconnectFailures, code);
        case PacketType::Auth:
            return code == 0 || code == 0x18 || code == 0x19;
        case PacketType::Connect:
        case PacketType::Publish:
        case PacketType::Subscribe:
        case PacketType::Unsubscribe:
        case PacketType::Pingreq:
        case PacketType::Pingresp:
            return false;
    }
    return false;
}

std::optional<uint8_t> connack_return_code(ReasonCode code) {
    constexpr uint8_t kVersion = 1, kIdentifier = 2, kUnavailable = 3, kBadUser = 4, kDenied = 5;
    if (code == ReasonCode::Success) return uint8_t{0};
    if (code == ReasonCode::UnsupportedProtocolVersion) return kVersion;
    if (code == ReasonCode::ClientIdentifierNotValid) return kIdentifier;
    if (code == ReasonCode::BadUserNameOrPassword) return kBadUser;
    if (code == ReasonCode::NotAuthorized || code == ReasonCode::Banned) return kDenied;
    if (code == ReasonCode::ServerUnavailable || code == ReasonCode::ServerBusy ||
        code == ReasonCode::QuotaExceeded || code == ReasonCode::ConnectionRateExceeded ||
        code == ReasonCode::UseAnotherServer || code == ReasonCode::ServerMoved ||
        code == ReasonCode::UnspecifiedError || code == ReasonCode::ImplementationSpecificError) {
        return kUnavailable;
    }
    return std::nullopt;
}

}  // namespace quorate::mqtt
