// SUBSCRIBE, UNSUBSCRIBE and their acknowledgements.
#include "proto/mqtt/decoder.h"
#include "proto/mqtt/utf8.h"
#include "proto/mqtt/wire.h"

namespace quorate::mqtt {
namespace {

// Packet Identifier and, in version 5, the properties: what all four packets begin with.
DecodeResult read_head(WireReader& reader, ProtocolVersion version, const Frame& frame,
                       const PropertyLimits& limits, PacketId& id, PropertyView& properties) {
    const DecodeResult flags = check_flags(version, frame);
    if (!flags.ok()) return flags;
    uint16_t number = 0;
    if (!reader.u16(number)) return malformed("no packet identifier");
    if (number == 0) return protocol_error("packet identifier 0");
    id = PacketId(number);
    properties = PropertyView();
    if (version != ProtocolVersion::V5) return {};
    return take_properties(reader, static_cast<PropertyOwner>(frame.type), limits, properties);
}

// Counts the filters first, so that the vector is allocated once and at the size needed.
DecodeResult count_filters(WireReader reader, bool with_options, uint32_t limit, uint32_t& count) {
    std::string_view filter;
    uint8_t options = 0;
    for (count = 0; !reader.empty(); ++count) {
        if (!reader.text(filter) || (with_options && !reader.u8(options))) {
            return malformed("topic filter does not fit the packet");
        }
        if (count == limit) return {ReasonCode::QuotaExceeded, "too many filters in one packet"};
    }
    if (count == 0) return protocol_error("no topic filter");
    return {};
}

DecodeResult read_filter(WireReader& reader, std::string_view& filter, std::size_t& share_prefix) {
    if (!reader.text(filter)) return malformed("topic filter does not fit the packet");
    const std::optional<ParsedFilter> parsed = parse_filter(filter);
    if (!parsed.has_value()) {
        if (!valid_utf8(filter)) return malformed("topic filter is not valid UTF-8");
        return {ReasonCode::TopicFilterInvalid, "topic filter invalid"};
    }
    share_prefix = filter.size() - parsed->filter.size();
    return {};
}

DecodeResult read_options(ProtocolVersion version, uint8_t options, SubscriptionRequest& out) {
    const unsigned qos = options & 0x03U;
    const unsigned retain_handling = (options >> 4) & 0x03U;
    if (version != ProtocolVersion::V5) {
        if (version == ProtocolVersion::V311 && options > 2) {
            return malformed("requested QoS is neither 0, 1 nor 2");
        }
        if (qos == 3) return malformed("requested QoS 3");
        out.qos = static_cast<QoS>(qos);
        return {};
    }
    if ((options & 0xC0U) != 0) return malformed("reserved subscription options");
    if (qos == 3) return protocol_error("maximum QoS 3");
    if (retain_handling == 3) return protocol_error("retain handling 3");
    out.qos = static_cast<QoS>(qos);
    out.no_local = (options & 0x04U) != 0;
    out.retain_as_published = (options & 0x08U) != 0;
    out.retain_handling = static_cast<RetainHandling>(retain_handling);
    if (out.no_local && out.share_prefix != 0) {
        return protocol_error("no local on a shared subscription");
    }
    return {};
}

template <typename Packet>
DecodeResult read_reasons(WireReader& reader, PacketType type, Packet& out) {
    out.reasons.clear();
    if (reader.empty()) return protocol_error("no reason code");
    out.reasons.reserve(reader.size());
    uint8_t code = 0;
    while (reader.u8(code)) {
        if (!reason_allowed(type, code)) return protocol_error("reason code not of this packet");
        out.reasons.push_back(static_cast<ReasonCode>(code));
    }
    return {};
}

}  // namespace

DecodeResult decode_subscribe(ProtocolVersion version, const Frame& frame,
                              const DecodeLimits& limits, Subscribe& out) {
    out.requests.clear();
    WireReader reader(frame.body);
    const DecodeResult head =
        read_head(reader, version, frame, limits.properties, out.packet_id, out.properties);
    if (!head.ok()) return head;
    out.subscription_id = out.properties.number(PropertyId::SubscriptionIdentifier).value_or(0);
    uint32_t count = 0;
    const DecodeResult counted = count_filters(reader, true, limits.filters_per_packet_max, count);
    if (!counted.ok()) return counted;
    out.requests.reserve(count);
    while (!reader.empty()) {
        SubscriptionRequest& request = out.requests.emplace_back();
        std::size_t share_prefix = 0;
        const DecodeResult filter = read_filter(reader, request.filter, share_prefix);
        if (!filter.ok()) return filter;
        request.share_prefix = static_cast<uint16_t>(share_prefix);
        uint8_t options = 0;
        if (!reader.u8(options)) return malformed("no subscription options");
        const DecodeResult result = read_options(version, options, request);
        if (!result.ok()) return result;
        if (!within_limits(request.filter, limits.topics)) {
            request.refused = ReasonCode::TopicFilterInvalid;
        }
    }
    return {};
}

DecodeResult decode_unsubscribe(ProtocolVersion version, const Frame& frame,
                                const DecodeLimits& limits, Unsubscribe& out) {
    out.filters.clear();
    WireReader reader(frame.body);
    const DecodeResult head =
        read_head(reader, version, frame, limits.properties, out.packet_id, out.properties);
    if (!head.ok()) return head;
    uint32_t count = 0;
    const DecodeResult counted = count_filters(reader, false, limits.filters_per_packet_max, count);
    if (!counted.ok()) return counted;
    out.filters.reserve(count);
    while (!reader.empty()) {
        std::size_t share_prefix = 0;
        const DecodeResult filter = read_filter(reader, out.filters.emplace_back(), share_prefix);
        if (!filter.ok()) return filter;
    }
    return {};
}

DecodeResult decode_suback(ProtocolVersion version, const Frame& frame, const DecodeLimits& limits,
                           Suback& out) {
    WireReader reader(frame.body);
    const DecodeResult head =
        read_head(reader, version, frame, limits.properties, out.packet_id, out.properties);
    if (!head.ok()) return head;
    const DecodeResult result = read_reasons(reader, PacketType::Suback, out);
    if (!result.ok() || version == ProtocolVersion::V5) return result;
    for (const ReasonCode code : out.reasons) {
        if (is_failure(code) && code != ReasonCode::UnspecifiedError) {
            return protocol_error("return code not of SUBACK");
        }
    }
    return {};
}

DecodeResult decode_unsuback(ProtocolVersion version, const Frame& frame,
                             const DecodeLimits& limits, Unsuback& out) {
    WireReader reader(frame.body);
    const DecodeResult head =
        read_head(reader, version, frame, limits.properties, out.packet_id, out.properties);
    if (!head.ok()) return head;
    if (version == ProtocolVersion::V5) return read_reasons(reader, PacketType::Unsuback, out);
    out.reasons.clear();
    if (!reader.empty()) return malformed("UNSUBACK with a payload");
    return {};
}

}  // namespace quorate::mqtt
