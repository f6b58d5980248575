// The two ends of flow control (MQTT 5 §4.9): the window of what is out to the client, and the
// answers that are owed to the client in the order of its PUBLISH packets.
//
// *Thread*: the loop's. *Owner*: Channel. *Errors*: an acknowledgement that fits no number yields
// none. *Memory*: nothing on the heap until first used; shrink() gives it back when empty.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "proto/base/ids.h"
#include "proto/mqtt/types.h"

namespace quorate::broker {

// The numbers [first, next) that may be unacknowledged, R-6. A number is in flight from open() to
// settle(); `first` passes over settled ones. Packet Identifier = 1 + (number mod 65,535), so with
// at most 65,535 numbers in the window an identifier names one number of it.
class OutgoingWindow {
  public:
    enum class Slot : uint8_t {
        Settled,       // acknowledged, or never sent
        AwaitPuback,   // QoS 1 was sent
        AwaitPubrec,   // QoS 2 was sent
        AwaitCommit,   // PUBREC came and is being committed
        AwaitPubcomp,  // PUBREL was sent
    };

    OutgoingWindow() = default;

    // Begins at `first` with room for `limit` numbers. Requires: first > 0, limit > 0.
    void reset(uint64_t first, uint16_t limit);

    [[nodiscard]] uint64_t first() const { return first_; }
    [[nodiscard]] uint64_t next() const { return next_; }
    [[nodiscard]] uint32_t credit() const { return static_cast<uint32_t>(first_ + limit_ - next_); }
    [[nodiscard]] bool open() const { return next_ < first_ + limit_; }
    [[nodiscard]] uint32_t in_flight() const { return in_flight_; }

    // Whether take() would succeed.
    [[nodiscard]] bool admits(uint64_t number) const {
        return number >= next_ && (in_flight_ == 0 || number - first_ < limit_);
    }
    // Takes `number` into the window; the numbers passed over count as settled, and so does this
    // one with Slot::Settled. False, and nothing changed, when it is below next() or beyond the
    // window.
    bool take(uint64_t number, Slot slot, uint64_t ticket);

    // The number that `packet_id` stands for, if that is in flight.
    [[nodiscard]] std::optional<uint64_t> find(PacketId packet_id) const;
    // Requires: first() <= number < next().
    [[nodiscard]] Slot slot(uint64_t number) const { return slots_[number & mask_]; }
    [[nodiscard]] uint64_t ticket(uint64_t number) const {
        return tickets_ ? tickets_[number & mask_] : 0;
    }
    // Requires: in flight. `slot` is not Settled.
    void advance(uint64_t number, Slot slot) { slots_[number & mask_] = slot; }
    // Requires: in flight.
    void settle(uint64_t number);

    [[nodiscard]] static PacketId packet_id(uint64_t number) {
        return PacketId(static_cast<uint16_t>(1 + number % 65535));
    }

    void shrink();
    [[nodiscard]] std::size_t heap_bytes() const;

  private:
    void grow(uint64_t span);

    uint64_t first_ = 1;
    uint64_t next_ = 1;
    std::unique_ptr<Slot[]> slots_;        // ring of mask_ + 1, indexed by number
    std::unique_ptr<uint64_t[]> tickets_;  // the same, made with the first ticket
    uint32_t mask_ = 0;
    uint16_t limit_ = 1;
    uint16_t in_flight_ = 0;
};

// Answers owed for PUBLISH packets of one QoS, in the order these came. A ticket of 31 bits names
// an entry. Bounded by its user: by the Receive Maximum.
class AnswerQueue {
  public:
    struct Answer {
        PacketId packet_id;
        mqtt::ReasonCode reason = mqtt::ReasonCode::Success;
        bool ready = false;
        bool repeat = false;  // QoS 2: the identifier was already taken; shares the first's fate
    };

    uint32_t push(PacketId packet_id, bool repeat);
    // The ticket that the next push() will give.
    [[nodiscard]] uint32_t next_ticket() const;
    // False when no such ticket is owed an answer.
    bool answer(uint32_t ticket, mqtt::ReasonCode reason);
    // The oldest, when it is ready.
    [[nodiscard]] std::optional<Answer> take_ready();
    // Repeats of `packet_id` that wait get the same refusal.
    void refuse_repeats(PacketId packet_id, mqtt::ReasonCode reason);

    [[nodiscard]] uint32_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    void shrink();
    [[nodiscard]] std::size_t heap_bytes() const;

  private:
    [[nodiscard]] Answer& at(uint32_t i) { return ring_[(head_ + i) & (capacity_ - 1)]; }
    void grow();

    std::unique_ptr<Answer[]> ring_;
    uint32_t head_ = 0;
    uint32_t size_ = 0;
    uint32_t capacity_ = 0;  // a power of two
    uint32_t first_ticket_ = 0;
};

}  // namespace quorate::broker
