// Frames, and the packets of the message flow: PUBLISH, its acknowledgements, PING.
#include "proto/mqtt/decoder.h"

#include <array>

#include "proto/mqtt/utf8.h"
#include "proto/mqtt/wire.h"

namespace quorate::mqtt {
namespace {

constexpr uint8_t kRetainFlag = 0x01;
constexpr uint8_t kDupFlag = 0x08;

FrameScan refused(DecodeResult error) {
    FrameScan scan;
    scan.state = FrameScan::State::Error;
    scan.error = error;
    return scan;
}

// What is wrong with the first byte of a packet, or nothing. MQTT 5 §2.1.3. Version 3.1 lets a
// client set DUP when it repeats PUBREL, SUBSCRIBE or UNSUBSCRIBE; later versions are held to 0 by
// `check_flags`, when the version is known.
const char* first_byte_error(uint8_t type, uint8_t flags) {
    constexpr std::array<uint8_t, 16> kFlags = {0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0};
    if (type == static_cast<uint8_t>(PacketType::Publish)) {
        if ((flags & 0x06U) == 0x06U) return "QoS 3";
        if ((flags & 0x0EU) == kDupFlag) return "DUP set at QoS 0";
        return nullptr;
    }
    if (type == 0) return "packet type 0";
    const uint8_t wanted = kFlags[type];
    const bool dup_tolerated = wanted != 0 && flags == (wanted | kDupFlag);
    return flags == wanted || dup_tolerated ? nullptr : "reserved flags of the fixed header";
}

DecodeResult check_topic(ProtocolVersion version, const PublishView& publish,
                         const TopicLimits& limits) {
    const std::string_view topic = publish.topic;
    if (topic.empty()) {
        if (publish.topic_alias != 0) return {};
        if (version == ProtocolVersion::V5) return protocol_error("neither topic nor topic alias");
        return {ReasonCode::TopicNameInvalid, "empty topic name"};
    }
    const TextTraits traits = traits_of(topic);
    if (traits.null || (!traits.ascii && !valid_utf8(topic))) {
        return malformed("topic name is not valid UTF-8");
    }
    if (traits.wildcard) return {ReasonCode::TopicNameInvalid, "wildcard in a topic name"};
    if (topic.size() > limits.bytes_max) return {ReasonCode::TopicNameInvalid, "topic too long"};
    if (traits.slashes >= limits.levels_max) {
        return {ReasonCode::TopicNameInvalid, "topic has too many levels"};
    }
    return {};
}

DecodeResult read_publish_properties(WireReader& reader, const DecodeLimits& limits,
                                     std::string& scratch, PublishView& out) {
    const DecodeResult result =
        take_properties(reader, PropertyOwner::Publish, limits.properties, out.properties);
    if (!result.ok() || out.properties.empty()) return result;
    if (limits.sender == Sender::Client &&
        out.properties.may_have(set_of(PropertyId::SubscriptionIdentifier))) {
        return protocol_error("subscription identifier in a client's PUBLISH");
    }
    out.message_expiry_s = out.properties.number(PropertyId::MessageExpiryInterval);
    const uint32_t alias = out.properties.number(PropertyId::TopicAlias).value_or(0);
    if (alias > limits.topic_alias_maximum) {
        return {ReasonCode::TopicAliasInvalid, "topic alias above the maximum"};
    }
    out.topic_alias = static_cast<uint16_t>(alias);
    out.forward = forwarded_properties(out.properties, scratch);
    return {};
}

}  // namespace

FrameScan scan_frame(ByteView in, uint32_t max_packet_size) {
    FrameScan scan;
    if (in.empty()) return scan;
    const auto first = static_cast<uint8_t>(in[0]);
    const auto flags = static_cast<uint8_t>(first & 0x0FU);
    if (const char* why = first_byte_error(first >> 4, flags); why != nullptr) {
        return refused(malformed(why));
    }
    uint32_t remaining = 0;
    for (std::size_t i = 1;; ++i) {
        if (i == in.size()) return scan;
        const auto digit = static_cast<uint8_t>(in[i]);
        remaining |= (digit & 0x7FU) << (7 * (i - 1));
        if ((digit & 0x80U) == 0) {
            if (digit == 0 && i > 1) return refused(malformed("overlong remaining length"));
            scan.header_size = static_cast<uint8_t>(i + 1);
            break;
        }
        if (i == 4) return refused(malformed("remaining length of more than four bytes"));
    }
    scan.type = static_cast<PacketType>(first >> 4);
    scan.flags = flags;
    scan.total_size = scan.header_size + remaining;
    if (scan.total_size > max_packet_size) {
        return refused({ReasonCode::PacketTooLarge, "packet larger than the maximum"});
    }
    if (in.size() >= scan.total_size) scan.state = FrameScan::State::Complete;
    return scan;
}

DecodeResult take_properties(WireReader& reader, PropertyOwner owner, const PropertyLimits& limits,
                             PropertyView& out) {
    uint32_t length = 0;
    std::string_view bytes;
    if (!reader.variable(length) || !reader.raw(length, bytes)) {
        return malformed("property length does not fit the packet");
    }
    out = PropertyView(bytes, 0);
    if (length == 0) return {};
    return check_properties(owner, bytes, limits, out);
}

DecodeResult check_flags(ProtocolVersion version, const Frame& frame) {
    if (version != ProtocolVersion::V31 && (frame.flags & kDupFlag) != 0) {
        return malformed("reserved flags of the fixed header");
    }
    return {};
}

DecodeResult decode_publish(ProtocolVersion version, const Frame& frame, const DecodeLimits& limits,
                            std::string& scratch, PublishView& out) {
    const unsigned qos = (frame.flags >> 1) & 0x03U;
    if (const char* why = first_byte_error(static_cast<uint8_t>(frame.type), frame.flags);
        why != nullptr) {
        return malformed(why);
    }
    out.qos = static_cast<QoS>(qos);
    out.dup = (frame.flags & kDupFlag) != 0;
    out.retain = (frame.flags & kRetainFlag) != 0;
    // Field by field: clearing the whole struct at once costs as much as reading the packet.
    out.topic_alias = 0;
    out.packet_id = PacketId();
    out.message_expiry_s.reset();
    out.forward = {};
    out.properties = PropertyView({}, 0);
    WireReader reader(frame.body);
    if (!reader.text(out.topic)) return malformed("topic name does not fit the packet");
    if (qos != 0) {
        uint16_t id = 0;
        if (!reader.u16(id)) return malformed("no packet identifier");
        if (id == 0) return protocol_error("packet identifier 0");
        out.packet_id = PacketId(id);
    }
    if (version == ProtocolVersion::V5) {
        const DecodeResult result = read_publish_properties(reader, limits, scratch, out);
        if (!result.ok()) return result;
    }
    out.payload = reader.rest();
    const DecodeResult result = check_topic(version, out, limits.topics);
    if (!result.ok()) return result;
    if (limits.check_payload_format && !out.properties.empty() &&
        out.properties.number(PropertyId::PayloadFormatIndicator) == 1U &&
        !valid_utf8_payload(out.payload)) {
        return {ReasonCode::PayloadFormatInvalid, "payload is not UTF-8"};
    }
    return {};
}

DecodeResult decode_ack(ProtocolVersion version, const Frame& frame, const DecodeLimits& limits,
                        Ack& out) {
    out = Ack{};
    out.type = frame.type;
    const DecodeResult flags = check_flags(version, frame);
    if (!flags.ok()) return flags;
    WireReader reader(frame.body);
    uint16_t id = 0;
    if (!reader.u16(id)) return malformed("no packet identifier");
    if (id == 0) return protocol_error("packet identifier 0");
    out.packet_id = PacketId(id);
    if (reader.empty()) return {};
    if (version != ProtocolVersion::V5) return malformed("bytes after the packet identifier");
    uint8_t reason = 0;
    if (!reader.u8(reason)) return malformed("no reason code");
    if (!reason_allowed(frame.type, reason))
        return protocol_error("reason code not of this packet");
    out.reason = static_cast<ReasonCode>(reason);
    if (reader.empty()) return {};
    const DecodeResult result = take_properties(reader, static_cast<PropertyOwner>(frame.type),
                                                limits.properties, out.properties);
    if (!result.ok()) return result;
    if (!reader.empty()) return malformed("bytes after the properties");
    return {};
}

DecodeResult decode_ping(const Frame& frame) {
    if (!frame.body.empty()) return malformed("PINGREQ or PINGRESP with a body");
    return {};
}

}  // namespace quorate::mqtt
