// What a channel may and may not do (`ChannelLimits`, from the options under `mqtt:`), what it
// counted
// (`ChannelCounters`), and the pair of them that all channels of one loop share (`ChannelContext`).
//
// Thread: the loop's. Owner: the front-end of the loop; it outlives every channel made with it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "proto/mqtt/decoder.h"
#include "proto/mqtt/packets.h"
#include "proto/mqtt/types.h"

namespace quorate::broker {

// Monotonic time of the loop, from any origin. A channel never asks for it: events bring it along.
using LoopTime = std::chrono::milliseconds;

// A Session Expiry Interval or its bound that means "never" (MQTT 5 §3.1.2.11.2).
inline constexpr uint32_t kExpiryNever = 0xFFFFFFFF;

// What happens to a message of QoS 1 or 2 for which the pending queue of an expiry-0 session has no
// room. Every drop is counted.
enum class QueueFull : uint8_t {
    DropOldest,  // the front of the queue makes room
    DropNewest,  // the message that came is dropped
    Disconnect,  // the client is told 0x97 and the connection closed
};

struct ChannelLimits {
    uint32_t max_packet_size = 1 << 20;    // bytes of any packet after CONNECT
    uint32_t max_connect_size = 64 << 10;  // bytes of CONNECT
    // Topics, client id, user properties, filters per packet, aliases a client may use. Its check
    // of the payload format ends the connection; `validate_payload_format` refuses the one message.
    mqtt::DecodeLimits decode = [] {
        mqtt::DecodeLimits limits;
        limits.check_payload_format = false;
        return limits;
    }();
    mqtt::QoS max_qos = mqtt::QoS::ExactlyOnce;
    bool retain_available = true;
    bool wildcard_available = true;
    bool shared_available = true;
    bool subscription_ids_available = true;
    bool validate_payload_format = false;   // check UTF-8 where Payload Format Indicator is 1: 0x99
    uint16_t receive_maximum = 1024;        // QoS 1 and 2 a client may have unanswered
    uint16_t max_inflight_out = 32;         // the same towards a client, at most its own maximum
    uint16_t topic_alias_maximum_out = 32;  // aliases used towards a client, at most its maximum
    std::chrono::seconds max_keep_alive = std::chrono::hours(1);  // 0: any, also none
    uint32_t session_expiry_max = 7 * 24 * 3600;                  // seconds; kExpiryNever: no bound
    LoopTime connect_timeout = std::chrono::seconds(10);          // accept to whole CONNECT
    std::chrono::seconds let_go_timeout =
        std::chrono::seconds(2);              // waiting for what was sent
    uint16_t max_pending_subscribes = 16;     // unanswered ones; more wait unread
    uint32_t max_queued_messages = 10000;     // pending queue of an expiry-0 session
    uint64_t max_queued_bytes = 64ULL << 20;  // the same in bytes
    QueueFull queue_full = QueueFull::DropOldest;
    uint64_t max_output_bytes = 1 << 20;       // above: QoS 0 dropped, QoS 1 and 2 kept pending
    uint32_t max_look_ahead_bytes = 64 << 10;  // read past a PUBLISH that has to wait
    std::string response_topic_prefix;         // Response Information; empty: none is given
    std::vector<std::string> auth_methods;     // of enhanced authentication; others get 0x8C
};

// Why a message was not sent to this client, or an answer never will be.
enum class DropCause : uint8_t {
    QueueMessages,  // the pending queue was full by count
    QueueBytes,     // the pending queue was full by bytes
    Output,         // QoS 0 while more than max_output_bytes wait to be written
    Expired,        // its Message Expiry Interval passed while it was pending
    TooLarge,       // larger than the client's Maximum Packet Size [MQTT-3.1.2-25]
    NotConnected,   // the connection is ending
};
inline constexpr std::size_t kDropCauses = 6;

// Plain numbers that only rise; the front-end adds them to the metrics from its own thread.
struct ChannelCounters {
    std::array<uint64_t, 16> packets_in{};   // by packet type
    std::array<uint64_t, 16> packets_out{};  // by packet type
    std::array<uint64_t, 3> publish_in{};    // by QoS, accepted from clients
    std::array<uint64_t, 3> publish_out{};   // by QoS, written to clients
    std::array<uint64_t, kDropCauses> dropped{};
    uint64_t in_flight = 0;           // QoS 1 and 2 out to clients now: the one that falls as well
    uint64_t redeliveries = 0;        // PUBLISH written with DUP 1
    uint64_t unknown_acks = 0;        // acknowledgements with a Packet Identifier not in use
    uint64_t repeated_publishes = 0;  // QoS 2 with a Packet Identifier not yet released
    uint64_t paused = 0;              // times reading stopped at a packet that has to wait
};

// What the channels of one loop share. `limits` may be replaced while they live; a connection keeps
// what it was told in CONNACK.
struct ChannelContext {
    ChannelLimits limits;
    ChannelCounters counters;
    // Scratch of one event, never read after it: kept here so that hot paths allocate nothing.
    std::string scratch;
    mqtt::Subscribe subscribe;
    mqtt::Unsubscribe unsubscribe;
};

}  // namespace quorate::broker
