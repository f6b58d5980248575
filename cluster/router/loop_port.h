// A front-end loop's door into the cluster: what it asks of shards, and what comes back.
//
// Everything a loop sends is staged and leaves once per turn, one batch per destination thread, in
// the order it was staged for that destination. Answers come to the loop's LoopSink, on the loop.
//
// Thread: the loop's; `LoopSink` is called on the loop, from `LoopPort::receive`.
// Owner: the front-end of the loop. Errors: a full lane refuses; the caller stops reading
// PUBLISH from that socket until `LoopSink::on_credit`.
// Spec: rules.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/router/directory.h"
#include "cluster/router/traffic.h"
#include "cluster/shard/command.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

class LoopSink {
  public:
    virtual ~LoopSink() = default;

    // Answers LoopPort::retained: the messages, but for durable sessions, and where to go on.
    virtual void on_retained(const RetainedPage& page) = 0;
    // Publishes of other threads of this node, to be matched against this loop's subscriptions.
    // Each with a ticket is to be answered by LoopPort::taken(batch.from, ...).
    virtual void on_publishes(const PublishBatch& batch) = 0;
    virtual void on_taken(const TakenBatch& batch) = 0;
    // The answer to `command`; `token` is the caller's. Views and references die with the call.
    // SubscribeResult comes when every route it needs is made and shown to all loops.
    virtual void on_answer(uint64_t token, const Answer& answer) = 0;
    virtual void on_deliveries(const DeliveryBatch& batch) = 0;
    virtual void on_shared(const SharedDelivery& delivery) = 0;
    virtual void on_let_go(const LetGoRequest& request) = 0;
    // What `subscribe_local` waited for.
    virtual void on_shown(uint64_t token) = 0;
    // Room in a lane that had refused.
    virtual void on_credit() = 0;
    // Another node leads the shard now, or the way to its leader broke: Wants and retained pages
    // that were asked for there are to be asked for again. Commands and publishes follow by
    // themselves. Never on a single node.
    virtual void on_moved(ShardId shard) = 0;
};

class LoopPort {
  public:
    virtual ~LoopPort() = default;

    // Stages a command in the loop's control lane to a shard. False when the lane is full: nothing
    // was staged. Every command is answered, also by refusal (AnswerCode).
    [[nodiscard]] virtual bool command(ShardId shard, uint64_t token, const CommandBody& body) = 0;

    // A publish that must be committed, or is retained, or follows a retained one of its topic: to
    // the owner of its topic, which distributes it to all destinations but, when `skip_loops`, to
    // no loop of this node (the caller has done so). Answered by on_taken(ticket) when ticket != 0.
    // False when the owner's queue is full.
    [[nodiscard]] virtual bool publish_to_owner(Ticket ticket, const mqtt::MessageView& message,
                                                bool skip_loops) = 0;
    // Among other nodes the owner alone knows where a topic leads: then every publish goes to it,
    // answered ones with a ticket, in the order of the calls for each topic, and `match`,
    // `publish_to_shard`, `publish_to_group` and `publish_to_loop` are not for publishes of
    // clients. What waits longer than the publish timeout is answered by on_taken with a failure.
    [[nodiscard]] virtual bool owner_distributes() const = 0;
    // The connection of this publisher (MessageView::publisher) is gone: what it had not sent to an
    // owner yet is dropped, and what it had sent is not sent again.
    virtual void publisher_gone(uint64_t publisher) = 0;
    // A QoS 0 publish for the durable sessions of a shard that are connected. Dropped, and counted,
    // when its queue is full.
    virtual void publish_to_shard(ShardId shard, const mqtt::MessageView& message) = 0;
    // A publish for a shared group. Answered by on_taken(ticket) when ticket != 0.
    [[nodiscard]] virtual bool publish_to_group(const GroupRoute& group, Ticket ticket,
                                                const mqtt::MessageView& message) = 0;
    // Whether these loops of this node (a bit each) may be sent a publish that is answered: not
    // while one of them has too many of this loop unanswered. Then on_credit follows.
    [[nodiscard]] virtual bool loops_ready(uint64_t loops) = 0;
    // A publish for another loop of this node. Answered by on_taken(ticket) when ticket != 0, and
    // then to be asked for by loops_ready(); else dropped, and counted, when the loop is far
    // behind.
    virtual void publish_to_loop(LoopId loop, Ticket ticket, const mqtt::MessageView& message) = 0;
    // Answers tickets of a batch; `port` is the batch's sender.
    virtual void taken(PortRef port, const TakenBatch::Taken& taken) = 0;

    virtual void want(const Want& want) = 0;
    virtual void shared_ack(const SharedAck& ack) = 0;
    // Asks for one page of a scan; answered by on_retained.
    virtual void retained(const RetainedQuery& query) = 0;

    // The first shard from `from` on that has retained messages. What is retained later than a
    // subscription was made reaches it live.
    [[nodiscard]] virtual std::optional<ShardId> next_retained(ShardId from) = 0;

    // The loop's first subscriber of a filter, or its last one gone. on_shown(token) follows when
    // every thread of this node matches with it. token 0: nobody waits.
    virtual void loop_route(std::string_view filter, bool add, uint64_t token) = 0;

    // Where a topic leads, as of this turn's table (pinned on first use in a turn). False when the
    // match was cut off: see DirectoryTable::match.
    [[nodiscard]] virtual bool match(std::string_view topic, Destinations& out) = 0;
    // Changes whenever what `match` answers may have; valid in this turn.
    [[nodiscard]] virtual uint64_t table_version() = 0;

    // Begins a turn: hands what has arrived to the sink.
    virtual void receive() = 0;
    // Ends a turn: hands over what was staged and lets go of the table. Call before sleeping.
    virtual void flush() = 0;

    [[nodiscard]] virtual uint16_t workers() const = 0;
    [[nodiscard]] virtual WorkerId worker_of(ShardId shard) const = 0;
    [[nodiscard]] virtual LoopId loop() const = 0;
    [[nodiscard]] virtual Incarnation incarnation() const = 0;
    [[nodiscard]] virtual const ShardLayout& layout() const = 0;
};

}  // namespace quorate::cluster
