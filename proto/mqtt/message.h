// An Application Message inside the broker, free of protocol versions, aliases and packet ids, and
// its one flat encoding for logs, queues and mailboxes.
//
// Encoding, integers little-endian:
//   u8 version (1) | u8 flags | u16 topic | u32 forward | u32 payload | u32 expiry | u64 publisher
//   topic bytes | forward bytes | payload bytes
// flags: bits 0-1 QoS, bit 2 retain, bit 3 "expiry is set". Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/mqtt/types.h"

namespace quorate::mqtt {

struct PublishView;

// Views into bytes owned by someone else; lives as long as they do.
struct MessageView {
    std::string_view topic;
    std::string_view payload;
    std::string_view forward;  // property bytes, see PublishView::forward
    std::optional<uint32_t> message_expiry_s;
    QoS qos = QoS::AtMostOnce;
    bool retain = false;
    uint64_t publisher = 0;  // hash64 of the publisher's Client Identifier, for No Local

    bool operator==(const MessageView&) const = default;
};

// The same with its own bytes.
struct Message {
    std::string topic;
    std::string payload;
    std::string forward;
    std::optional<uint32_t> message_expiry_s;
    QoS qos = QoS::AtMostOnce;
    bool retain = false;
    uint64_t publisher = 0;

    Message() = default;
    explicit Message(const MessageView& view);
    [[nodiscard]] MessageView view() const;
    bool operator==(const Message&) const = default;
};

// The message of a PUBLISH whose topic is known (alias resolved).
[[nodiscard]] MessageView message_of(const PublishView& publish, std::string_view topic,
                                     uint64_t publisher);

[[nodiscard]] std::size_t encoded_message_size(const MessageView& message);
// Appends. Requires: topic <= 65,535 bytes, forward and payload <= 268,435,455 bytes.
void encode_message(std::string& out, const MessageView& message);
// Reads exactly one message; nothing for any other bytes. Views point into `in`.
[[nodiscard]] std::optional<MessageView> decode_message(std::string_view in);

}  // namespace quorate::mqtt
