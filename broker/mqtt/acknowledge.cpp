// PUBACK, PUBREC and PUBCOMP of the client: progress of what was sent to it. PUBREL is in
// publish.cpp. Spec: MQTT 5 §3.4 to §3.7, §4.3, §4.4, §4.9; rule R-6.
#include "broker/mqtt/channel.h"
#include "proto/mqtt/decoder.h"

namespace quorate::broker {
namespace {

using mqtt::PacketType;
using mqtt::ReasonCode;
using Slot = OutgoingWindow::Slot;

}  // namespace

Channel::Step Channel::on_ack(const mqtt::Frame& frame) {
    mqtt::Ack ack;
    const mqtt::DecodeResult result =
        mqtt::decode_ack(version_, frame, context_.limits.decode, ack);
    if (!result.ok()) [[unlikely]] {
        fail(result);
        return Step::Done;
    }
    if (ack.type == PacketType::Pubrel) return on_pubrel(ack);
    if (ack.type == PacketType::Puback) {
        on_puback(ack);
    } else if (ack.type == PacketType::Pubrec) {
        on_pubrec(ack);
    } else {
        on_pubcomp(ack);
    }
    return Step::Done;
}

// An identifier that is not in use names a message of an earlier connection or one that is done:
// nothing to do, and no error (§4.3.2).
void Channel::on_puback(const mqtt::Ack& ack) {
    const std::optional<uint64_t> number = window_.find(ack.packet_id);
    if (!number) {
        ++context_.counters.unknown_acks;
        return;
    }
    if (window_.slot(*number) != Slot::AwaitPuback) {
        fail(CloseKind::ProtocolError, ReasonCode::ProtocolError, "PUBACK for a QoS 2 message");
        return;
    }
    settle(*number, mqtt::is_failure(ack.reason) ? AckKind::Refused : AckKind::Puback);
}

void Channel::on_pubrec(const mqtt::Ack& ack) {
    const bool failure = mqtt::is_failure(ack.reason);
    const std::optional<uint64_t> number = window_.find(ack.packet_id);
    if (!number) {  // §4.3.3: the client's state for it must end
        ++context_.counters.unknown_acks;
        if (!failure) {
            send_ack(PacketType::Pubrel, ack.packet_id, ReasonCode::PacketIdentifierNotFound);
        }
        return;
    }
    switch (window_.slot(*number)) {
        case Slot::AwaitPubrec:
            break;
        case Slot::AwaitPuback:
            fail(CloseKind::ProtocolError, ReasonCode::ProtocolError, "PUBREC for a QoS 1 message");
            return;
        case Slot::AwaitPubcomp:  // the client asks again
            if (!failure) send_ack(PacketType::Pubrel, ack.packet_id, ReasonCode::Success);
            return;
        case Slot::AwaitCommit:  // PUBREL follows anyway
        case Slot::Settled:
            return;
    }
    if (failure) {
        settle(*number, AckKind::Refused);
        return;
    }
    tell(*number, AckKind::Pubrec, window_.ticket(*number));
    if (durable_) {
        window_.advance(*number, Slot::AwaitCommit);
        return;
    }
    window_.advance(*number, Slot::AwaitPubcomp);
    send_ack(PacketType::Pubrel, ack.packet_id, ReasonCode::Success);
}

// [MQTT-4.6.0-4]: commits come in the order of the PUBREC packets.
void Channel::on_ack_committed(MessageNumber number) {
    const uint64_t value = number.value();
    if (state_ != State::Connected || value < window_.first() || value >= window_.next()) return;
    if (window_.slot(value) != Slot::AwaitCommit) return;
    window_.advance(value, Slot::AwaitPubcomp);
    send_ack(PacketType::Pubrel, OutgoingWindow::packet_id(value), ReasonCode::Success);
}

void Channel::on_pubcomp(const mqtt::Ack& ack) {
    const std::optional<uint64_t> number = window_.find(ack.packet_id);
    if (!number) {
        ++context_.counters.unknown_acks;
        return;
    }
    if (window_.slot(*number) != Slot::AwaitPubcomp) {
        fail(CloseKind::ProtocolError, ReasonCode::ProtocolError, "PUBCOMP without PUBREL");
        return;
    }
    settle(*number, AckKind::Pubcomp);
}

void Channel::settle(uint64_t number, AckKind kind) {
    const uint64_t ticket = window_.ticket(number);
    window_.settle(number);
    --context_.counters.in_flight;
    acked_ = true;
    tell(number, kind, ticket);
}

void Channel::tell(uint64_t number, AckKind kind, uint64_t ticket) {
    if (durable_ || ticket != 0) host_.acknowledge(MessageNumber(number), kind, ticket);
}

// Once for all acknowledgements of an event.
void Channel::after_acks(LoopTime now) {
    if (!acked_) return;
    acked_ = false;
    if (state_ != State::Connected) return;
    if (durable_) {
        host_.window_open();
    } else {
        pump(now);
    }
}

}  // namespace quorate::broker
