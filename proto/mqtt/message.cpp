#include "proto/mqtt/message.h"

#include <cstring>

#include "proto/base/assert.h"
#include "proto/mqtt/packets.h"

namespace quorate::mqtt {
namespace {

constexpr uint8_t kFormat = 1;
constexpr std::size_t kHeaderBytes = 24;
constexpr uint8_t kQosBits = 0x03;
constexpr uint8_t kRetainBit = 0x04;
constexpr uint8_t kExpiryBit = 0x08;

template <typename Integer>
void store(char*& at, Integer value) {
    for (std::size_t i = 0; i < sizeof(Integer); ++i) {
        *at++ = static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
    }
}

template <typename Integer>
Integer fetch(const char* at) {
    uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(Integer); ++i) {
        value |= uint64_t{static_cast<uint8_t>(at[i])} << (8 * i);
    }
    return static_cast<Integer>(value);
}

void copy(char*& at, std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(at, bytes.data(), bytes.size());
    at += bytes.size();
}

}  // namespace

Message::Message(const MessageView& view)
    : topic(view.topic),
      payload(view.payload),
      forward(view.forward),
      message_expiry_s(view.message_expiry_s),
      qos(view.qos),
      retain(view.retain),
      publisher(view.publisher) {}

MessageView Message::view() const {
    return {topic, payload, forward, message_expiry_s, qos, retain, publisher};
}

MessageView message_of(const PublishView& publish, std::string_view topic, uint64_t publisher) {
    return {topic,       publish.payload, publish.forward, publish.message_expiry_s,
            publish.qos, publish.retain,  publisher};
}

std::size_t encoded_message_size(const MessageView& message) {
    return kHeaderBytes + message.topic.size() + message.forward.size() + message.payload.size();
}

void encode_message(std::string& out, const MessageView& message) {
    ASSERT(message.topic.size() <= UINT16_MAX, "a topic has at most 65,535 bytes");
    ASSERT(message.forward.size() <= kRemainingLengthMax, "properties larger than a packet");
    ASSERT(message.payload.size() <= kRemainingLengthMax, "a payload larger than a packet");
    char header[kHeaderBytes];
    char* at = header;
    const bool expires = message.message_expiry_s.has_value();
    store(at, kFormat);
    store(at, static_cast<uint8_t>(static_cast<uint8_t>(message.qos) |
                                   (message.retain ? kRetainBit : 0) | (expires ? kExpiryBit : 0)));
    store(at, static_cast<uint16_t>(message.topic.size()));
    store(at, static_cast<uint32_t>(message.forward.size()));
    store(at, static_cast<uint32_t>(message.payload.size()));
    store(at, message.message_expiry_s.value_or(0));
    store(at, message.publisher);
    const std::size_t start = out.size();
    out.resize(start + encoded_message_size(message));
    char* to = out.data() + start;
    copy(to, {header, kHeaderBytes});
    copy(to, message.topic);
    copy(to, message.forward);
    copy(to, message.payload);
}

std::optional<MessageView> decode_message(std::string_view in) {
    if (in.size() < kHeaderBytes || fetch<uint8_t>(in.data()) != kFormat) return std::nullopt;
    const auto flags = fetch<uint8_t>(in.data() + 1);
    const unsigned qos = flags & kQosBits;
    const bool expires = (flags & kExpiryBit) != 0;
    if (qos > 2 || (flags & ~(kQosBits | kRetainBit | kExpiryBit)) != 0) return std::nullopt;
    const std::size_t topic_bytes = fetch<uint16_t>(in.data() + 2);
    const std::size_t forward_bytes = fetch<uint32_t>(in.data() + 4);
    const std::size_t payload_bytes = fetch<uint32_t>(in.data() + 8);
    const auto expiry = fetch<uint32_t>(in.data() + 12);
    if (!expires && expiry != 0) return std::nullopt;
    if (in.size() - kHeaderBytes != topic_bytes + forward_bytes + payload_bytes) {
        return std::nullopt;
    }
    const char* const topic = in.data() + kHeaderBytes;
    const char* const forward = topic + topic_bytes;
    const char* const payload = forward + forward_bytes;
    return MessageView{
        {topic, topic_bytes},           {payload, payload_bytes},
        {forward, forward_bytes},       expires ? std::optional<uint32_t>(expiry) : std::nullopt,
        static_cast<QoS>(qos),          (flags & kRetainBit) != 0,
        fetch<uint64_t>(in.data() + 16)};
}

}  // namespace quorate::mqtt
