// Where a route leads, and which shard a topic, a filter or a shared group belongs to.
//
// Pure values. Thread: any.
// Spec: rules R-4 (Subscription and route); MQTT 5 §4.7 (Topic Filters), §4.8.2 (Shared
// Subscriptions).
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/mqtt/types.h"

namespace quorate::cluster {

enum class DestinationKind : uint8_t {
    Shard = 0,       // durable sessions of `shard` match again there
    Node = 1,        // expiry-0 sessions connected to incarnation `node` match again there
    Group = 2,       // the shared group `group`, whose state is in `shard`
    Session = 3,     // member of a shared group: durable session `session` of `shard`
    Connection = 4,  // member of a shared group: `connection`, of incarnation `node`
};

// Fields that the kind does not name are zero or empty, so that equality and order need no switch.
struct Destination {
    DestinationKind kind = DestinationKind::Shard;
    ShardId shard;
    Incarnation node;
    SessionId session;
    ConnectionRef connection;
    std::string group;  // "name/filter"

    auto operator<=>(const Destination&) const = default;

    [[nodiscard]] static Destination to_shard(ShardId shard);
    [[nodiscard]] static Destination to_node(Incarnation node);
    [[nodiscard]] static Destination to_group(ShardId shard, std::string_view group);
    [[nodiscard]] static Destination to_session(ShardId shard, SessionId session);
    [[nodiscard]] static Destination to_connection(const ConnectionRef& connection);

    void write(RecordWriter& out) const;
    // An unknown kind fails the reader.
    [[nodiscard]] static Destination read(RecordReader& in);
};

// A member of a shared group. Spec: MQTT 5 §4.8.2; rules, "Shared groups".
struct GroupMember {
    Destination member;  // Session (durable) or Connection (memory only)
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;
    RouteSerial serial;  // of the member's route changes

    [[nodiscard]] bool durable() const { return member.kind == DestinationKind::Session; }
};

void write_connection(RecordWriter& out, const ConnectionRef& connection);
[[nodiscard]] ConnectionRef read_connection(RecordReader& in);

// How the key space is cut; the same on every node, fixed at bootstrap.
struct ShardLayout {
    uint32_t shards = 1;
    uint32_t topic_hash_levels = 0;  // 0: the whole topic chooses the shard
};

// Requires of all three: layout.shards > 0.
[[nodiscard]] ShardId shard_of_topic(std::string_view topic, const ShardLayout& layout);
// The one shard that owns every topic the filter can match, or none: a filter for `wildcards`.
[[nodiscard]] std::optional<ShardId> shard_of_filter(std::string_view filter,
                                                     const ShardLayout& layout);
// The shard that holds a shared group's state; `group` is "name/filter".
[[nodiscard]] ShardId shard_of_group(std::string_view group, const ShardLayout& layout);

// "$share/name/filter" -> "name/filter"; none when it is not a shared subscription.
[[nodiscard]] std::optional<std::string_view> shared_group_of(std::string_view filter);
// "name/filter" -> "filter".
[[nodiscard]] std::string_view filter_of_group(std::string_view group);

}  // namespace quorate::cluster
