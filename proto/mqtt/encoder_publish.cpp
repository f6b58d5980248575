// What is written once for each delivered message: PUBLISH and the short acknowledgements.
#include "proto/base/assert.h"
#include "proto/mqtt/encoder.h"
#include "proto/mqtt/wire.h"

namespace quorate::mqtt {

PublishSize publish_size(ProtocolVersion version, const PublishFields& fields) {
    std::size_t properties = 0;
    std::size_t remaining = 2 + fields.topic.size() + fields.payload.size();
    if (fields.qos != QoS::AtMostOnce) remaining += 2;
    if (version == ProtocolVersion::V5) {
        properties = fields.forward.size();
        if (fields.message_expiry_s.has_value()) properties += 5;
        if (fields.topic_alias != 0) properties += 3;
        for (const uint32_t id : fields.subscription_ids)
            properties += 1 + variable_size(id);
        if (properties > kRemainingLengthMax) return {};
        remaining += variable_size(static_cast<uint32_t>(properties)) + properties;
    }
    if (remaining > kRemainingLengthMax || fields.topic.size() > UINT16_MAX) return {};
    const auto length = static_cast<uint32_t>(remaining);
    return {static_cast<uint32_t>(1 + variable_size(length)) + length, length,
            static_cast<uint32_t>(properties)};
}

std::size_t write_publish(std::byte* out, ProtocolVersion version, const PublishFields& fields,
                          PublishSize size) {
    DASSERT(size.total != 0, "publish_size() said that it is too large");
    WireWriter writer(out);
    const auto qos = static_cast<unsigned>(fields.qos);
    writer.u8(0x30U | (fields.dup ? 0x08U : 0U) | (qos << 1) | (fields.retain ? 0x01U : 0U));
    writer.variable(size.remaining);
    writer.text(fields.topic);
    std::size_t packet_id_at = 0;
    if (qos != 0) {
        packet_id_at = static_cast<std::size_t>(writer.at() - out);
        writer.u16(fields.packet_id.value());
    }
    if (version == ProtocolVersion::V5) {
        writer.variable(size.properties);
        if (fields.message_expiry_s.has_value()) {
            writer.u8(static_cast<uint8_t>(PropertyId::MessageExpiryInterval));
            writer.u32(*fields.message_expiry_s);
        }
        for (const uint32_t id : fields.subscription_ids) {
            writer.u8(static_cast<uint8_t>(PropertyId::SubscriptionIdentifier));
            writer.variable(id);
        }
        if (fields.topic_alias != 0) {
            writer.u8(static_cast<uint8_t>(PropertyId::TopicAlias));
            writer.u16(fields.topic_alias);
        }
        writer.raw(fields.forward);
    }
    writer.raw(fields.payload);
    DASSERT(static_cast<std::size_t>(writer.at() - out) == size.total, "publish_size() is wrong");
    return packet_id_at;
}

bool append_publish(std::string& out, ProtocolVersion version, const PublishFields& fields,
                    uint32_t packet_size_max) {
    const PublishSize size = publish_size(version, fields);
    if (size.total == 0 || size.total > packet_size_max) return false;
    const std::size_t start = out.size();
    out.resize(start + size.total);
    write_publish(reinterpret_cast<std::byte*>(out.data()) + start, version, fields, size);
    return true;
}

std::size_t write_ack(std::byte* out, ProtocolVersion version, PacketType type, PacketId id,
                      ReasonCode reason) {
    const bool with_reason = version == ProtocolVersion::V5 && reason != ReasonCode::Success;
    WireWriter writer(out);
    writer.u8((static_cast<unsigned>(type) << 4) | (type == PacketType::Pubrel ? 0x02U : 0U));
    writer.u8(with_reason ? 3 : 2);
    writer.u16(id.value());
    if (with_reason) writer.u8(number(reason));
    return with_reason ? 5 : 4;
}

}  // namespace quorate::mqtt
