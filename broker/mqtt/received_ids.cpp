#include "broker/mqtt/received_ids.h"

#include <utility>

#include "proto/base/assert.h"

namespace quorate::broker {

bool ReceivedIds::insert(PacketId id) {
    ASSERT(id.value() != 0, "0 is no Packet Identifier");
    if ((size_ + 1) * 2 > capacity_) grow();
    const uint32_t at = place(id.value());
    if (places_[at] != 0) return false;
    places_[at] = id.value();
    ++size_;
    return true;
}

bool ReceivedIds::erase(PacketId id) {
    if (!contains(id)) return false;
    uint32_t hole = place(id.value());
    places_[hole] = 0;
    --size_;
    // Close the gap: whoever stands behind it in the same run and would be found sooner moves up.
    for (uint32_t at = (hole + 1) & (capacity_ - 1); places_[at] != 0;
         at = (at + 1) & (capacity_ - 1)) {
        const uint32_t from_home = (at - home(places_[at])) & (capacity_ - 1);
        const uint32_t from_hole = (at - hole) & (capacity_ - 1);
        if (from_home >= from_hole) {
            places_[hole] = std::exchange(places_[at], uint16_t{0});
            hole = at;
        }
    }
    return true;
}

bool ReceivedIds::contains(PacketId id) const {
    return size_ != 0 && id.value() != 0 && places_[place(id.value())] != 0;
}

uint32_t ReceivedIds::place(uint16_t id) const {
    uint32_t at = home(id);
    while (places_[at] != 0 && places_[at] != id) {
        at = (at + 1) & (capacity_ - 1);
    }
    return at;
}

void ReceivedIds::grow() {
    const std::unique_ptr<uint16_t[]> old = std::move(places_);
    const uint32_t old_capacity = capacity_;
    capacity_ = old_capacity == 0 ? 16 : old_capacity * 2;
    places_ = std::make_unique<uint16_t[]>(capacity_);
    for (uint32_t i = 0; i < old_capacity; ++i) {
        if (old[i] != 0) places_[place(old[i])] = old[i];
    }
}

}  // namespace quorate::broker
