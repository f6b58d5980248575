// PUBLISH and PUBREL of the client, and the answers it is owed. Spec: MQTT 5 §3.3, §3.6, §4.3,
// §4.6; rules R-2 (order of answers), R-5 (what was received), R-9 (credit).
#include "broker/mqtt/channel.h"
#include "broker/mqtt/operations.h"
#include "broker/mqtt/received_ids.h"
#include "broker/mqtt/topic_alias.h"
#include "proto/mqtt/decoder.h"
#include "proto/mqtt/utf8.h"

namespace quorate::broker {
namespace {

using mqtt::PacketType;
using mqtt::ProtocolVersion;
using mqtt::QoS;
using mqtt::ReasonCode;

// Names the queue in a ticket: QoS 1 and 2 have one each.
constexpr uint32_t kExactlyOnceTicket = 0x80000000;

bool payload_is_not_the_text_it_claims(const mqtt::PublishView& publish) {
    const mqtt::PropertyView properties(publish.forward);
    return properties.number(mqtt::PropertyId::PayloadFormatIndicator) == 1U &&
           !mqtt::valid_utf8_payload(publish.payload);
}

}  // namespace

Channel::Step Channel::on_publish(const mqtt::Frame& frame) {
    const ChannelLimits& limits = context_.limits;
    mqtt::PublishView publish;
    const mqtt::DecodeResult result =
        mqtt::decode_publish(version_, frame, limits.decode, context_.scratch, publish);
    if (!result.ok()) [[unlikely]] {
        fail(result);
        return Step::Done;
    }
    if (publish.qos > limits.max_qos) [[unlikely]] {  // [MQTT-3.2.2-11]
        fail(CloseKind::NotSupported, ReasonCode::QosNotSupported, "QoS above Maximum QoS");
        return Step::Done;
    }
    if (publish.retain && !limits.retain_available) [[unlikely]] {  // [MQTT-3.2.2-14]
        fail(CloseKind::NotSupported, ReasonCode::RetainNotSupported, "retain is not available");
        return Step::Done;
    }
    std::string_view topic = publish.topic;
    if (publish.topic_alias != 0 && !resolve_topic(publish, topic)) return Step::Done;
    InboundPublish inbound;
    inbound.message = mqtt::message_of(publish, topic, publisher_);
    inbound.packet_id = publish.packet_id;
    inbound.dup = publish.dup;
    const bool bad_payload =
        limits.validate_payload_format && payload_is_not_the_text_it_claims(publish);
    return admit(inbound, bad_payload);
}

// §3.3.2.3.4. The decoder refused alias 0 and those above the maximum.
bool Channel::resolve_topic(const mqtt::PublishView& publish, std::string_view& topic) {
    if (!publish.topic.empty()) {
        if (!aliases_in_) aliases_in_ = std::make_unique<TopicAliasesIn>();
        aliases_in_->set(publish.topic_alias, publish.topic);
        return true;
    }
    if (aliases_in_) topic = aliases_in_->get(publish.topic_alias);
    if (!topic.empty()) return true;
    fail(CloseKind::TopicAliasInvalid, ReasonCode::ProtocolError, "topic alias without a meaning");
    return false;
}

Channel::Step Channel::admit(InboundPublish& publish, bool bad_payload) {
    const QoS qos = publish.message.qos;
    if (qos != QoS::AtMostOnce) {
        const bool repeat =
            qos == QoS::ExactlyOnce && received_ && received_->contains(publish.packet_id);
        if (const std::optional<Step> step = check_quota(repeat)) return *step;
        if (repeat) ++context_.counters.repeated_publishes;
        if (repeat && !durable_) {
            repeat_received(publish.packet_id);
            return Step::Done;
        }
        publish.ticket = answers(qos).next_ticket();
        if (qos == QoS::ExactlyOnce) publish.ticket |= kExactlyOnceTicket;
    }
    const PublishVerdict verdict =
        bad_payload ? PublishVerdict{PublishVerdict::Kind::Done, ReasonCode::PayloadFormatInvalid}
                    : host_.publish(publish);
    if (verdict.kind == PublishVerdict::Kind::Busy) return wait();
    ++context_.counters.publish_in[static_cast<std::size_t>(qos)];
    if (qos == QoS::AtMostOnce) return Step::Done;
    if (qos == QoS::ExactlyOnce) {
        if (!received_) received_ = std::make_unique<ReceivedIds>();
        received_->insert(publish.packet_id);
    }
    AnswerQueue& queue = answers(qos);
    if (verdict.kind == PublishVerdict::Kind::Done && queue.empty()) {
        answer_publish(qos, publish.packet_id, verdict.reason);
        return Step::Done;
    }
    const uint32_t ticket = queue.push(publish.packet_id, false);
    if (verdict.kind == PublishVerdict::Kind::Done) queue.answer(ticket, verdict.reason);
    return Step::Done;
}

// Nothing when one more QoS 1 or 2 PUBLISH may be taken. [MQTT-3.3.4-7], §4.9. A version 3 client
// was told no maximum, and its PUBRELs may stand behind any number of PUBLISH packets: it waits for
// answers of ours only. What it has not released costs its Packet Identifiers, 65,535 at most.
std::optional<Channel::Step> Channel::check_quota(bool repeat) {
    const uint32_t owed = answers_qos1_.size() + answers_qos2_.size();
    if (repeat) {
        if (answers_qos2_.size() < 2U * receive_maximum_) return std::nullopt;
        return wait();
    }
    if (version_ != ProtocolVersion::V5) {
        if (owed < receive_maximum_) return std::nullopt;
        return wait();
    }
    const uint32_t open =
        answers_qos1_.size() + std::max(answers_qos2_.size(), received_ ? received_->size() : 0);
    if (open < receive_maximum_) return std::nullopt;
    fail(CloseKind::ReceiveMaximumExceeded, ReasonCode::ReceiveMaximumExceeded,
         "more than Receive Maximum messages unanswered");
    return Step::Done;
}

// the identifier is taken, so this is the same message again. PUBREC only, after the first's.
void Channel::repeat_received(PacketId id) {
    const uint32_t ticket = answers_qos2_.push(id, true);
    answers_qos2_.answer(ticket, ReasonCode::Success);
    answer_ready(QoS::ExactlyOnce);
}

void Channel::on_published(uint32_t ticket, ReasonCode reason) {
    if (state_ != State::Connected && state_ != State::LettingGo) return;
    const QoS qos = (ticket & kExactlyOnceTicket) != 0 ? QoS::ExactlyOnce : QoS::AtLeastOnce;
    if (!answers(qos).answer(ticket & ~kExactlyOnceTicket, reason)) return;
    answer_ready(qos);
    blocked_ = false;
    if (state_ == State::LettingGo && unanswered_publishes() == 0) finish_letting_go();
}

// [MQTT-4.6.0-2] [MQTT-4.6.0-3]
void Channel::answer_ready(QoS qos) {
    while (const std::optional<AnswerQueue::Answer> answer = answers(qos).take_ready()) {
        if (state_ == State::Connected) answer_publish(qos, answer->packet_id, answer->reason);
    }
}

void Channel::answer_publish(QoS qos, PacketId id, ReasonCode reason) {
    const bool failure = mqtt::is_failure(reason);
    if (failure && qos == QoS::ExactlyOnce) {  // the identifier is free again, §4.3.3
        if (received_) received_->erase(id);
        answers_qos2_.refuse_repeats(id, reason);
    }
    if (failure && version_ != ProtocolVersion::V5) {  // [MQTT-3.3.5-2] of 3.1.1
        fail(reason == ReasonCode::NotAuthorized ? CloseKind::NotAuthorized
                                                 : CloseKind::PublishRefused,
             reason, "a publish was refused, and version 3 cannot be told");
        return;
    }
    send_ack(qos == QoS::AtLeastOnce ? PacketType::Puback : PacketType::Pubrec, id, reason);
}

Channel::Step Channel::on_pubrel(const mqtt::Ack& ack) {
    if (durable_) {
        if (operations().releases >= receive_maximum_) return wait();
        ++operations().releases;
        host_.release(ack.packet_id);
        return Step::Done;
    }
    const bool found = received_ && received_->erase(ack.packet_id);
    if (!found) ++context_.counters.unknown_acks;
    send_ack(PacketType::Pubcomp, ack.packet_id,
             found ? ReasonCode::Success : ReasonCode::PacketIdentifierNotFound);
    return Step::Done;
}

void Channel::on_released(PacketId packet_id, bool found) {
    if (state_ != State::Connected || !operations_ || operations_->releases == 0) return;
    --operations_->releases;
    blocked_ = false;
    if (received_) received_->erase(packet_id);
    if (!found) ++context_.counters.unknown_acks;
    send_ack(PacketType::Pubcomp, packet_id,
             found ? ReasonCode::Success : ReasonCode::PacketIdentifierNotFound);
}

}  // namespace quorate::broker
