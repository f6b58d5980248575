#include "broker/app/sys_topics.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace quorate::broker {

void SysTopics::value(std::string_view topic, std::string payload, const Publish& publish) {
    auto& last = published_[std::string(topic)];
    if (last == payload) return;
    last = std::move(payload);
    publish(topic, last);
}

void SysTopics::number(std::string_view topic, uint64_t number, const Publish& publish) {
    value(topic, fmt::format("{}", number), publish);
}

void SysTopics::publish(uint64_t uptime_s, const Publish& publish) {
    const cluster::ClusterCounts counts = cluster_.counts();
    const uint64_t connected = metrics_.total(Metric::Connections);
    // The counts of a shard that is at work may be of two moments.
    const uint64_t offline =
        counts.shards.sessions - std::min(counts.shards.sessions, counts.shards.attached);
    value("$SYS/broker/version", fmt::format("quorate version {}", version_), publish);
    value("$SYS/broker/uptime", fmt::format("{} seconds", uptime_s), publish);
    number("$SYS/broker/clients/connected", connected, publish);
    number("$SYS/broker/clients/disconnected", offline, publish);
    number("$SYS/broker/clients/total", connected + offline, publish);
    number("$SYS/broker/subscriptions/count", counts.shards.subscriptions + counts.filters,
           publish);
    number("$SYS/broker/shared_subscriptions/count", counts.shards.groups, publish);
    number("$SYS/broker/retained messages/count", counts.shards.retained, publish);
    number("$SYS/broker/store/messages/count", counts.shards.queued_messages, publish);
    number("$SYS/broker/store/messages/bytes", counts.shards.queued_bytes, publish);
    number("$SYS/broker/messages/received", metrics_.total(Metric::PacketsReceived), publish);
    number("$SYS/broker/messages/sent", metrics_.total(Metric::PacketsSent), publish);
    number("$SYS/broker/publish/messages/received", metrics_.total(Metric::PublishReceived),
           publish);
    number("$SYS/broker/publish/messages/sent", metrics_.total(Metric::PublishDelivered), publish);
    number("$SYS/broker/publish/messages/dropped", metrics_.total(Metric::PublishDropped), publish);
    number("$SYS/broker/bytes/received", metrics_.total(Metric::BytesReceived), publish);
    number("$SYS/broker/bytes/sent", metrics_.total(Metric::BytesSent), publish);
    number("$SYS/broker/wills/pending", counts.shards.wills_pending, publish);
}

}  // namespace quorate::broker
