// The unacknowledged QoS 1 and 2 messages of one publishing connection: hands out packet
// identifiers, takes PUBACK, PUBREC and PUBCOMP, and measures how long they took.
//
// Thread: one. Owner: who publishes over the connection.
// Errors: an acknowledgement that fits nothing sent is the outcome `stray`, a finding about the
// broker. Spec: MQTT 5 §4.3.2, §4.3.3 (QoS 1 and 2 delivery), §2.2.1 (Packet Identifier).
//
//     QoS 1:  sent --PUBACK--> done          QoS 2:  sent --PUBREC--> released --PUBCOMP--> done
#pragma once

#include <cstdint>
#include <vector>

#include "bench/load/client/payload.h"
#include "bench/load/client/wire.h"

namespace quorate::bench {

enum class AckOutcome : std::uint8_t {
    done,     // acknowledged; a place is free
    release,  // PUBREC: send PUBREL
    refused,  // done, but with a Reason Code of 0x80 or above: nobody is owed this message
    stray,
};

class AckWindow {
  public:
    AckWindow(std::uint8_t qos, std::uint32_t window);

    // Also false when the identifier next in turn is still in use.
    [[nodiscard]] bool has_room() const;
    // Requires: has_room(). Returns the packet identifier.
    std::uint16_t begin(std::uint64_t sequence, Nanos now);
    // `latency` is set for done and refused.
    AckOutcome on_ack(PacketType type, const Ack& ack, Nanos now, Nanos& latency);

    [[nodiscard]] std::uint32_t unacknowledged() const { return unacknowledged_; }
    // The lowest number sent and not acknowledged, or `next` when there is none.
    [[nodiscard]] std::uint64_t lowest_unacknowledged(std::uint64_t next) const;

  private:
    enum class State : std::uint8_t { free, sent, released };
    struct Slot {
        std::uint64_t sequence = 0;
        Nanos sent{0};
        std::uint16_t packet_id = 0;
        State state = State::free;
    };

    [[nodiscard]] std::size_t slot_of(std::uint16_t packet_id) const { return packet_id & mask_; }

    std::uint8_t qos_;
    std::uint32_t window_;
    std::uint32_t unacknowledged_ = 0;
    std::uint16_t next_id_ = 1;
    std::size_t mask_;
    std::vector<Slot>
        slots_;  // a power of two above the window, so that neighbours never share one
};

}  // namespace quorate::bench
