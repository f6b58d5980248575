// Messages to the client: of durable sessions as their shard numbers them, of expiry-0 sessions as
// they come. Spec: MQTT 5 §3.3, §4.3, §4.4, §4.9; rule R-6.
#include <algorithm>
#include <cstring>

#include "broker/mqtt/channel.h"
#include "broker/mqtt/pending_queue.h"
#include "broker/mqtt/topic_alias.h"
#include "proto/base/assert.h"
#include "proto/mqtt/encoder.h"

namespace quorate::broker {
namespace {

using mqtt::PacketType;
using mqtt::ProtocolVersion;
using mqtt::QoS;
using mqtt::ReasonCode;
using Slot = OutgoingWindow::Slot;

mqtt::PublishFields fields_of(const mqtt::MessageView& message) {
    mqtt::PublishFields fields;
    fields.topic = message.topic;
    fields.payload = message.payload;
    fields.forward = message.forward;
    fields.qos = message.qos;
    fields.retain = message.retain;
    fields.message_expiry_s = message.message_expiry_s;
    return fields;
}

Slot slot_of(QoS qos) {
    return qos == QoS::AtLeastOnce ? Slot::AwaitPuback : Slot::AwaitPubrec;
}

}  // namespace

DeliverResult Channel::deliver(const Delivery& delivery) {
    if (state_ != State::Connected || !durable_) return DeliverResult::NotConnected;
    const uint64_t number = delivery.number.value();
    if (!window_.admits(number)) return DeliverResult::OutOfWindow;
    const PacketId id = OutgoingWindow::packet_id(number);
    if (delivery.pubrec_known) {
        fly(number, Slot::AwaitPubcomp, delivery.shared_ticket);
        send_ack(PacketType::Pubrel, id, ReasonCode::Success);
        return DeliverResult::Sent;
    }
    ASSERT(delivery.message != nullptr, "a PUBLISH has a message");
    if (delivery.message->qos == QoS::AtMostOnce) return DeliverResult::OutOfWindow;
    mqtt::PublishFields fields = fields_of(*delivery.message);
    fields.dup = delivery.dup;
    fields.packet_id = id;
    fields.subscription_ids = delivery.subscription_ids;
    if (!write(fields)) {  // [MQTT-3.1.2-25]
        window_.take(number, Slot::Settled, 0);
        drop(DropCause::TooLarge, AckKind::TooLarge, 0);
        host_.acknowledge(delivery.number, AckKind::TooLarge, delivery.shared_ticket);
        return DeliverResult::Settled;
    }
    if (delivery.dup) ++context_.counters.redeliveries;
    fly(number, slot_of(fields.qos), delivery.shared_ticket);
    return DeliverResult::Sent;
}

OfferResult Channel::offer(LoopTime now, const Offer& offer) {
    ASSERT(offer.message != nullptr, "an offer has a message");
    if (state_ != State::Connected) {
        return drop(DropCause::NotConnected, AckKind::Unsent, offer.shared_ticket);
    }
    if (offer.qos == QoS::AtMostOnce) {
        if (output_full()) {
            return drop(DropCause::Output, AckKind::Dropped, offer.shared_ticket);
        }
        if (!write_offer(offer, PacketId())) {
            return drop(DropCause::TooLarge, AckKind::TooLarge, offer.shared_ticket);
        }
        return OfferResult::Sent;
    }
    ASSERT(!durable_, "the shard numbers what a durable session gets: deliver()");
    if (pending_ && !pending_->empty()) pump(now);
    if ((pending_ && !pending_->empty()) || !window_.open() || output_full()) {
        return keep(now, offer);
    }
    const uint64_t number = window_.next();
    if (!write_offer(offer, OutgoingWindow::packet_id(number))) {
        return drop(DropCause::TooLarge, AckKind::TooLarge, offer.shared_ticket);
    }
    fly(number, slot_of(offer.qos), offer.shared_ticket);
    return OfferResult::Sent;
}

// Requires: the window admits the number.
void Channel::fly(uint64_t number, Slot slot, uint64_t ticket) {
    window_.take(number, slot, ticket);
    ++context_.counters.in_flight;
    if (slot != Slot::AwaitPuback) host_.answer_awaited();
}

bool Channel::output_full() const {
    return host_.output_bytes() > context_.limits.max_output_bytes;
}

// Encodes one PUBLISH into the output; false, and nothing written, when the client does not take
// packets of this size. Gives it an alias when the client takes aliases.
bool Channel::write(mqtt::PublishFields& fields) {
    TopicAliasesOut::Choice choice;
    const std::string_view topic = fields.topic;
    if (client_alias_max_ != 0) {
        if (!aliases_out_) aliases_out_ = std::make_unique<TopicAliasesOut>(client_alias_max_);
        choice = aliases_out_->choose(topic);
        fields.topic_alias = choice.alias;
        if (choice.known) fields.topic = {};
    }
    const mqtt::PublishSize size = mqtt::publish_size(version_, fields);
    if (size.total == 0 || size.total > client_packet_max_) return false;
    mqtt::write_publish(host_.prepare(size.total), version_, fields, size);
    host_.commit(size.total);
    if (aliases_out_) aliases_out_->sent(choice, topic);
    ++context_.counters.packets_out[static_cast<std::size_t>(PacketType::Publish)];
    ++context_.counters.publish_out[static_cast<std::size_t>(fields.qos)];
    return true;
}

// As write(), by copying what another receiver's offer has encoded where that is the same packet.
bool Channel::write_offer(const Offer& offer, PacketId id) {
    const bool same_for_all = version_ != ProtocolVersion::V5 ||
                              (offer.subscription_ids.empty() && client_alias_max_ == 0);
    if (offer.cache == nullptr || !same_for_all) {
        mqtt::PublishFields fields = fields_of(*offer.message);
        fields.qos = offer.qos;
        fields.retain = offer.retain;
        fields.packet_id = id;
        fields.subscription_ids = offer.subscription_ids;
        return write(fields);
    }
    const EncodedPublish encoded = offer.cache->get(version_, offer.qos, offer.retain);
    const std::size_t size = encoded.bytes.size();
    if (size == 0 || size > client_packet_max_) return false;
    std::byte* const out = host_.prepare(size);
    std::memcpy(out, encoded.bytes.data(), size);
    if (encoded.packet_id_offset != 0) mqtt::patch_packet_id(out + encoded.packet_id_offset, id);
    host_.commit(size);
    ++context_.counters.packets_out[static_cast<std::size_t>(PacketType::Publish)];
    ++context_.counters.publish_out[static_cast<std::size_t>(offer.qos)];
    return true;
}

OfferResult Channel::drop(DropCause cause, AckKind kind, uint64_t ticket) {
    ++context_.counters.dropped[static_cast<std::size_t>(cause)];
    if (ticket != 0) host_.acknowledge(MessageNumber(), kind, ticket);
    return OfferResult::Dropped;
}

OfferResult Channel::keep(LoopTime now, const Offer& offer) {
    const ChannelLimits& limits = context_.limits;
    const std::size_t cost = PendingQueue::cost(offer);
    if (!pending_) pending_ = std::make_unique<PendingQueue>();
    while (true) {
        const bool count_full = pending_->size() >= limits.max_queued_messages;
        const bool bytes_full = pending_->bytes() + cost > limits.max_queued_bytes;
        if (!count_full && !bytes_full) break;
        const DropCause cause = count_full ? DropCause::QueueMessages : DropCause::QueueBytes;
        if (limits.queue_full == QueueFull::Disconnect) {
            drop(cause, AckKind::Dropped, offer.shared_ticket);
            disconnect(ReasonCode::QuotaExceeded, "the queue of the session is full");
            return OfferResult::Dropped;
        }
        if (limits.queue_full == QueueFull::DropNewest || pending_->empty()) {
            return drop(cause, AckKind::Dropped, offer.shared_ticket);
        }
        PendingQueue::Entry oldest;
        pending_->front(oldest);
        const uint64_t ticket = oldest.ticket;
        pending_->pop();
        drop(cause, AckKind::Dropped, ticket);
    }
    pending_->push(now, offer);
    if (output_full()) host_.await_drain();
    return OfferResult::Queued;
}

// Sends what waits, as far as window and output allow. Requires: an expiry-0 session.
void Channel::pump(LoopTime now) {
    PendingQueue::Entry entry;
    while (pending_ && !pending_->empty() && window_.open() && !output_full()) {
        pending_->front(entry);
        entry.message.message_expiry_s = entry.expiry_s;
        if (entry.expiry_s) {  // [MQTT-3.3.2-5] [MQTT-3.3.2-6]
            const auto waited = std::chrono::duration_cast<std::chrono::seconds>(
                std::max(LoopTime(0), now - entry.taken_at));
            if (waited.count() >= int64_t{*entry.expiry_s}) {
                drop(DropCause::Expired, AckKind::Dropped, entry.ticket);
                pending_->pop();
                continue;
            }
            entry.message.message_expiry_s =
                *entry.expiry_s - static_cast<uint32_t>(waited.count());
        }
        mqtt::PublishFields fields = fields_of(entry.message);
        fields.packet_id = OutgoingWindow::packet_id(window_.next());
        fields.subscription_ids = entry.subscription_ids;
        if (write(fields)) {
            fly(window_.next(), slot_of(fields.qos), entry.ticket);
        } else {
            drop(DropCause::TooLarge, AckKind::TooLarge, entry.ticket);
        }
        pending_->pop();
    }
    if (pending_ && !pending_->empty() && window_.open()) host_.await_drain();
}

// The shared groups get to know what became of their messages. Of a durable session the shard
// knows.
void Channel::return_shared() {
    if (durable_) return;
    for (uint64_t number = window_.first(); number < window_.next(); ++number) {
        const uint64_t ticket = window_.ticket(number);
        const Slot slot = window_.slot(number);
        if (ticket == 0 || slot == Slot::Settled) continue;
        host_.acknowledge(MessageNumber(number),
                          slot == Slot::AwaitPuback ? AckKind::UnackedQos1 : AckKind::UnackedQos2,
                          ticket);
    }
    PendingQueue::Entry entry;
    while (pending_ && !pending_->empty()) {
        pending_->front(entry);
        const uint64_t ticket = entry.ticket;
        pending_->pop();
        if (ticket != 0) host_.acknowledge(MessageNumber(), AckKind::Unsent, ticket);
    }
}

}  // namespace quorate::broker
