#include "proto/mqtt/message.h"

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
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
    RecordReader reader(in);
    if (reader.u8() != kFormat) return std::nullopt;
    const uint8_t flags = reader.u8();
    const uint8_t qos = flags & kQosBits;
    if (qos > 2 || (flags & ~(kQosBits | kRetainBit | kExpiryBit)) != 0) return std::nullopt;
    const uint16_t topic_bytes = reader.u16();
    const uint32_t forward_bytes = reader.u32();
    const uint32_t payload_bytes = reader.u32();
    const uint32_t expiry = reader.u32();
    MessageView message;
    message.qos = static_cast<QoS>(qos);
    message.retain = (flags & kRetainBit) != 0;
    if ((flags & kExpiryBit) != 0) {
        message.message_expiry_s = expiry;
    } else if (expiry != 0) {
        return std::nullopt;
    }
    message.publisher = reader.u64();
    message.topic = reader.raw(topic_bytes);
    message.forward = reader.raw(forward_bytes);
    message.payload = reader.raw(payload_bytes);
    if (!reader.finished()) return std::nullopt;
    return message;
}

}  // namespace quorate::mqtt
