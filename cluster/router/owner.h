// The owner of topics, on the worker of their shards: takes publishes that must be committed,
// brings each to every destination, and answers when all have it.
//
// A retained publish is first a command to the topic's shard; later messages of that topic wait
// until it is applied, so that whoever sees an older value of the register sees it before a newer
// one. To a shard with a durable match of QoS 1 or 2 the message goes as Enqueue in this
// worker's publish lane; to a shared group by way of its leader; to a loop as a numbered copy.
//
// A publish of QoS 1 or 2 whose match is cut off at its step limit is refused with Quota Exceeded
// and goes nowhere; an outbox entry, which was accepted before, is matched whole.
//
// Thread: its worker's. Owner: the WorkerRouter. Errors: refusals of shards come back as the reason
// code of the answer. Bounded by what its askers may have unanswered: loops by their credit,
// outboxes by their window. Spec; MQTT 5 §3.3.1.3 (RETAIN), §4.6 (ordering).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cluster/router/directory.h"
#include "cluster/router/traffic.h"
#include "cluster/shard/command.h"
#include "proto/base/ids.h"
#include "proto/mqtt/message.h"

namespace quorate::cluster {

// What the owner needs of its worker; implemented by WorkerRouter.
class OwnerHost {
  public:
    virtual ~OwnerHost() = default;

    // False when it was cut off at its step limit, which it is not when `whole` is asked for.
    [[nodiscard]] virtual bool match(std::string_view topic, Destinations& out, bool whole) = 0;
    // False when the limit of retained messages is reached and the topic has none.
    [[nodiscard]] virtual bool may_retain(std::string_view topic, bool accepted) = 0;
    // In this worker's publish lane, in the name of shard `of`; answered by
    // Owner::on_command(token, ...).
    virtual void enqueue(ShardId shard, uint64_t token, const Enqueue& body, ShardId of) = 0;
    virtual void retain(ShardId shard, uint64_t token, const Retain& body) = 0;
    // Answered by Owner::on_taken(ticket).
    virtual void to_group(const GroupRoute& group, Ticket ticket, const SharedBytes& flat,
                          const OutboxSource* source) = 0;
    // The same when ticket != 0. Another node's loop filters repeats by `source`.
    virtual void to_loop(LoopId loop, Ticket ticket, const mqtt::MessageView& message,
                         const OutboxSource* source) = 0;
    // To another node, in the name of shard `of`; answered by Owner::on_copied(token) when token !=
    // 0. False: there is no such node, nobody answers.
    [[nodiscard]] virtual bool to_node(Incarnation /*node*/, uint64_t /*token*/,
                                       const SharedBytes& /*flat*/, const OutboxSource* /*source*/,
                                       ShardId /*of*/) {
        return false;
    }
    // Whether this node's loops have not had this hand-over. On a single node nothing is repeated.
    [[nodiscard]] virtual bool first_time(const OutboxSource& /*source*/) { return true; }
    // QoS 0, or best QoS 0: to connected durable sessions, unanswered.
    virtual void to_live(ShardId shard, const mqtt::MessageView& message) = 0;

    virtual void answer(PortRef asker, const TakenBatch::Taken& taken) = 0;
    virtual void answer(const HandOverDone& done) = 0;
};

// A loop that waits, by its ticket.
struct LoopAsker {
    PortRef port;
    Ticket ticket = 0;
};

// The place of a retained publish in its loop's stream: written once, however often it comes.
struct RetainNumber {
    RetainStream stream;
    uint64_t number = 0;
};

class Owner {
  public:
    Owner(OwnerHost& host, const ShardLayout& layout) : host_(host), layout_(layout) {}

    // From a loop. `ticket` 0: nobody waits. With `source` (of QoS 2 for a session that ends with
    // its connection) the destinations filter repeats, since the loop may have to come again.
    void publish(PortRef asker, Ticket ticket, const mqtt::MessageView& message, bool skip_loops,
                 const OutboxSource* source = nullptr, const RetainNumber& place = {});
    // From the outbox of a shard.
    void hand_over(const HandOver& item);

    void on_command(uint64_t token, const Answer& answer);
    void on_taken(const TakenBatch::Taken& taken);
    // Stale: a node has heard a later owner, so that this one answers nothing.
    void on_copied(uint64_t token, uint32_t receivers, bool stale);

    [[nodiscard]] std::size_t in_progress() const { return operations_.size() - free_.size(); }
    [[nodiscard]] std::size_t held() const { return held_count_; }
    // Publishes whose match ended at its step limit: refused, or of QoS 0 not sent to everybody.
    [[nodiscard]] uint64_t cut_off() const { return cut_off_; }

  private:
    using Asker = std::variant<LoopAsker, HandOverDone>;

    // One publish on its way. The message is kept only while it must wait.
    struct Operation {
        Asker asker;
        uint32_t awaited = 0;
        uint32_t receivers = 0;
        mqtt::ReasonCode code = mqtt::ReasonCode::Success;
        bool retaining = false;
        bool skip_loops = false;
        SharedBytes message;                 // flat, while retaining
        std::optional<OutboxSource> source;  // by which destinations know repeats
        bool from_outbox = false;
        bool abandoned = false;  // nobody is told: a later owner does it
        uint32_t generation = 0;
    };
    struct Waiting {
        Asker asker;
        bool skip_loops = false;
        bool from_outbox = false;
        std::optional<OutboxSource> source;
        RetainNumber place;
        SharedBytes message;
    };

    void accept(Waiting&& item, const mqtt::MessageView& message);
    // True when it holds its topic from now on.
    bool start(const Waiting& item, const mqtt::MessageView& message);
    void distribute(uint64_t token, const mqtt::MessageView& message);
    void to_sessions(uint64_t token, const mqtt::MessageView& message, bool committed);
    void arrived(uint64_t token, uint32_t receivers, mqtt::ReasonCode code);
    void abandon(uint64_t token);
    void finish(Operation& operation);
    void release_topic(std::string_view topic);

    [[nodiscard]] uint64_t open(Asker asker);
    [[nodiscard]] Operation* find(uint64_t token);
    void close(uint64_t token);

    OwnerHost& host_;
    ShardLayout layout_;
    std::vector<Operation> operations_;
    std::vector<uint32_t> free_;
    std::map<std::string, std::deque<Waiting>, std::less<>> held_;  // by topic being retained
    std::size_t held_count_ = 0;
    uint64_t cut_off_ = 0;
    Destinations destinations_;
};

}  // namespace quorate::cluster
