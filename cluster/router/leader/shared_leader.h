// The leader's work for the shared groups of one shard.
//
// A group with a durable member commits: a message waits in the group's replicated queue, a pick
// moves it through the shard's outbox into the member's queue, exactly once. A group of connections
// only forwards without a commit: the message is held here until the member has settled it, and
// goes to another member when the one it was given to ends without having acknowledged it. When the
// last member of a group has left, so has every session it was for: what waits is dropped.
//
// Thread: the shard's worker. Owner: the shard's runner. Bounded: messages held per group; beyond
// that the publish is refused with Quota Exceeded. Groups: those with a member or a message.
// Errors: none. Spec: MQTT 5 §4.8.2 [MQTT-4.8.2-3] to [MQTT-4.8.2-6].
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cluster/router/traffic.h"
#include "cluster/router/worker_router.h"
#include "cluster/sessions/shared_dispatcher.h"
#include "cluster/shard/shard_state.h"

namespace quorate::cluster {

// What became of an outbox entry: gone, or to be back in its group's queue.
enum class HandedOver : uint8_t { Taken, Returned };

struct SharedLeaderOptions {
    SharedStrategy strategy = SharedStrategy::RoundRobin;
    uint32_t waiting_max = 100'000;  // messages of a group that no member has room for
    uint64_t waiting_bytes_max = 64ULL << 20;
    uint32_t member_window = 32;  // messages a connection may have from a group
};

class SharedLeader {
  public:
    // The token comes back with on_pick().
    using Propose = std::function<void(const CommandBody&, uint64_t token)>;
    using Done = std::function<void(const OutboxTarget&, OutboxNumber, HandedOver)>;

    SharedLeader(ShardId shard, WorkerRouter& router, const SharedLeaderOptions& options,
                 Propose propose, Done done)
        : shard_(shard),
          router_(router),
          options_(options),
          propose_(std::move(propose)),
          done_(std::move(done)) {}

    void clear();
    // A group that a new leader finds: its durable members are away until they say otherwise.
    void restore(std::string_view group, const ShardState& state);
    // Its members have changed, or its replicated queue has something to pick.
    void touch(std::string_view group);
    void presence(const SharedPresence& presence, const ShardState& state);

    void publish(const GroupPublish& publish, const ShardState& state);
    void ack(const SharedAck& ack);
    void on_command(uint32_t token, const Answer& answer, const ShardState& state);
    // A proposed pick was applied. One that was refused left its message in the queue.
    void on_pick(uint64_t token, AnswerCode code);
    // The shard's outbox may have room again.
    void outbox_moved();
    // An outbox entry whose picked member is a connection of this node. One of an earlier start
    // waits for its NodeDown, which alone knows what may have been sent.
    void send_picked(const OutboxTarget& target, const OutboxEntryView& entry, SharedBytes message);
    [[nodiscard]] bool idle() const { return touched_.empty(); }
    // Groups that are held here.
    [[nodiscard]] std::size_t groups() const { return groups_.size(); }
    // Messages that waited when the last member of their group left. Since the start.
    [[nodiscard]] uint64_t dropped() const { return dropped_; }
    // Once a turn: members as they are now, picks from replicated queues.
    void work(const ShardState& state, ClusterTime leader_now);

  private:
    struct Group {
        explicit Group(std::string_view text, SharedStrategy strategy);
        std::string name;
        uint64_t hash = 0;
        SharedDispatcher dispatcher;
        bool loaded = false;   // the members are those of the state
        bool touched = false;  // has a place in touched_
        bool any_durable = false;
        std::deque<SharedBytes> waiting;  // memory only
        uint64_t waiting_bytes = 0;
        MessageNumber picked;             // of the replicated queue, up to here
        std::set<MessageNumber> picking;  // picks on their way through the log
        bool more = false;                // picking goes on when one of them is through
        bool outbox_full = false;         // picking goes on when the outbox moves
    };
    struct Pick {
        Group* group = nullptr;
        MessageNumber number;
        Destination member;
    };
    struct Flight {
        Group* group = nullptr;  // null: a free place
        uint32_t generation = 0;
        Destination member;
        SharedBytes message;
        std::optional<OutboxTarget> target;  // of an outbox entry
        OutboxNumber number;
    };
    struct Asked {
        PortRef from;
        Ticket ticket = 0;
        std::optional<HandOverDone> done;
        GroupPublish publish;  // to forward, when no durable member is left by then
    };

    Group& group(std::string_view name);
    void look_at(Group& group);
    // The place of a message that a member gets; its ticket names it until it is settled.
    uint64_t take_off(Flight flight);
    [[nodiscard]] Flight* flight(uint64_t ticket);
    [[nodiscard]] Flight land(uint64_t ticket);
    [[nodiscard]] bool flies(const Group& group) const;
    void load(Group& group, const ShardState& state);
    void commit(const GroupPublish& publish);
    void forward(Group& group, const GroupPublish& publish, const mqtt::MessageView& message);
    // False when no member has room.
    bool dispatch(Group& group, const SharedBytes& flat, const mqtt::MessageView& message);
    void drain(Group& group);
    void pick(Group& group, const ShardState& state, ClusterTime leader_now);
    void propose_pick(Group& group, MessageNumber number, const GroupMember& member);
    // What waits in memory for a member goes to the replicated queue, now that there is one.
    void commit_waiting(Group& group);
    // Messages a member has from the group, or that are on their way to it.
    [[nodiscard]] uint32_t under_way(const Group& group, const Destination& member) const;
    // Gives back the credits of a connection that had no room.
    void room(const ConnectionRef& connection);
    // Connections that are members no more will never say that they have room.
    void forget_room(const Group& group);
    // QoS 0 for a durable member: a live copy, if it is connected.
    void send_live(const Group& group, const GroupMember& member, const SharedBytes& flat);
    void answer(const GroupPublish& publish, uint32_t receivers, mqtt::ReasonCode code);

    ShardId shard_;
    WorkerRouter& router_;
    SharedLeaderOptions options_;
    Propose propose_;
    Done done_;
    std::map<std::string, std::unique_ptr<Group>, std::less<>> groups_;
    std::vector<Group*> touched_;
    std::vector<Flight> flights_;  // a ticket is the place's generation and 1 + its index
    std::vector<uint32_t> free_flights_;
    std::map<ConnectionRef, std::vector<std::string>> no_room_;  // groups to give a credit back to
    std::unordered_map<uint32_t, Asked> asked_;
    uint32_t next_asked_ = 0;
    std::unordered_map<uint64_t, Pick> picks_;
    bool any_outbox_full_ = false;
    uint64_t dropped_ = 0;
    uint64_t next_pick_ = 1;  // of this process, so that no answer is taken for a later one's
};

}  // namespace quorate::cluster
