// What the threads of one node send each other: batches, one per turn and destination.
//
// A port is a thread that takes part in routing: front-end loops have the ports 0 .. loops-1, shard
// workers those that follow. A port is also the index of the thread's reader of the Directory and,
// as a producer, part of the name of its lanes.
//
// A batch is filled by one thread, handed over whole, and read by another: it is never shared.
// Messages in it are flat (proto/mqtt/message.h), one after the other in one buffer, so that a
// message costs a copy and no allocation.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/router/directory_table.h"
#include "cluster/sessions/outbox_source.h"
#include "cluster/shard/actions.h"
#include "cluster/stream/copy_link.h"
#include "cluster/stream/stream.h"
#include "cluster/topics/destination.h"
#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/mqtt/message.h"

namespace quorate::cluster {

using PortId = Id<struct PortIdTag, uint16_t>;

// A port of any node: where an answer goes.
struct PortRef {
    Incarnation node{};  // 0: this node
    PortId port;

    [[nodiscard]] bool local() const { return node == Incarnation(); }
    auto operator<=>(const PortRef&) const = default;
};
[[nodiscard]] constexpr PortRef local_port(PortId port) {
    return {Incarnation(), port};
}

// Names one publish that waits at its sender until every destination has it. 0: nobody waits.
using Ticket = uint64_t;

// Publishes for a loop (which matches them against its own subscriptions), or for a worker.
struct PublishBatch {
    PortRef from;
    uint32_t count = 0;
    std::string bytes;

    // `flags` is the receiver's to read: see the senders.
    void add(Ticket ticket, uint8_t flags, const mqtt::MessageView& message);
    // Calls `visit(Ticket, uint8_t flags, const MessageView&)` for each, in order.
    template <typename Visit>
    void for_each(Visit&& visit) const {
        RecordReader in(bytes);
        while (!in.rest().empty()) {
            const Ticket ticket = in.u64();
            const uint8_t flags = in.u8();
            const auto message = mqtt::decode_message(in.text());
            ASSERT(message.has_value(), "a batch holds what this process encoded");
            visit(ticket, flags, *message);
        }
    }
};

// Publishes of a loop for shared groups whose leaders one worker has.
struct GroupBatch {
    uint32_t count = 0;
    std::string bytes;

    void add(const GroupRoute& group, Ticket ticket, const mqtt::MessageView& message);
    // Calls `visit(ShardId, group, Ticket, flat message)` for each, in order.
    template <typename Visit>
    void for_each(Visit&& visit) const {
        RecordReader in(bytes);
        while (!in.rest().empty()) {
            const auto shard = in.id<ShardId>();
            const std::string_view group = in.text();
            const Ticket ticket = in.u64();
            visit(shard, group, ticket, in.text());
        }
    }
};

// Tickets that their receiver has taken care of: queued in a session, committed in a shard, or
// dropped by a limit and counted.
struct TakenBatch {
    struct Taken {
        Ticket ticket = 0;
        uint32_t receivers = 0;  // sessions that got or will get it; 0: no subscriber matched
        mqtt::ReasonCode code = mqtt::ReasonCode::Success;  // a failure: the publish is refused
    };
    std::vector<Taken> taken;
};

// Encoded commands (cluster/shard/command.h) for groups of one worker.
struct CommandParcel {
    uint32_t count = 0;
    std::string bytes;

    // Begins a command for `group`; append its encoding to `bytes`, then call end(position).
    [[nodiscard]] std::size_t begin(GroupId group);
    void end(std::size_t position);
    template <typename Visit>
    void for_each(Visit&& visit) const {
        RecordReader in(bytes);
        while (!in.rest().empty()) {
            const auto group = in.id<GroupId>();
            visit(group, in.text());
        }
    }
};

// Messages of durable sessions for their connections on one loop, in order per session.
struct DeliveryView {
    ConnectionRef connection;
    SessionId session;
    Epoch epoch;
    MessageNumber number;  // 0: QoS 0, not queued
    // What is not yet received of [from, number) will never come. A receiver that expects a number
    // below it has missed something, and asks again (Want::again).
    MessageNumber from;
    bool dup = false;
    bool pubrec_known = false;  // send PUBREL
    bool retain = false;
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;
    mqtt::MessageView message;
    std::span<const uint32_t> subscription_ids;
};

struct DeliveryBatch {
    uint32_t count = 0;
    std::string bytes;

    void add(const DeliveryView& delivery);
    // Adds one whose message is already flat; its own qos and retain are overruled.
    void add_flat(const DeliveryView& delivery, std::string_view flat);
    template <typename Visit>
    void for_each(Visit&& visit) const {
        RecordReader in(bytes);
        std::vector<uint32_t> ids;
        while (!in.rest().empty())
            visit(read(in, ids));
    }
    // Reads one item of bytes that another node sent; false for what `add` would not have written.
    [[nodiscard]] static bool check(RecordReader& in);

  private:
    void add_head(const DeliveryView& delivery);
    static DeliveryView read(RecordReader& in, std::vector<uint32_t>& ids);
};

// A message of a shared group for one of its members, a connection without a durable session.
struct SharedDelivery {
    ConnectionRef connection;
    uint64_t ticket = 0;  // of the group's leader; comes back in SharedAck
    ShardId shard;        // that holds the group
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;
    uint64_t group_hash = 0;  // hash64 of "name/filter": which of its memberships
    SharedBytes message;      // flat
};

// How a member settled shared messages, or that it has room for more.
struct SharedAck {
    enum class Kind : uint8_t {
        Settled,
        Unsent,
        UnackedQos1,
        UnackedQos2,
        NoRoom,  // not taken: the connection's window is full. Room follows
        Room,    // `connection` has room again; no ticket
    };
    ShardId shard;
    uint64_t ticket = 0;
    Kind kind = Kind::Settled;
    ConnectionRef connection{};  // of Room
};

// A durable member of a shared group came back, or went away without leaving the group.
struct SharedPresence {
    ShardId shard;      // of the group
    std::string group;  // "name/filter"
    Destination member;
    bool connected = false;
};

// A durable session's connection can take what is queued from `next` on: `credit` numbers,
// and no further message once it was sent `room` bytes more than the `received` it has counted (of
// delivery_bytes(), on this connection). So a slow reader holds a bounded output, however large
// its window and the messages are.
struct Want {
    ShardId shard;
    SessionId session;
    Epoch epoch;
    MessageNumber next;
    uint32_t credit = 0;
    uint64_t received = 0;
    uint64_t room = 0;
    bool again = false;  // from `next` on, also what was sent before: some of it was lost
};

// What a numbered delivery takes of Want::room.
[[nodiscard]] inline uint64_t delivery_bytes(const DeliveryView& delivery) {
    return delivery.pubrec_known ? 0
                                 : delivery.message.payload.size() + delivery.message.topic.size() +
                                       delivery.message.forward.size();
}

// Where a scan of retained messages goes on.
struct RetainedCursor {
    ShardId shard;
    std::string after;  // topic; empty: from the start
};

// Retained messages that match a new subscription, page by page. `at` names the shard to begin
// with; when `whole_worker`, the scan goes on over all later shards of the same worker.
//
// For a durable session the messages do not come back: the worker puts them into the session's
// queue, in the same lane as live messages of its topics, so that no older value follows a newer
// one. Such a query goes first to the worker of the session's shard, which fills in the room.
// It names one shard at a time, in ascending order, so that the position means the same to any
// later connection; the worker sends a last Replay without messages when there is nothing more.
struct RetainedQuery {
    struct Durable {
        ShardId shard;
        SessionId session;
        std::string filter;  // whole, as subscribed
        ReplayId replay;
        RetainedCursor from;  // as the session's shard knows it; `at` may have passed what is empty
        std::optional<ShardId> then;  // the shard to go on with after this one
    };
    PortRef from;        // the loop that asks
    uint64_t token = 0;  // the loop's own
    std::string filter;
    RetainedCursor at;
    bool whole_worker = false;
    uint32_t room = 0;  // messages; of a durable session 0 until its shard's leader has said
    std::optional<Durable> durable;
};
struct RetainedPage {
    uint64_t token = 0;
    WorkerId worker;
    std::optional<RetainedCursor> next;  // ask again with it; none: this worker has no more
    std::vector<SharedBytes> messages;   // flat, retain set
    bool full = false;                   // the durable session's queue: ask later
    bool noted = false;                  // its shard knows that `next` is where to go on
};

// An answer and the group whose lane it belongs to.
struct GroupAnswer {
    GroupId group;
    Answer answer;
};

// A publish for a shared group, at its leader or on its way from an owner or outbox.
struct GroupPublish {
    PortRef from;
    GroupRoute group;
    Ticket ticket = 0;
    SharedBytes message;  // flat
    std::optional<OutboxSource> source;
    bool to_outbox = false;  // straight from an outbox: `source` is answered by HandOverDone
};

// An entry of a shard's outbox on its way to the worker that takes it over.
struct HandOver {
    OutboxSource source;
    std::string group;    // of Group targets: "name/filter"
    SharedBytes message;  // flat
    // Its place: after `prev` in this attempt of the source's leader; 0 begins an attempt.
    Term term{};
    uint32_t attempt = 0;
    OutboxNumber prev{};
};

// Every receiver of an outbox entry has it: the source shard may forget it.
struct HandOverDone {
    ShardId source;
    OutboxTarget target;
    OutboxNumber number;
};

// A connection must let go of its session, asked by the session's shard.
struct LetGoRequest {
    ShardId shard;
    LetGo let_go;
};

// Publishes of one loop for the topics of one shard, on their way to the owner.
struct StreamParcel {
    ShardId shard;
    LoopId loop;
    std::optional<StreamBegin> begin;
    std::vector<StreamItem> items;
};

// The owner's answer to one item, or to a whole attempt.
struct StreamAnswer {
    ShardId shard;
    uint32_t attempt = 0;
    bool refused = false;  // the attempt: the loop begins again
    uint64_t number = 0;
    uint32_t receivers = 0;
    mqtt::ReasonCode code = mqtt::ReasonCode::Success;
};

// A publish for the memory sessions of another node, and what became of it there. Of QoS 0 it has
// no number and no answer.
struct NodeCopy {
    Copy copy;
    Incarnation to;
};
struct NodeCopyAnswer {
    SourceFence fence;  // of the copy: names its sender
    Incarnation at;     // the node that answers
    uint64_t number = 0;
    CopyVerdict verdict = CopyVerdict::Taken;
    uint32_t receivers = 0;
};

// A loop's subscribers of a filter begin or end; within a node only.
struct NodeRouteOp {
    LoopId loop;
    std::string filter;
    bool add = false;
    uint64_t token = 0;  // of LoopPort::loop_route; 0: nobody waits
};

// Everything one thread has for a loop at the end of its turn. The loop reads it in the order of
// the members: messages come before the answers that make senders go on, and what was read of a
// retained register before what was written to it later.
struct LoopParcel {
    PortRef from;
    std::vector<RetainedPage> retained;
    PublishBatch publishes;
    DeliveryBatch deliveries;
    std::vector<SharedDelivery> shared;
    std::vector<LetGoRequest> let_go;
    TakenBatch taken;
    std::vector<GroupAnswer> answers;
    std::vector<StreamAnswer> stream_answers;
    std::vector<uint64_t> shown;  // tokens of LoopPort::loop_route

    // Bytes of messages in it: what Exchange::unread counts.
    [[nodiscard]] uint64_t message_bytes() const;
};

// The same for a worker.
struct WorkerParcel {
    // Flags of `owned`.
    static constexpr uint8_t kSkipLoops = 1;  // the loops of this node have it already

    PortRef from;
    CommandParcel commands;
    PublishBatch owned;  // for the owner of the topic
    PublishBatch live;   // QoS 0 for connected durable sessions; the ticket is the shard's number
    GroupBatch group_batch;            // from a loop
    std::vector<GroupPublish> groups;  // from a worker
    std::vector<Want> wants;
    std::vector<SharedAck> shared_acks;
    std::vector<SharedPresence> presence;
    std::vector<RetainedQuery> retained;
    std::vector<HandOver> hand_overs;
    std::vector<HandOverDone> done;
    TakenBatch taken;                  // of publishes that this worker sent to the loop
    std::vector<GroupAnswer> answers;  // to commands of this worker's lanes
    std::vector<StreamParcel> streams;
    std::vector<NodeCopy> copies;
    std::vector<NodeCopyAnswer> copy_answers;  // to this worker
    // The rest stays within the node.
    std::vector<NodeRouteOp> node_routes;
    // Of this worker's own groups: their tables of this term, or up to this entry, are shown.
    std::vector<std::pair<GroupId, Term>> tables_shown;
    std::optional<LogIndex> wildcards_shown;
    // Of this worker's own groups to anyone: their routes are shown now.
    std::vector<GroupAnswer> shown_answers;

    [[nodiscard]] uint64_t message_bytes() const;
};

}  // namespace quorate::cluster
