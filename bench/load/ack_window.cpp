#include "bench/load/ack_window.h"

#include <algorithm>
#include <bit>

namespace quorate::bench {

AckWindow::AckWindow(std::uint8_t qos, std::uint32_t window)
    : qos_(qos),
      window_(window),
      mask_(std::bit_ceil(static_cast<std::size_t>(qos == 0 ? 0 : window) + 2) - 1),
      slots_(mask_ + 1) {}

bool AckWindow::has_room() const {
    return unacknowledged_ < window_ && slots_[slot_of(next_id_)].state == State::free;
}

std::uint16_t AckWindow::begin(std::uint64_t sequence, Nanos now) {
    const std::uint16_t packet_id = next_id_;
    next_id_ = packet_id == 65535 ? std::uint16_t{1} : static_cast<std::uint16_t>(packet_id + 1);
    slots_[slot_of(packet_id)] = Slot{sequence, now, packet_id, State::sent};
    ++unacknowledged_;
    return packet_id;
}

AckOutcome AckWindow::on_ack(PacketType type, const Ack& ack, Nanos now, Nanos& latency) {
    Slot& slot = slots_[slot_of(ack.packet_id)];
    if (slot.state == State::free || slot.packet_id != ack.packet_id) return AckOutcome::stray;
    const bool refused = ack.reason >= 0x80;
    if (type == PacketType::pubrec && qos_ == 2 && slot.state == State::sent && !refused) {
        slot.state = State::released;
        return AckOutcome::release;
    }
    const bool ends = (type == PacketType::puback && qos_ == 1) ||
                      (type == PacketType::pubrec && qos_ == 2 && slot.state == State::sent) ||
                      (type == PacketType::pubcomp && slot.state == State::released);
    if (!ends) return AckOutcome::stray;
    latency = now - slot.sent;
    slot.state = State::free;
    --unacknowledged_;
    return refused ? AckOutcome::refused : AckOutcome::done;
}

std::uint64_t AckWindow::lowest_unacknowledged(std::uint64_t next) const {
    std::uint64_t lowest = next;
    for (const Slot& slot : slots_) {
        // What is released has been taken over by the broker.
        if (slot.state == State::sent) lowest = std::min(lowest, slot.sequence);
    }
    return lowest;
}

}  // namespace quorate::bench
