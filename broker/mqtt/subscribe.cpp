// SUBSCRIBE and UNSUBSCRIBE: checks here, truth at the host, one answer with a code per filter.
// Spec: MQTT 5 §3.8 to §3.11, §4.8.2; MQTT 3.1.1 §3.8 to §3.11. Version 3 clients may share, too.
#include <algorithm>

#include "broker/mqtt/channel.h"
#include "broker/mqtt/operations.h"
#include "proto/base/assert.h"
#include "proto/mqtt/decoder.h"
#include "proto/mqtt/encoder.h"
#include "proto/mqtt/topic.h"

namespace quorate::broker {
namespace {

using mqtt::PacketType;
using mqtt::ProtocolVersion;
using mqtt::ReasonCode;

// What the limits have against a filter; Success: nothing.
ReasonCode refusal(const mqtt::SubscriptionRequest& request, const ChannelLimits& limits) {
    if (request.share_prefix != 0 && !limits.shared_available) {
        return ReasonCode::SharedSubscriptionsNotSupported;
    }
    if (!limits.wildcard_available && mqtt::has_wildcard(request.topic_filter())) {
        return ReasonCode::WildcardSubscriptionsNotSupported;
    }
    return request.refused;
}

SubscribeEntry entry_of(const mqtt::SubscriptionRequest& request, mqtt::QoS max_qos) {
    SubscribeEntry entry;
    entry.filter = request.topic_filter();
    entry.share_name = request.share_name();
    entry.qos = std::min(request.qos, max_qos);
    entry.no_local = request.no_local;
    entry.retain_as_published = request.retain_as_published;
    entry.retain_handling = request.retain_handling;
    return entry;
}

}  // namespace

Channel::Operations& Channel::operations() {
    if (!operations_) operations_ = std::make_unique<Operations>();
    return *operations_;
}

Channel::Step Channel::on_subscribe(const mqtt::Frame& frame) {
    mqtt::Subscribe& packet = context_.subscribe;
    mqtt::DecodeResult result =
        mqtt::decode_subscribe(version_, frame, context_.limits.decode, packet);
    if (result.ok()) result = check_subscribe(packet);
    if (!result.ok()) {
        fail(result);
        return Step::Done;
    }
    if (const auto step =
            check_operation(packet.packet_id, packet.requests.size(), PacketType::Suback)) {
        return *step;
    }
    SubscribeRequest request;
    request.packet_id = packet.packet_id;
    request.subscription_id = packet.subscription_id;
    std::vector<ReasonCode> codes;
    codes.reserve(packet.requests.size());
    for (const mqtt::SubscriptionRequest& asked : packet.requests) {
        codes.push_back(refusal(asked, context_.limits));
        if (codes.back() == ReasonCode::Success) {
            request.entries.push_back(entry_of(asked, context_.limits.max_qos));
        }
    }
    if (request.entries.empty()) {
        send_codes(packet.packet_id, std::move(codes), PacketType::Suback);
        return Step::Done;
    }
    operations().waiting.push_back({packet.packet_id, PacketType::Suback, std::move(codes)});
    host_.subscribe(std::move(request));
    return Step::Done;
}

// What a version 5 client was told in CONNACK not to use ends its connection (§3.2.2.3.11 to .13);
// others get 0x80 for the filter.
mqtt::DecodeResult Channel::check_subscribe(const mqtt::Subscribe& subscribe) const {
    const ChannelLimits& limits = context_.limits;
    if (version_ != ProtocolVersion::V5) return {};
    if (subscribe.subscription_id != 0 && !limits.subscription_ids_available) {
        return {ReasonCode::SubscriptionIdentifiersNotSupported,
                "subscription identifiers are not available"};
    }
    for (const mqtt::SubscriptionRequest& request : subscribe.requests) {
        if (request.share_prefix != 0 && request.no_local) {  // [MQTT-3.8.3-4]
            return mqtt::protocol_error("No Local on a shared subscription");
        }
        if (request.share_prefix != 0 && !limits.shared_available) {
            return {ReasonCode::SharedSubscriptionsNotSupported,
                    "shared subscriptions are not available"};
        }
        if (!limits.wildcard_available && mqtt::has_wildcard(request.topic_filter())) {
            return {ReasonCode::WildcardSubscriptionsNotSupported,
                    "wildcard subscriptions are not available"};
        }
    }
    return {};
}

// Nothing when the host may be asked. An identifier that an unanswered request has is refused.
std::optional<Channel::Step> Channel::check_operation(PacketId id, std::size_t filters,
                                                      PacketType answer) {
    if (!operations_) return std::nullopt;
    const auto& waiting = operations_->waiting;
    if (std::ranges::find(waiting, id, &Operations::Operation::packet_id) != waiting.end()) {
        if (version_ == ProtocolVersion::V5) {
            send_codes(id, std::vector(filters, ReasonCode::PacketIdentifierInUse), answer);
        } else {
            fail(CloseKind::ProtocolError, ReasonCode::PacketIdentifierInUse,
                 "packet identifier of an unanswered request");
        }
        return Step::Done;
    }
    if (waiting.size() >= context_.limits.max_pending_subscribes) return wait();
    return std::nullopt;
}

Channel::Step Channel::on_unsubscribe(const mqtt::Frame& frame) {
    mqtt::Unsubscribe& packet = context_.unsubscribe;
    const mqtt::DecodeResult result =
        mqtt::decode_unsubscribe(version_, frame, context_.limits.decode, packet);
    if (!result.ok()) {
        fail(result);
        return Step::Done;
    }
    if (const auto step =
            check_operation(packet.packet_id, packet.filters.size(), PacketType::Unsuback)) {
        return *step;
    }
    UnsubscribeRequest request;
    request.packet_id = packet.packet_id;
    std::vector<ReasonCode> codes;
    codes.reserve(packet.filters.size());
    for (const std::string_view filter : packet.filters) {
        const auto parsed = mqtt::parse_filter(filter);
        codes.push_back(parsed ? ReasonCode::Success : ReasonCode::TopicFilterInvalid);
        if (parsed) {
            request.entries.push_back(
                UnsubscribeEntry{std::string(parsed->filter), std::string(parsed->share_name)});
        }
    }
    if (request.entries.empty()) {
        send_codes(packet.packet_id, std::move(codes), PacketType::Unsuback);
        return Step::Done;
    }
    operations().waiting.push_back({packet.packet_id, PacketType::Unsuback, std::move(codes)});
    host_.unsubscribe(std::move(request));
    return Step::Done;
}

void Channel::on_subscribed(PacketId packet_id, std::span<const ReasonCode> codes) {
    on_operation(packet_id, codes, PacketType::Suback);
}

void Channel::on_unsubscribed(PacketId packet_id, std::span<const ReasonCode> codes) {
    on_operation(packet_id, codes, PacketType::Unsuback);
}

void Channel::on_operation(PacketId id, std::span<const ReasonCode> codes, PacketType answer) {
    if (state_ != State::Connected || !operations_) return;
    auto& waiting = operations_->waiting;
    const auto operation = std::ranges::find(waiting, id, &Operations::Operation::packet_id);
    if (operation == waiting.end() || operation->answer != answer) return;
    std::size_t next = 0;
    for (ReasonCode& code : operation->codes) {
        if (code != ReasonCode::Success) continue;
        ASSERT(next < codes.size(), "the host gives a code for each entry");
        code = codes[next];
        ++next;
    }
    std::vector<ReasonCode> all = std::move(operation->codes);
    waiting.erase(operation);
    blocked_ = false;
    send_codes(id, std::move(all), answer);
}

void Channel::send_codes(PacketId id, std::vector<ReasonCode>&& codes, PacketType answer) {
    std::string packet;
    bool fits = false;
    if (answer == PacketType::Suback) {
        mqtt::Suback suback;
        suback.packet_id = id;
        suback.reasons = std::move(codes);
        fits = mqtt::append_suback(packet, version_, suback, client_packet_max_);
    } else {
        mqtt::Unsuback unsuback;
        unsuback.packet_id = id;
        if (version_ == ProtocolVersion::V5) unsuback.reasons = std::move(codes);
        fits = mqtt::append_unsuback(packet, version_, unsuback, client_packet_max_);
    }
    if (fits) {
        send(answer, packet);
    } else {  // the client asked for more answers than it can take; it cannot go on without them
        fail(CloseKind::PacketTooLarge, ReasonCode::ImplementationSpecificError,
             "the answer is larger than the client's Maximum Packet Size");
    }
}

}  // namespace quorate::broker
