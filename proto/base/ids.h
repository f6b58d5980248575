// Typed numbers. Two ids of different kinds never convert into each other: they are built
// explicitly and read with `.value()`. Meanings are fixed here, once, for the whole code.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace quorate {

template <typename Tag, typename Integer>
class Id {
  public:
    using integer_type = Integer;

    constexpr Id() = default;
    constexpr explicit Id(Integer value) : value_(value) {}

    [[nodiscard]] constexpr Integer value() const { return value_; }
    constexpr auto operator<=>(const Id&) const = default;

    // The id that follows. Requires: the value is below the type's maximum.
    [[nodiscard]] constexpr Id next() const { return Id(static_cast<Integer>(value_ + 1)); }
    constexpr Id& operator++() {
        value_ = static_cast<Integer>(value_ + 1);
        return *this;
    }

  private:
    Integer value_{};
};

using NodeId = Id<struct NodeIdTag, uint32_t>;  // a process with a data directory, given once
using Incarnation =
    Id<struct IncarnationTag, uint64_t>;          // one start of a node; cluster-wide unique
using GroupId = Id<struct GroupIdTag, uint32_t>;  // a Raft group; see groups.h for the numbering
using ShardId = Id<struct ShardIdTag, uint32_t>;  // a data group: sessions and a slice of topics
using ReplicaId = Id<struct ReplicaIdTag, uint64_t>;    // one node's copy of a group, never reused
using Generation = Id<struct GenerationTag, uint32_t>;  // of a group's keys on this disk
using Term = Id<struct TermTag, uint64_t>;              // Raft §3.3
using LogIndex = Id<struct LogIndexTag, uint64_t>;      // Raft §3.5; the first entry is 1
using Epoch = Id<struct EpochTag, uint64_t>;  // of a session's attachment, rises by one each
using SessionId = Id<struct SessionIdTag, uint64_t>;  // unique within its shard, never reused
using CommandNumber = Id<struct CommandNumberTag, uint64_t>;  // in a lane; the first is 1
using MessageNumber =
    Id<struct MessageNumberTag, uint64_t>;                  // in a session's queue; the first is 1
using OutboxNumber = Id<struct OutboxNumberTag, uint64_t>;  // in a shard's outbox per target
using RouteSerial = Id<struct RouteSerialTag, uint64_t>;    // of a shard's route changes
using PacketId = Id<struct PacketIdTag, uint16_t>;          // MQTT Packet Identifier; 0 is none
using ClusterTime = Id<struct ClusterTimeTag, uint64_t>;  // milliseconds, advanced by commands only
using LoopId = Id<struct LoopIdTag, uint16_t>;            // a front-end loop of this node
using WorkerId = Id<struct WorkerIdTag, uint16_t>;        // a shard worker of this node

// An incarnation is handed out as (node, number); the node stands in the upper half.
[[nodiscard]] constexpr Incarnation make_incarnation(NodeId node, uint32_t number) {
    return Incarnation((static_cast<uint64_t>(node.value()) << 32U) | number);
}
[[nodiscard]] constexpr NodeId node_of(Incarnation incarnation) {
    return NodeId(static_cast<uint32_t>(incarnation.value() >> 32U));
}

// A position in a Raft log: index and term only mean something together.
struct EntryId {
    LogIndex index;
    Term term;
    constexpr auto operator<=>(const EntryId&) const = default;
};

// A connection as seen from another thread or node: a value that may be stale, never a pointer.
// `generation` rises each time the loop reuses the slot.
struct ConnectionRef {
    Incarnation incarnation;
    LoopId loop;
    uint32_t slot = 0;
    uint32_t generation = 0;
    constexpr auto operator<=>(const ConnectionRef&) const = default;
};

}  // namespace quorate

template <typename Tag, typename Integer>
struct std::hash<quorate::Id<Tag, Integer>> {
    std::size_t operator()(const quorate::Id<Tag, Integer>& id) const noexcept {
        return std::hash<Integer>{}(id.value());
    }
};
