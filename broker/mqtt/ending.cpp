// How a connection ends, and what its client, its session and its host are told about it.
#include <algorithm>
#include <cstring>

#include "broker/mqtt/channel.h"
#include "proto/mqtt/encoder.h"

namespace quorate::broker {
namespace {

using mqtt::PacketType;
using mqtt::ReasonCode;

struct NamedKind {
    ReasonCode reason;
    CloseKind kind;
};
constexpr NamedKind kKinds[] = {
    {ReasonCode::MalformedPacket, CloseKind::Malformed},
    {ReasonCode::PacketTooLarge, CloseKind::PacketTooLarge},
    {ReasonCode::TopicNameInvalid, CloseKind::TopicInvalid},
    {ReasonCode::TopicFilterInvalid, CloseKind::TopicInvalid},
    {ReasonCode::TopicAliasInvalid, CloseKind::TopicAliasInvalid},
    {ReasonCode::ReceiveMaximumExceeded, CloseKind::ReceiveMaximumExceeded},
    {ReasonCode::QuotaExceeded, CloseKind::QuotaExceeded},
    {ReasonCode::NotAuthorized, CloseKind::NotAuthorized},
    {ReasonCode::RetainNotSupported, CloseKind::NotSupported},
    {ReasonCode::QosNotSupported, CloseKind::NotSupported},
    {ReasonCode::SharedSubscriptionsNotSupported, CloseKind::NotSupported},
    {ReasonCode::SubscriptionIdentifiersNotSupported, CloseKind::NotSupported},
    {ReasonCode::WildcardSubscriptionsNotSupported, CloseKind::NotSupported},
};

// Whatever else a decoder refuses with breaks a rule of the protocol.
CloseKind kind_of(ReasonCode reason) {
    for (const NamedKind& named : kKinds) {
        if (named.reason == reason) return named.kind;
    }
    return CloseKind::ProtocolError;
}

// A code that the packet may carry; what has no better name there is unspecified.
ReasonCode allowed(PacketType type, ReasonCode reason) {
    if (mqtt::reason_allowed(type, mqtt::number(reason))) return reason;
    if (reason == ReasonCode::ServerShuttingDown) return ReasonCode::ServerUnavailable;
    return ReasonCode::UnspecifiedError;
}

void add_texts(std::string& properties, std::string_view reason_string,
               std::string_view server_reference) {
    mqtt::PropertyWriter writer(properties);
    if (!server_reference.empty()) {
        writer.text(mqtt::PropertyId::ServerReference, server_reference);
    }
    if (!reason_string.empty()) writer.text(mqtt::PropertyId::ReasonString, reason_string);
}

}  // namespace

void Channel::on_disconnect(const mqtt::Frame& frame) {
    mqtt::Disconnect packet;
    const mqtt::DecodeResult result =
        mqtt::decode_disconnect(version_, frame, context_.limits.decode, packet);
    if (!result.ok()) {
        fail(result);
        return;
    }
    std::optional<uint32_t> expiry;
    if (version_ == mqtt::ProtocolVersion::V5) {
        expiry = packet.properties.number(mqtt::PropertyId::SessionExpiryInterval);
    }
    if (expiry && *expiry != 0 && session_expiry_ == 0) {  // §3.14.2.2.2
        fail(CloseKind::ProtocolError, ReasonCode::ProtocolError,
             "Session Expiry Interval in DISCONNECT after 0 in CONNECT");
        return;
    }
    if (expiry) expiry = std::min(*expiry, context_.limits.session_expiry_max);
    if (packet.reason == ReasonCode::NormalDisconnection) {
        end({CloseKind::ClientDisconnect, packet.reason, "client disconnected"},
            DetachHow::Disconnected, expiry);
    } else {
        end({CloseKind::ClientDisconnectWithWill, packet.reason,
             "client disconnected, the will remains"},
            DetachHow::DisconnectedWithWill, expiry);
    }
}

void Channel::fail(const mqtt::DecodeResult& error) {
    fail(kind_of(error.reason), error.reason, error.why);
}

void Channel::fail(CloseKind kind, ReasonCode reason, const char* text) {
    const CloseCause cause{kind, reason, text};
    switch (state_) {
        case State::WaitingConnect:  // its version is not known
            end(cause, DetachHow::Lost);
            return;
        case State::Authenticating:
        case State::Attaching:
            refuse_connect(cause, text, {});
            return;
        case State::Connected:
            send_disconnect(reason, text, {});
            end(cause, DetachHow::Lost);
            return;
        case State::LettingGo:
        case State::Closed:
            return;
    }
}

void Channel::disconnect(ReasonCode reason, const char* text, std::string_view server_reference) {
    const CloseCause cause{CloseKind::ServerDisconnect, reason, text};
    switch (state_) {
        case State::WaitingConnect:
            end(cause, DetachHow::ServerClosed);
            return;
        case State::Authenticating:
        case State::Attaching:
            refuse_connect(cause, text, server_reference);
            return;
        case State::Connected:
            send_disconnect(reason, text, server_reference);
            end(cause, DetachHow::ServerClosed);
            return;
        case State::LettingGo:
        case State::Closed:
            return;
    }
}

void Channel::let_go(LoopTime now, ReasonCode reason) {
    if (state_ != State::Connected) {
        disconnect(reason, "taken over while connecting");
        return;
    }
    send_disconnect(reason, "session taken over", {});
    state_ = State::LettingGo;
    last_packet_ = now;
    host_.close({CloseKind::TakenOver, reason, "session taken over"});
    if (unanswered_publishes() == 0) finish_letting_go();
}

void Channel::finish_letting_go() {
    detach(DetachHow::LetGo, std::nullopt);
    state_ = State::Closed;
}

void Channel::end(const CloseCause& cause, DetachHow how, std::optional<uint32_t> new_expiry) {
    if (ended()) return;
    detach(how, new_expiry);
    state_ = State::Closed;
    host_.close(cause);
}

void Channel::detach(DetachHow how, std::optional<uint32_t> new_expiry) {
    if (!attached_) return;
    attached_ = false;
    return_shared();
    host_.detach(how, new_expiry, MessageNumber(window_.next() - 1));
}

// Before Connected: CONNACK with the reason where the version has one, then the end.
void Channel::refuse_connect(const CloseCause& cause, std::string_view reason_string,
                             std::string_view server_reference) {
    std::string properties;
    if (version_ == mqtt::ProtocolVersion::V5) {
        add_texts(properties, reason_string, server_reference);
    }
    mqtt::Connack connack;
    connack.reason = allowed(PacketType::Connack, cause.reason);
    connack.properties = mqtt::PropertyView(properties);
    std::string packet;
    if (mqtt::append_connack(packet, version_, connack, client_packet_max_)) {
        send(PacketType::Connack, packet);
    }
    end(cause,
        cause.kind == CloseKind::ServerDisconnect ? DetachHow::ServerClosed : DetachHow::Lost);
}

// Only version 5 has a DISCONNECT of the server. [MQTT-3.14.0-1]
void Channel::send_disconnect(ReasonCode reason, std::string_view text,
                              std::string_view server_reference) {
    if (version_ != mqtt::ProtocolVersion::V5) return;
    std::string properties;
    add_texts(properties, text, server_reference);
    mqtt::Disconnect disconnect;
    disconnect.reason = allowed(PacketType::Disconnect, reason);
    disconnect.properties = mqtt::PropertyView(properties);
    std::string packet;
    if (mqtt::append_disconnect(packet, version_, disconnect, client_packet_max_)) {
        send(PacketType::Disconnect, packet);
    }
}

void Channel::send(PacketType type, std::string_view packet) {
    std::memcpy(host_.prepare(packet.size()), packet.data(), packet.size());
    host_.commit(packet.size());
    ++context_.counters.packets_out[static_cast<std::size_t>(type)];
}

void Channel::send_ack(PacketType type, PacketId id, ReasonCode reason) {
    std::byte* const out = host_.prepare(mqtt::kShortAckBytesMax);
    host_.commit(mqtt::write_ack(out, version_, type, id, reason));
    ++context_.counters.packets_out[static_cast<std::size_t>(type)];
}

}  // namespace quorate::broker
