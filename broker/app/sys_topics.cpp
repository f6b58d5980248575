#include "broker/app/sys_topics.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace quorate::broker {

void SysTopics::value(std::string_view name, std::string payload, const Publish& publish) {
    auto& last = published_[std::string(name)];
    if (last == payload) return;
    last = std::move(payload);
    publish(prefix_ + std::string(name), last);
}

void SysTopics::number(std::string_view name, uint64_t number, const Publish& publish) {
    value(name, fmt::format("{}", number), publish);
}

void SysTopics::publish(uint64_t uptime_s, const Publish& publish) {
    const cluster::ClusterCounts counts = cluster_.counts();
    const uint64_t connected = metrics_.total(Metric::Connections);
    // The counts of a shard that is at work may be of two moments.
    const uint64_t offline =
        counts.shards.sessions - std::min(counts.shards.sessions, counts.shards.attached);
    value("/version", fmt::format("quorate version {}", version_), publish);
    value("/uptime", fmt::format("{} seconds", uptime_s), publish);
    number("/clients/connected", connected, publish);
    number("/clients/disconnected", offline, publish);
    number("/clients/total", connected + offline, publish);
    number("/subscriptions/count", counts.shards.subscriptions + counts.filters, publish);
    number("/shared_subscriptions/count", counts.shards.groups, publish);
    number("/retained messages/count", counts.shards.retained, publish);
    number("/store/messages/count", counts.shards.queued_messages, publish);
    number("/store/messages/bytes", counts.shards.queued_bytes, publish);
    number("/messages/received", metrics_.total(Metric::PacketsReceived), publish);
    number("/messages/sent", metrics_.total(Metric::PacketsSent), publish);
    number("/publish/messages/received", metrics_.total(Metric::PublishReceived), publish);
    number("/publish/messages/sent", metrics_.total(Metric::PublishDelivered), publish);
    number("/publish/messages/dropped", metrics_.total(Metric::PublishDropped), publish);
    number("/bytes/received", metrics_.total(Metric::BytesReceived), publish);
    number("/bytes/sent", metrics_.total(Metric::BytesSent), publish);
    number("/wills/pending", counts.shards.wills_pending, publish);
}

}  // namespace quorate::broker
