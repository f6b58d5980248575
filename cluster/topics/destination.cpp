#include "cluster/topics/destination.h"

#include "proto/base/hash.h"
#include "proto/mqtt/topic.h"

namespace quorate::cluster {

namespace {

constexpr std::string_view kShare = "$share/";

// The first `levels` levels of a topic, or all of it when it has no more.
std::string_view first_levels(std::string_view topic, uint32_t levels) {
    std::size_t at = 0;
    for (uint32_t i = 0; i < levels; ++i) {
        const std::size_t slash = topic.find('/', at);
        if (slash == std::string_view::npos) return topic;
        if (i + 1 == levels) return topic.substr(0, slash);
        at = slash + 1;
    }
    return topic;
}

}  // namespace

Destination Destination::to_shard(ShardId shard) {
    Destination out;
    out.shard = shard;
    return out;
}

Destination Destination::to_node(Incarnation node) {
    Destination out;
    out.kind = DestinationKind::Node;
    out.node = node;
    return out;
}

Destination Destination::to_group(ShardId shard, std::string_view group) {
    Destination out;
    out.kind = DestinationKind::Group;
    out.shard = shard;
    out.group = group;
    return out;
}

Destination Destination::to_session(ShardId shard, SessionId session) {
    Destination out;
    out.kind = DestinationKind::Session;
    out.shard = shard;
    out.session = session;
    return out;
}

Destination Destination::to_connection(const ConnectionRef& connection) {
    Destination out;
    out.kind = DestinationKind::Connection;
    out.node = connection.incarnation;
    out.connection = connection;
    return out;
}

void write_connection(RecordWriter& out, const ConnectionRef& connection) {
    out.id(connection.incarnation);
    out.id(connection.loop);
    out.u32(connection.slot);
    out.u32(connection.generation);
}

ConnectionRef read_connection(RecordReader& in) {
    ConnectionRef out;
    out.incarnation = in.id<Incarnation>();
    out.loop = in.id<LoopId>();
    out.slot = in.u32();
    out.generation = in.u32();
    return out;
}

void Destination::write(RecordWriter& out) const {
    out.u8(static_cast<uint8_t>(kind));
    switch (kind) {
        case DestinationKind::Shard:
            out.id(shard);
            return;
        case DestinationKind::Node:
            out.id(node);
            return;
        case DestinationKind::Group:
            out.id(shard);
            out.text(group);
            return;
        case DestinationKind::Session:
            out.id(shard);
            out.id(session);
            return;
        case DestinationKind::Connection:
            write_connection(out, connection);
            return;
    }
}

Destination Destination::read(RecordReader& in) {
    const uint8_t kind = in.u8();
    switch (kind) {
        case 0:
            return to_shard(in.id<ShardId>());
        case 1:
            return to_node(in.id<Incarnation>());
        case 2: {
            const auto shard = in.id<ShardId>();
            return to_group(shard, in.text());
        }
        case 3: {
            const auto shard = in.id<ShardId>();
            return to_session(shard, in.id<SessionId>());
        }
        case 4:
            return to_connection(read_connection(in));
        default:
            in.fail();
            return {};
    }
}

ShardId shard_of_topic(std::string_view topic, const ShardLayout& layout) {
    if (layout.topic_hash_levels != 0) topic = first_levels(topic, layout.topic_hash_levels);
    return shard_of(topic, layout.shards);
}

std::optional<ShardId> shard_of_filter(std::string_view filter, const ShardLayout& layout) {
    if (!mqtt::has_wildcard(filter)) return shard_of_topic(filter, layout);
    if (layout.topic_hash_levels == 0) return std::nullopt;
    // Enough literal levels must stand before the wildcard. Fewer than that many levels in the
    // filter cannot be: then the wildcard is among them.
    const std::string_view head = first_levels(filter, layout.topic_hash_levels);
    if (mqtt::has_wildcard(head) || head.size() == filter.size()) return std::nullopt;
    return shard_of(head, layout.shards);
}

ShardId shard_of_group(std::string_view group, const ShardLayout& layout) {
    return shard_of(group, layout.shards);
}

std::optional<std::string_view> shared_group_of(std::string_view filter) {
    if (!filter.starts_with(kShare)) return std::nullopt;
    return filter.substr(kShare.size());
}

std::string_view filter_of_group(std::string_view group) {
    const std::size_t slash = group.find('/');
    return slash == std::string_view::npos ? std::string_view{} : group.substr(slash + 1);
}

}  // namespace quorate::cluster
