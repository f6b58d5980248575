#include "broker/mqtt/flow_control.h"

#include <algorithm>

#include "proto/base/assert.h"

namespace quorate::broker {
namespace {

constexpr uint32_t kFirstCapacity = 8;
constexpr uint32_t kTicketMask = 0x7FFFFFFF;  // the caller keeps the top bit for itself

}  // namespace

void OutgoingWindow::reset(uint64_t first, uint16_t limit) {
    ASSERT(first > 0 && limit > 0, "a window has a beginning and room");
    *this = OutgoingWindow();
    first_ = first;
    next_ = first;
    limit_ = limit;
}

bool OutgoingWindow::take(uint64_t number, Slot slot, uint64_t ticket) {
    if (!admits(number)) return false;
    if (in_flight_ == 0) {  // all before `number` is settled, and the window begins there
        first_ = number;
        next_ = number;
    }
    grow(number - first_ + 1);
    while (next_ < number) {
        slots_[next_ & mask_] = Slot::Settled;
        ++next_;
    }
    next_ = number + 1;
    slots_[number & mask_] = slot;
    if (ticket != 0 && !tickets_) tickets_ = std::make_unique<uint64_t[]>(mask_ + 1U);
    if (tickets_) tickets_[number & mask_] = ticket;
    if (slot == Slot::Settled) {
        if (in_flight_ == 0) first_ = next_;
        return true;
    }
    ++in_flight_;
    return true;
}

std::optional<uint64_t> OutgoingWindow::find(PacketId packet_id) const {
    if (packet_id.value() == 0 || in_flight_ == 0) return std::nullopt;
    const uint64_t wanted = packet_id.value() - 1U;
    const uint64_t number = first_ + (wanted + 65535 - first_ % 65535) % 65535;
    if (number >= next_ || slot(number) == Slot::Settled) return std::nullopt;
    return number;
}

void OutgoingWindow::settle(uint64_t number) {
    slots_[number & mask_] = Slot::Settled;
    --in_flight_;
    if (in_flight_ == 0) {
        first_ = next_;
        return;
    }
    while (slots_[first_ & mask_] == Slot::Settled) {
        ++first_;
    }
}

void OutgoingWindow::shrink() {
    if (in_flight_ != 0) return;
    slots_.reset();
    tickets_.reset();
    mask_ = 0;
}

std::size_t OutgoingWindow::heap_bytes() const {
    const std::size_t capacity = mask_ + std::size_t{1};
    return (slots_ ? capacity * sizeof(Slot) : 0) + (tickets_ ? capacity * sizeof(uint64_t) : 0);
}

void OutgoingWindow::grow(uint64_t span) {
    if (slots_ && span <= mask_ + uint64_t{1}) return;
    uint32_t capacity = slots_ ? mask_ + 1 : kFirstCapacity;
    while (capacity < span) {
        capacity *= 2;
    }
    auto slots = std::make_unique<Slot[]>(capacity);
    std::unique_ptr<uint64_t[]> tickets;
    if (tickets_) tickets = std::make_unique<uint64_t[]>(capacity);
    for (uint64_t number = first_; number < next_; ++number) {
        slots[number & (capacity - 1)] = slots_[number & mask_];
        if (tickets) tickets[number & (capacity - 1)] = tickets_[number & mask_];
    }
    slots_ = std::move(slots);
    tickets_ = std::move(tickets);
    mask_ = capacity - 1;
}

uint32_t AnswerQueue::next_ticket() const {
    return (first_ticket_ + size_) & kTicketMask;
}

uint32_t AnswerQueue::push(PacketId packet_id, bool repeat) {
    if (size_ == capacity_) grow();
    const uint32_t ticket = next_ticket();
    Answer& answer = at(size_);
    answer = Answer{.packet_id = packet_id, .ready = false, .repeat = repeat};
    ++size_;
    return ticket;
}

bool AnswerQueue::answer(uint32_t ticket, mqtt::ReasonCode reason) {
    const uint32_t offset = (ticket - first_ticket_) & kTicketMask;
    if (offset >= size_ || at(offset).ready) return false;
    at(offset).reason = reason;
    at(offset).ready = true;
    return true;
}

std::optional<AnswerQueue::Answer> AnswerQueue::take_ready() {
    if (size_ == 0 || !at(0).ready) return std::nullopt;
    const Answer oldest = at(0);
    head_ = (head_ + 1) & (capacity_ - 1);
    first_ticket_ = (first_ticket_ + 1) & kTicketMask;
    --size_;
    return oldest;
}

void AnswerQueue::refuse_repeats(PacketId packet_id, mqtt::ReasonCode reason) {
    for (uint32_t i = 0; i < size_; ++i) {
        Answer& answer = at(i);
        if (answer.repeat && answer.packet_id == packet_id) answer.reason = reason;
    }
}

void AnswerQueue::shrink() {
    if (size_ != 0) return;
    ring_.reset();
    capacity_ = 0;
    head_ = 0;
}

std::size_t AnswerQueue::heap_bytes() const {
    return capacity_ * sizeof(Answer);
}

void AnswerQueue::grow() {
    const uint32_t capacity = std::max(kFirstCapacity, capacity_ * 2);
    auto ring = std::make_unique<Answer[]>(capacity);
    for (uint32_t i = 0; i < size_; ++i) {
        ring[i] = at(i);
    }
    ring_ = std::move(ring);
    capacity_ = capacity;
    head_ = 0;
}

}  // namespace quorate::broker
