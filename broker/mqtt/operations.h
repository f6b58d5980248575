// Parts of a channel that most connections lack most of the time, shared by its sources alone.
// *Thread*: the loop's. *Owner*: Channel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/mqtt/channel.h"

namespace quorate::broker {

// From CONNECT to CONNACK; with enhanced authentication until the end.
struct Channel::Handshake {
    std::string connect;  // body of the packet while its verdict is awaited
    uint8_t flags = 0;    // of its fixed header
    std::string method;   // of enhanced authentication; empty: none
    std::string data;     // for CONNACK
};

// What the host was asked and has not answered. Bounded by max_pending_subscribes and by the
// Receive Maximum.
struct Channel::Operations {
    struct Operation {
        PacketId packet_id;
        mqtt::PacketType answer = mqtt::PacketType::Suback;
        std::vector<mqtt::ReasonCode> codes;  // one per filter; Success where the host decides
    };
    std::vector<Operation> waiting;
    uint32_t releases = 0;  // PUBREL of a durable session
};

}  // namespace quorate::broker
