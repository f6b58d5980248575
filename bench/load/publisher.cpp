#include "bench/load/publisher.h"

#include <algorithm>
#include <bit>

namespace quorate::bench {
namespace {

// A publisher whose socket holds so much waits for it to empty; a single longer message may exceed
// it.
constexpr std::size_t kUnsentBytesMax = 256 * 1024;

}  // namespace

Receipts::Receipts(std::uint32_t receivers, std::uint32_t limit, bool any_one)
    : receivers_(receivers), limit_(limit), any_one_(any_one) {
    if (limit_ == 0 || any_one_ || receivers_ <= 1) return;
    waiting_.resize(std::bit_ceil(static_cast<std::size_t>(limit_) + 1));
    mask_ = waiting_.size() - 1;
}

bool Receipts::has_room(std::uint64_t next) const {
    return limit_ == 0 || next - head_ < limit_;
}

void Receipts::on_sent(std::uint64_t sequence) {
    if (!waiting_.empty()) waiting_[sequence & mask_] = receivers_;
}

void Receipts::on_received(std::uint64_t from, std::uint64_t to) {
    if (waiting_.empty()) {
        head_ = std::max(head_, to + 1);
        return;
    }
    for (std::uint64_t at = std::max(from, head_); at <= to; ++at)
        --waiting_[at & mask_];
    while (head_ <= to && waiting_[head_ & mask_] == 0)
        ++head_;
}

void Receipts::on_received_by_any(std::uint64_t next) {
    head_ = std::min(head_ + 1, next);
}

Publisher::Publisher(const Options& options, Plan plan)
    : acks(options.qos, options.window),
      receipts(plan.receivers, options.end_to_end, plan.any_one),
      id_(plan.id),
      topic_(std::move(plan.topic)),
      qos_(options.qos),
      template_(make_publish({options.version, topic_, options.qos, false, options.payload_bytes})),
      stamper_(options.run_id, std::span(template_.bytes).subspan(template_.payload_offset)),
      window_(options.window) {}

void Publisher::attach(Connection& connection, std::uint16_t receive_maximum) {
    connection_ = &connection;
    window_ = std::min<std::uint32_t>(window_, receive_maximum);
    acks = AckWindow(qos_, window_);
}

std::uint32_t Publisher::publish(std::uint32_t count, Nanos now) {
    if (!connected()) return 0;
    Bytes& out = connection_->output();
    std::uint32_t done = 0;
    held_by_socket_ = false;
    while (done < count && receipts.has_room(next_) && (qos_ == 0 || acks.has_room())) {
        const std::size_t unsent = connection_->unsent();
        if (unsent > 0 && unsent + template_.bytes.size() > kUnsentBytesMax) {
            held_by_socket_ = true;
            break;
        }
        const std::size_t at = out.size();
        out.insert(out.end(), template_.bytes.begin(), template_.bytes.end());
        std::uint8_t* packet = out.data() + at;
        stamper_.stamp(packet + template_.payload_offset, Stamp{id_, next_, now});
        if (qos_ > 0) {
            const std::uint16_t packet_id = acks.begin(next_, now);
            packet[template_.packet_id_offset] = static_cast<std::uint8_t>(packet_id >> 8U);
            packet[template_.packet_id_offset + 1] = static_cast<std::uint8_t>(packet_id & 0xFFU);
        }
        receipts.on_sent(next_);
        ++next_;
        ++done;
    }
    return done;
}

std::uint64_t Publisher::owed() const {
    if (connected()) return next_;
    return qos_ == 0 ? 0 : acks.lowest_unacknowledged(next_);
}

}  // namespace quorate::bench
