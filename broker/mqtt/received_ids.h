// The Packet Identifiers of QoS 2 that a client has published and not yet released.
//
// Open addressing over 16-bit keys: 2 bytes a place, one probe as a rule. All 65,535 identifiers
// take 256 KiB.
// *Thread*: the loop's. *Owner*: Channel, which for version 5 bounds it by its Receive Maximum.
// *Errors*: none.
// *Spec*: MQTT 5 §4.3.3, [MQTT-4.3.3-10].
#pragma once

#include <cstdint>
#include <memory>

#include "proto/base/ids.h"

namespace quorate::broker {

class ReceivedIds {
  public:
    // False when it was in already. Requires: id is not 0.
    bool insert(PacketId id);
    // False when it was not in.
    bool erase(PacketId id);
    [[nodiscard]] bool contains(PacketId id) const;
    [[nodiscard]] uint32_t size() const { return size_; }
    [[nodiscard]] std::size_t heap_bytes() const { return capacity_ * sizeof(uint16_t); }

  private:
    [[nodiscard]] uint32_t home(uint16_t id) const { return (id * 40503U >> 4) & (capacity_ - 1); }
    // The place of `id`, or the free one where it would go.
    [[nodiscard]] uint32_t place(uint16_t id) const;
    void grow();

    std::unique_ptr<uint16_t[]> places_;  // 0: free
    uint32_t capacity_ = 0;               // a power of two, at most half full
    uint32_t size_ = 0;
};

}  // namespace quorate::broker
