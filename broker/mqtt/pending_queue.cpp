#include "broker/mqtt/pending_queue.h"

#include <algorithm>
#include <utility>

#include "broker/mqtt/channel.h"
#include "proto/base/assert.h"

namespace quorate::broker {
namespace {

// Record: u32 size of what follows | u8 flags | [u64 ticket] | [u64 taken at, u32 expiry] |
// [u16 count, u32 each] | encoded message, unless it is shared.
constexpr uint8_t kQosBits = 0x03;
constexpr uint8_t kRetain = 0x04;
constexpr uint8_t kShared = 0x08;
constexpr uint8_t kTicket = 0x10;
constexpr uint8_t kExpiry = 0x20;
constexpr uint8_t kSubscriptionIds = 0x40;

constexpr std::size_t kIdsMost = 0xFFFF;

std::size_t ids_of(const Offer& offer) {
    return std::min(offer.subscription_ids.size(), kIdsMost);
}

uint8_t flags_of(const Offer& offer) {
    unsigned flags = static_cast<unsigned>(offer.qos);
    if (offer.retain) flags |= kRetain;
    if (offer.shared != nullptr) flags |= kShared;
    if (offer.shared_ticket != 0) flags |= kTicket;
    if (offer.message->message_expiry_s) flags |= kExpiry;
    if (!offer.subscription_ids.empty()) flags |= kSubscriptionIds;
    return static_cast<uint8_t>(flags);
}

std::size_t head_size(const Offer& offer) {
    const uint8_t flags = flags_of(offer);
    return 5U + ((flags & kTicket) != 0 ? 8U : 0U) + ((flags & kExpiry) != 0 ? 12U : 0U) +
           ((flags & kSubscriptionIds) != 0 ? 2U + 4U * ids_of(offer) : 0U);
}

}  // namespace

std::size_t PendingQueue::cost(const Offer& offer) {
    return head_size(offer) + (offer.shared != nullptr
                                   ? offer.shared->size() + sizeof(SharedBytes)
                                   : mqtt::encoded_message_size(*offer.message));
}

void PendingQueue::push(LoopTime now, const Offer& offer) {
    const std::size_t in_chunk =
        head_size(offer) +
        (offer.shared != nullptr ? 0 : mqtt::encoded_message_size(*offer.message));
    if (chunks_.empty() || chunks_.back().size() + in_chunk > kChunkBytes) {
        chunks_.push_back(std::exchange(spare_, std::string()));
        chunks_.back().reserve(std::max(kChunkBytes, in_chunk));
    }
    RecordWriter writer(chunks_.back());
    const uint8_t flags = flags_of(offer);
    writer.u32(static_cast<uint32_t>(in_chunk - 4));
    writer.u8(flags);
    if ((flags & kTicket) != 0) writer.u64(offer.shared_ticket);
    if ((flags & kExpiry) != 0) {
        writer.u64(static_cast<uint64_t>(now.count()));
        writer.u32(*offer.message->message_expiry_s);
    }
    if ((flags & kSubscriptionIds) != 0) {
        writer.u16(static_cast<uint16_t>(ids_of(offer)));
        for (const uint32_t id : offer.subscription_ids.first(ids_of(offer))) {
            writer.u32(id);
        }
    }
    if (offer.shared != nullptr) {
        shared_.push_back(*offer.shared);
    } else {
        mqtt::encode_message(chunks_.back(), *offer.message);
    }
    ++count_;
    bytes_ += cost(offer);
}

void PendingQueue::front(Entry& out) const {
    ASSERT(count_ != 0, "front() of an empty queue");
    RecordReader chunk(std::string_view(chunks_.front()).substr(head_));
    RecordReader record(chunk.text());
    const uint8_t flags = record.u8();
    out.ticket = (flags & kTicket) != 0 ? record.u64() : 0;
    out.expiry_s.reset();
    out.taken_at = {};
    if ((flags & kExpiry) != 0) {
        out.taken_at = LoopTime(static_cast<LoopTime::rep>(record.u64()));
        out.expiry_s = record.u32();
    }
    out.subscription_ids.clear();
    if ((flags & kSubscriptionIds) != 0) {
        for (uint16_t left = record.u16(); left > 0; --left) {
            out.subscription_ids.push_back(record.u32());
        }
    }
    const auto message =
        mqtt::decode_message((flags & kShared) != 0 ? shared_.front().text() : record.rest());
    ASSERT(message.has_value(), "a record that was written here reads back");
    out.message = *message;
    out.message.qos = static_cast<mqtt::QoS>(flags & kQosBits);
    out.message.retain = (flags & kRetain) != 0;
}

void PendingQueue::pop() {
    ASSERT(count_ != 0, "pop() of an empty queue");
    RecordReader chunk(std::string_view(chunks_.front()).substr(head_));
    const std::string_view record = chunk.text();
    bytes_ -= record.size() + 4;
    if ((static_cast<uint8_t>(record.front()) & kShared) != 0) {
        bytes_ -= shared_.front().size() + sizeof(SharedBytes);
        shared_.pop_front();
    }
    head_ += record.size() + 4;
    --count_;
    if (head_ < chunks_.front().size()) return;
    if (chunks_.front().capacity() <= 2 * kChunkBytes) {
        spare_ = std::move(chunks_.front());
        spare_.clear();
    }
    chunks_.pop_front();
    head_ = 0;
}

std::size_t PendingQueue::heap_bytes() const {
    std::size_t sum = spare_.capacity() + shared_.size() * sizeof(SharedBytes);
    for (const std::string& chunk : chunks_) {
        sum += chunk.capacity();
    }
    return sum;
}

}  // namespace quorate::broker
