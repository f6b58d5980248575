// CONNECT, enhanced authentication and CONNACK. Spec: MQTT 5 §3.1, §3.2, §3.15, §4.12;
// MQTT 3.1.1 §3.1, §3.2.
#include <algorithm>

#include "broker/mqtt/channel.h"
#include "broker/mqtt/operations.h"
#include "proto/base/hash.h"
#include "proto/mqtt/encoder.h"

namespace quorate::broker {
namespace {

using mqtt::PacketType;
using mqtt::PropertyId;
using mqtt::ProtocolVersion;
using mqtt::ReasonCode;

AuthenticateRequest first_step(const mqtt::Connect& connect) {
    AuthenticateRequest request;
    request.version = connect.version;
    request.client_id = connect.client_id;
    request.username = connect.user_name;
    request.password = connect.password;
    request.method = connect.authentication_method.value_or(std::string_view{});
    request.data = connect.authentication_data;
    return request;
}

// What Clean Session and Session Expiry Interval mean together, before our own maximum.
uint32_t wanted_expiry(const mqtt::Connect& connect) {
    if (connect.version == ProtocolVersion::V5) return connect.session_expiry_interval_s;
    return connect.clean_start ? 0 : kExpiryNever;  // [MQTT-3.1.2-6] of 3.1.1
}

WillRequest will_of(const mqtt::Will& will, uint64_t publisher) {
    WillRequest request;
    request.message.topic = will.topic;
    request.message.payload = will.payload;
    request.message.forward = will.forward;
    request.message.message_expiry_s = will.message_expiry_s;
    request.message.qos = will.qos;
    request.message.retain = will.retain;
    request.message.publisher = publisher;
    request.delay_seconds = will.delay_interval_s;
    return request;
}

}  // namespace

void Channel::on_connect(const mqtt::Frame& frame) {
    mqtt::Connect connect;
    mqtt::DecodeResult result =
        mqtt::decode_connect(frame, context_.limits.decode, context_.scratch, connect);
    version_ = connect.version;
    if (result.ok()) {
        client_packet_max_ = connect.maximum_packet_size;
        result = check_connect(connect);
    }
    if (!result.ok()) {
        refuse_connect({CloseKind::ConnectRefused, result.reason, result.why}, result.why, {});
        return;
    }
    keep_terms(connect);
    state_ = State::Authenticating;
    const AuthOutcome outcome = host_.authenticate(first_step(connect));
    if (outcome.kind != AuthOutcome::Kind::Accepted || connect.authentication_method) {
        keep_handshake(frame, connect);
    }
    judge(outcome, &connect);
}

mqtt::DecodeResult Channel::check_connect(const mqtt::Connect& connect) const {
    const ChannelLimits& limits = context_.limits;
    const bool v5 = connect.version == ProtocolVersion::V5;
    if (connect.client_id.empty() && !v5 &&
        (connect.version == ProtocolVersion::V31 || !connect.clean_start)) {
        // [MQTT-3.1.3-8] of 3.1.1; 3.1 knows no empty client id
        return {ReasonCode::ClientIdentifierNotValid, "an empty client id needs a clean session"};
    }
    if (connect.will && connect.will->qos > limits.max_qos) {  // [MQTT-3.2.2-12]
        return {ReasonCode::QosNotSupported, "QoS of the will is not supported"};
    }
    if (connect.will && connect.will->retain && !limits.retain_available) {  // [MQTT-3.2.2-13]
        return {ReasonCode::RetainNotSupported, "retain of the will is not supported"};
    }
    if (connect.authentication_method &&
        std::ranges::find(limits.auth_methods, *connect.authentication_method) ==
            limits.auth_methods.end()) {  // §4.12
        return {ReasonCode::BadAuthenticationMethod, "authentication method is not offered"};
    }
    return {};
}

void Channel::keep_terms(const mqtt::Connect& connect) {
    const ChannelLimits& limits = context_.limits;
    const int64_t keep_alive_max = std::min<int64_t>(limits.max_keep_alive.count(), 65535);
    keep_alive_s_ = connect.keep_alive_s;
    if (keep_alive_max > 0 && (keep_alive_s_ == 0 || keep_alive_s_ > keep_alive_max)) {
        keep_alive_s_ = static_cast<uint16_t>(keep_alive_max);
        tell_keep_alive_ = true;
    }
    const uint32_t wanted = wanted_expiry(connect);
    session_expiry_ = std::min(wanted, limits.session_expiry_max);
    tell_expiry_ = session_expiry_ != wanted;
    window_size_ =
        std::max<uint16_t>(1, std::min(connect.receive_maximum, limits.max_inflight_out));
    receive_maximum_ = std::max<uint16_t>(1, limits.receive_maximum);
    client_alias_max_ = std::min(connect.topic_alias_maximum, limits.topic_alias_maximum_out);
    want_response_information_ = connect.request_response_information;
}

void Channel::keep_handshake(const mqtt::Frame& frame, const mqtt::Connect& connect) {
    handshake_ = std::make_unique<Handshake>();
    handshake_->connect = as_text(frame.body);
    handshake_->flags = frame.flags;
    if (connect.authentication_method) handshake_->method = *connect.authentication_method;
}

void Channel::judge(const AuthOutcome& outcome, const mqtt::Connect* connect) {
    switch (outcome.kind) {
        case AuthOutcome::Kind::Accepted:
            break;
        case AuthOutcome::Kind::Refused:
            refuse_connect({CloseKind::ConnectRefused, outcome.reason, "not authenticated"}, {},
                           {});
            return;
        case AuthOutcome::Kind::Continue:
            send_auth(ReasonCode::ContinueAuthentication, outcome.data);
            awaiting_client_ = true;
            return;
        case AuthOutcome::Kind::Pending:
            awaiting_client_ = false;
            return;
    }
    if (handshake_) handshake_->data = outcome.data;
    if (connect != nullptr) {
        start_attach(*connect, outcome.identity);
        return;
    }
    const std::string body = std::exchange(handshake_->connect, std::string());
    const mqtt::Frame frame{PacketType::Connect, handshake_->flags, as_bytes(body)};
    mqtt::Connect again;
    const mqtt::DecodeResult result =
        mqtt::decode_connect(frame, context_.limits.decode, context_.scratch, again);
    if (result.ok()) {
        start_attach(again, outcome.identity);
    } else {  // only when the limits were lowered in the meantime
        refuse_connect({CloseKind::ConnectRefused, result.reason, result.why}, result.why, {});
    }
}

void Channel::start_attach(const mqtt::Connect& connect, std::string_view identity) {
    assigned_id_ = connect.client_id.empty();
    client_id_ = assigned_id_ ? host_.make_client_id() : std::string(connect.client_id);
    publisher_ = hash64(client_id_);
    if (handshake_) handshake_->connect = std::string();
    AttachRequest request;
    request.client_id = client_id_;
    request.client_id_assigned = assigned_id_;
    request.version = version_;
    request.clean_start = connect.clean_start;
    request.session_expiry_seconds = session_expiry_;
    request.keep_alive_seconds = keep_alive_s_;
    request.window = window_size_;
    request.maximum_packet_size = client_packet_max_;
    request.identity = identity;
    if (connect.will) request.will = will_of(*connect.will, publisher_);
    awaiting_client_ = false;
    state_ = State::Attaching;
    attached_ = true;
    host_.attach(request);
}

void Channel::on_authenticated(LoopTime now, const AuthOutcome& outcome) {
    if (outcome.kind == AuthOutcome::Kind::Pending || awaiting_client_) return;
    if (state_ == State::Authenticating) {
        judge(outcome, nullptr);
    } else if (state_ == State::Connected && reauthenticating_) {
        last_packet_ = now;
        judge_again(outcome);
    }
}

void Channel::on_attached(LoopTime now, const AttachOutcome& outcome) {
    if (state_ != State::Attaching) return;
    if (mqtt::is_failure(outcome.reason)) {
        attached_ = false;  // there is nothing to detach from
        refuse_connect({CloseKind::ConnectRefused, outcome.reason, "the session was refused"},
                       outcome.reason_string, outcome.server_reference);
        return;
    }
    durable_ = outcome.durable;
    const uint64_t first = std::max<uint64_t>(1, outcome.first_unacked.value());
    window_.reset(durable_ ? first : 1, window_size_);
    last_packet_ = now;
    send_connack(outcome);
}

// A CONNACK that the client's Maximum Packet Size does not admit leaves nothing to go on with.
void Channel::send_connack(const AttachOutcome& outcome) {
    std::string properties;
    if (version_ == ProtocolVersion::V5) properties = connack_properties();
    mqtt::Connack connack;
    connack.session_present = outcome.session_present && version_ != ProtocolVersion::V31;
    connack.properties = mqtt::PropertyView(properties);
    std::string packet;
    if (!mqtt::append_connack(packet, version_, connack, client_packet_max_)) {
        end({CloseKind::PacketTooLarge, ReasonCode::PacketTooLarge,
             "CONNACK is larger than the client's Maximum Packet Size"},
            DetachHow::ServerClosed);
        return;
    }
    state_ = State::Connected;
    if (handshake_ && handshake_->method.empty()) handshake_.reset();
    send(PacketType::Connack, packet);
}

std::string Channel::connack_properties() const {
    const ChannelLimits& limits = context_.limits;
    std::string bytes;
    mqtt::PropertyWriter writer(bytes);
    if (tell_expiry_) writer.four_byte(PropertyId::SessionExpiryInterval, session_expiry_);
    writer.two_byte(PropertyId::ReceiveMaximum, receive_maximum_);
    if (limits.max_qos < mqtt::QoS::ExactlyOnce) {
        writer.byte(PropertyId::MaximumQos, static_cast<uint8_t>(limits.max_qos));
    }
    if (!limits.retain_available) writer.byte(PropertyId::RetainAvailable, 0);
    if (limits.max_packet_size < mqtt::kPacketSizeMax) {
        writer.four_byte(PropertyId::MaximumPacketSize, limits.max_packet_size);
    }
    if (assigned_id_) writer.text(PropertyId::AssignedClientIdentifier, client_id_);
    if (limits.decode.topic_alias_maximum > 0) {
        writer.two_byte(PropertyId::TopicAliasMaximum, limits.decode.topic_alias_maximum);
    }
    if (!limits.wildcard_available) writer.byte(PropertyId::WildcardSubscriptionAvailable, 0);
    if (!limits.subscription_ids_available) {
        writer.byte(PropertyId::SubscriptionIdentifierAvailable, 0);
    }
    if (!limits.shared_available) writer.byte(PropertyId::SharedSubscriptionAvailable, 0);
    if (tell_keep_alive_) writer.two_byte(PropertyId::ServerKeepAlive, keep_alive_s_);
    if (want_response_information_ && !limits.response_topic_prefix.empty()) {
        writer.text(PropertyId::ResponseInformation, limits.response_topic_prefix + client_id_);
    }
    if (handshake_ && !handshake_->method.empty()) {
        writer.text(PropertyId::AuthenticationMethod, handshake_->method);
        if (!handshake_->data.empty()) {
            writer.text(PropertyId::AuthenticationData, handshake_->data);
        }
    }
    return bytes;
}

void Channel::on_auth(const mqtt::Frame& frame) {
    mqtt::Auth auth;
    const mqtt::DecodeResult result =
        mqtt::decode_auth(version_, frame, context_.limits.decode, auth);
    if (!result.ok()) {
        fail(result);
        return;
    }
    const std::string_view method =
        auth.properties.text(PropertyId::AuthenticationMethod).value_or(std::string_view{});
    if (!handshake_ || handshake_->method.empty() || method != handshake_->method) {
        fail(CloseKind::ProtocolError, ReasonCode::ProtocolError,
             "AUTH with a method that CONNECT did not name");  // [MQTT-4.12.0-5], -7
        return;
    }
    const bool restart = auth.reason == ReasonCode::Reauthenticate;
    const bool expected =
        restart ? state_ == State::Connected && !reauthenticating_
                : awaiting_client_ && auth.reason == ReasonCode::ContinueAuthentication;
    if (!expected) {
        fail(CloseKind::ProtocolError, ReasonCode::ProtocolError, "AUTH out of turn");
        return;
    }
    awaiting_client_ = false;
    reauthenticating_ = state_ == State::Connected;
    AuthenticateRequest request;
    request.step =
        restart ? AuthenticateRequest::Step::Reauthenticate : AuthenticateRequest::Step::Continue;
    request.version = version_;
    request.client_id = client_id_;
    request.method = method;
    request.data =
        auth.properties.text(PropertyId::AuthenticationData).value_or(std::string_view{});
    const AuthOutcome outcome = host_.authenticate(request);
    if (reauthenticating_) {
        judge_again(outcome);
    } else {
        judge(outcome, nullptr);
    }
}

void Channel::judge_again(const AuthOutcome& outcome) {
    switch (outcome.kind) {
        case AuthOutcome::Kind::Accepted:
            reauthenticating_ = false;
            send_auth(ReasonCode::Success, outcome.data);
            return;
        case AuthOutcome::Kind::Refused:
            fail(CloseKind::NotAuthorized, outcome.reason, "re-authentication failed");
            return;
        case AuthOutcome::Kind::Continue:
            awaiting_client_ = true;
            send_auth(ReasonCode::ContinueAuthentication, outcome.data);
            return;
        case AuthOutcome::Kind::Pending:
            return;
    }
}

void Channel::send_auth(ReasonCode reason, std::string_view data) {
    std::string properties;
    mqtt::PropertyWriter writer(properties);
    if (handshake_) writer.text(PropertyId::AuthenticationMethod, handshake_->method);
    if (!data.empty()) writer.text(PropertyId::AuthenticationData, data);
    mqtt::Auth auth;
    auth.reason = reason;
    auth.properties = mqtt::PropertyView(properties);
    std::string packet;
    if (mqtt::append_auth(packet, version_, auth, client_packet_max_)) {
        send(PacketType::Auth, packet);
    }
}

}  // namespace quorate::broker
