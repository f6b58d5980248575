// One message for many receivers, encoded once per protocol family, QoS and retain flag.
//
// *Thread*: the loop's. *Owner*: the front-end, one per loop; it calls begin() for each message
// that it hands to more than one channel and passes the cache along in `Offer`. Its buffers are
// kept, so in steady state nothing is allocated. *Errors*: none. *Spec*: MQTT 5 §3.3.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "proto/base/bytes.h"
#include "proto/mqtt/message.h"
#include "proto/mqtt/types.h"

namespace quorate::broker {

// A whole PUBLISH without alias, Subscription Identifier and DUP; with the expiry that remains at
// begin(). Empty when it is too large for any packet. For QoS 1 and 2 the two
// bytes at `packet_id_offset` are the receiver's to fill in; it is 0 for QoS 0.
struct EncodedPublish {
    ByteView bytes;
    uint32_t packet_id_offset = 0;
};

class EncodedPublishCache {
  public:
    // Forgets what was encoded. The views in `message` must live until the last get() for it.
    void begin(const mqtt::MessageView& message);

    // Requires: begin(). Valid until the next begin().
    [[nodiscard]] EncodedPublish get(mqtt::ProtocolVersion version, mqtt::QoS qos, bool retain);

  private:
    struct Slot {
        std::string bytes;
        uint32_t packet_id_offset = 0;
        uint64_t round = 0;  // of begin() that it was encoded in
    };
    // Buffers above this are given back by begin() rather than kept for ever.
    static constexpr std::size_t kKeepBytes = 64 << 10;

    std::array<Slot, 12> slots_;  // v3 and v5, QoS 0 to 2, retain 0 and 1
    const mqtt::MessageView* message_ = nullptr;
    uint64_t round_ = 0;
};

}  // namespace quorate::broker
