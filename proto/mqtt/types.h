// The small words of MQTT: versions, packet types, QoS, Reason Codes, and how a decoder says no.
// Names are those of the specification. Spec: MQTT 5 §2.1.2, §2.4, §3.2.2.2, MQTT 3.1.1 §3.2.2.3.
#pragma once

#include <cstdint>
#include <optional>

namespace quorate::mqtt {

enum class ProtocolVersion : uint8_t { V31 = 3, V311 = 4, V5 = 5 };

enum class PacketType : uint8_t {
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
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
};

enum class QoS : uint8_t { AtMostOnce = 0, AtLeastOnce = 1, ExactlyOnce = 2 };

enum class RetainHandling : uint8_t { Send = 0, SendIfNew = 1, DoNotSend = 2 };

// Who wrote a packet; some properties and packets may travel in one direction only.
enum class Sender : uint8_t { Client, Server };

// MQTT 5 §2.4. Three names share the value 0x00: which one is meant follows from the packet.
enum class ReasonCode : uint8_t {
    Success = 0x00,
    NormalDisconnection = 0x00,
    GrantedQos0 = 0x00,
    GrantedQos1 = 0x01,
    GrantedQos2 = 0x02,
    DisconnectWithWill = 0x04,
    NoMatchingSubscribers = 0x10,
    NoSubscriptionExisted = 0x11,
    ContinueAuthentication = 0x18,
    Reauthenticate = 0x19,
    UnspecifiedError = 0x80,
    MalformedPacket = 0x81,
    ProtocolError = 0x82,
    ImplementationSpecificError = 0x83,
    UnsupportedProtocolVersion = 0x84,
    ClientIdentifierNotValid = 0x85,
    BadUserNameOrPassword = 0x86,
    NotAuthorized = 0x87,
    ServerUnavailable = 0x88,
    ServerBusy = 0x89,
    Banned = 0x8A,
    ServerShuttingDown = 0x8B,
    BadAuthenticationMethod = 0x8C,
    KeepAliveTimeout = 0x8D,
    SessionTakenOver = 0x8E,
    TopicFilterInvalid = 0x8F,
    TopicNameInvalid = 0x90,
    PacketIdentifierInUse = 0x91,
    PacketIdentifierNotFound = 0x92,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    MessageRateTooHigh = 0x96,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    PayloadFormatInvalid = 0x99,
    RetainNotSupported = 0x9A,
    QosNotSupported = 0x9B,
    UseAnotherServer = 0x9C,
    ServerMoved = 0x9D,
    SharedSubscriptionsNotSupported = 0x9E,
    ConnectionRateExceeded = 0x9F,
    MaximumConnectTime = 0xA0,
    SubscriptionIdentifiersNotSupported = 0xA1,
    WildcardSubscriptionsNotSupported = 0xA2,
};

[[nodiscard]] const char* to_string(PacketType type);
[[nodiscard]] const char* to_string(ProtocolVersion version);
// The name of the specification's table; 0x00 is "Success".
[[nodiscard]] const char* to_string(ReasonCode code);

[[nodiscard]] constexpr uint8_t number(ReasonCode code) {
    return static_cast<uint8_t>(code);
}
// Codes of 0x80 and above are failures.
[[nodiscard]] constexpr bool is_failure(ReasonCode code) {
    return number(code) >= 0x80;
}
// Whether `code` may stand in a packet of this type (MQTT 5 §2.4 and the tables of §3.x.2.1).
[[nodiscard]] bool reason_allowed(PacketType type, uint8_t code);

// The CONNACK return code of versions 3.1 and 3.1.1 (MQTT 3.1.1 §3.2.2.3) that tells the client the
// same; nothing when version 3 has no code for it and the connection is closed without a CONNACK.
[[nodiscard]] std::optional<uint8_t> connack_return_code(ReasonCode code);
// The code that version 3.1.1 writes into SUBACK: the granted QoS or 0x80 (MQTT 3.1.1 §3.9.3).
[[nodiscard]] constexpr uint8_t suback_return_code(ReasonCode code) {
    return is_failure(code) ? 0x80 : number(code);
}

// What every decoding function answers: success, or the Reason Code to refuse the packet with and a
// text for the log (a literal, so that refusing costs nothing).
struct [[nodiscard]] DecodeResult {
    ReasonCode reason = ReasonCode::Success;
    const char* why = nullptr;

    [[nodiscard]] constexpr bool ok() const { return why == nullptr; }
};

[[nodiscard]] constexpr DecodeResult malformed(const char* why) {
    return {ReasonCode::MalformedPacket, why};
}
[[nodiscard]] constexpr DecodeResult protocol_error(const char* why) {
    return {ReasonCode::ProtocolError, why};
}

}  // namespace quorate::mqtt
