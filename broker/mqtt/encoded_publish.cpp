#include "broker/mqtt/encoded_publish.h"

#include "proto/base/assert.h"
#include "proto/mqtt/encoder.h"

namespace quorate::broker {

void EncodedPublishCache::begin(const mqtt::MessageView& message) {
    message_ = &message;
    ++round_;
    for (Slot& slot : slots_) {
        if (slot.bytes.capacity() > kKeepBytes) slot.bytes = std::string();
    }
}

EncodedPublish EncodedPublishCache::get(mqtt::ProtocolVersion version, mqtt::QoS qos, bool retain) {
    ASSERT(message_ != nullptr, "begin() comes first");
    const bool v5 = version == mqtt::ProtocolVersion::V5;
    const std::size_t index = static_cast<std::size_t>(qos) + (retain ? 3U : 0U) + (v5 ? 6U : 0U);
    Slot& slot = slots_[index];
    if (slot.round != round_) {
        mqtt::PublishFields fields;
        fields.topic = message_->topic;
        fields.payload = message_->payload;
        fields.forward = message_->forward;
        fields.qos = qos;
        fields.retain = retain;
        fields.message_expiry_s = message_->message_expiry_s;
        const mqtt::PublishSize size = mqtt::publish_size(version, fields);
        slot.round = round_;
        slot.bytes.resize(size.total);
        slot.packet_id_offset = 0;
        if (size.total != 0) {
            slot.packet_id_offset = static_cast<uint32_t>(mqtt::write_publish(
                reinterpret_cast<std::byte*>(slot.bytes.data()), version, fields, size));
        }
    }
    return {as_bytes(slot.bytes), slot.packet_id_offset};
}

}  // namespace quorate::broker
