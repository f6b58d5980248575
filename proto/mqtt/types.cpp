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

const char* to_string(ReasonCode code) {
    switch (code) {
        case ReasonCode::Success:
            return "Success";
        case ReasonCode::GrantedQos1:
            return "Granted QoS 1";
        case ReasonCode::GrantedQos2:
            return "Granted QoS 2";
        case ReasonCode::DisconnectWithWill:
            return "Disconnect with Will Message";
        case ReasonCode::NoMatchingSubscribers:
            return "No matching subscribers";
        case ReasonCode::NoSubscriptionExisted:
            return "No subscription existed";
        case ReasonCode::ContinueAuthentication:
            return "Continue authentication";
        case ReasonCode::Reauthenticate:
            return "Re-authenticate";
        case ReasonCode::UnspecifiedError:
            return "Unspecified error";
        case ReasonCode::MalformedPacket:
            return "Malformed Packet";
        case ReasonCode::ProtocolError:
            return "Protocol Error";
        case ReasonCode::ImplementationSpecificError:
            return "Implementation specific error";
        case ReasonCode::UnsupportedProtocolVersion:
            return "Unsupported Protocol Version";
        case ReasonCode::ClientIdentifierNotValid:
            return "Client Identifier not valid";
        case ReasonCode::BadUserNameOrPassword:
            return "Bad User Name or Password";
        case ReasonCode::NotAuthorized:
            return "Not authorized";
        case ReasonCode::ServerUnavailable:
            return "Server unavailable";
        case ReasonCode::ServerBusy:
            return "Server busy";
        case ReasonCode::Banned:
            return "Banned";
        case ReasonCode::ServerShuttingDown:
            return "Server shutting down";
        case ReasonCode::BadAuthenticationMethod:
            return "Bad authentication method";
        case ReasonCode::KeepAliveTimeout:
            return "Keep Alive timeout";
        case ReasonCode::SessionTakenOver:
            return "Session taken over";
        case ReasonCode::TopicFilterInvalid:
            return "Topic Filter invalid";
        case ReasonCode::TopicNameInvalid:
            return "Topic Name invalid";
        case ReasonCode::PacketIdentifierInUse:
            return "Packet Identifier in use";
        case ReasonCode::PacketIdentifierNotFound:
            return "Packet Identifier not found";
        case ReasonCode::ReceiveMaximumExceeded:
            return "Receive Maximum exceeded";
        case ReasonCode::TopicAliasInvalid:
            return "Topic Alias invalid";
        case ReasonCode::PacketTooLarge:
            return "Packet too large";
        case ReasonCode::MessageRateTooHigh:
            return "Message rate too high";
        case ReasonCode::QuotaExceeded:
            return "Quota exceeded";
        case ReasonCode::AdministrativeAction:
            return "Administrative action";
        case ReasonCode::PayloadFormatInvalid:
            return "Payload format invalid";
        case ReasonCode::RetainNotSupported:
            return "Retain not supported";
        case ReasonCode::QosNotSupported:
            return "QoS not supported";
        case ReasonCode::UseAnotherServer:
            return "Use another server";
        case ReasonCode::ServerMoved:
            return "Server moved";
        case ReasonCode::SharedSubscriptionsNotSupported:
            return "Shared Subscriptions not supported";
        case ReasonCode::ConnectionRateExceeded:
            return "Connection rate exceeded";
        case ReasonCode::MaximumConnectTime:
            return "Maximum connect time";
        case ReasonCode::SubscriptionIdentifiersNotSupported:
            return "Subscription Identifiers not supported";
        case ReasonCode::WildcardSubscriptionsNotSupported:
            return "Wildcard Subscriptions not supported";
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
