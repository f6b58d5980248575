// What one worker does for routing besides running its groups: its lanes into all shards, the owner
// of the topics of its shards, and the parcels that come and go.
//
// Thread: the worker's, but for construction. Owner: the Cluster. Errors: none; commands that a
// group refuses wait in its runner.
// Spec.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cluster/group/worker.h"
#include "cluster/router/directory.h"
#include "cluster/router/exchange.h"
#include "cluster/router/lane_client.h"
#include "cluster/router/nodes/hand_over_order.h"
#include "cluster/router/nodes/worker_nodes.h"
#include "cluster/router/owner.h"
#include "cluster/shard/command.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

class GroupRunnerBase;
class ShardRunner;

// Which part of a worker sent a command; in the top byte of its token.
enum class LaneUser : uint8_t {
    Owner = 0,
    Routes = 1,
    HandOver = 2,
    Group = 3,
    Unwatched = 4,
    Replay = 5,
    NodeRoutes = 6,
};

[[nodiscard]] constexpr uint64_t lane_token(LaneUser user, uint64_t rest) {
    return (static_cast<uint64_t>(user) << 56) | rest;
}

class WorkerRouter final : private OwnerHost, private WorkerNodesHost {
  public:
    struct Context {
        Exchange& exchange;
        Directory& directory;
        ShardLayout layout;
        WorkerId worker;
        uint32_t workers = 1;
        std::atomic<int64_t>* retained = nullptr;        // over all shards; outlives the router
        std::span<std::atomic<uint64_t>> retained_in{};  // the same by shard; empty: nobody asks
        uint64_t retained_max = UINT64_MAX;
        std::atomic<int64_t>* sessions = nullptr;  // over all shards; outlives the router
        const OtherNodes* others = nullptr;        // outlives the router; null: there are none
    };
    explicit WorkerRouter(const Context& context);

    // Before traffic begins: commands are numbered under this start of the node.
    void set_incarnation(Incarnation incarnation) {
        incarnation_ = incarnation;
        if (nodes_) nodes_->set_incarnation(incarnation);
    }
    void add_runner(GroupId group, GroupRunnerBase& runner) { runners_[group] = &runner; }

    void receive(const WorkerParcel& parcel);
    // At the end of a turn: lets the runners send, then hands parcels over. True when something was
    // proposed, so that the groups need another turn.
    [[nodiscard]] bool end_turn();
    // Every runner may act from now on. Requires: set_incarnation.
    void start_serving() {
        for_each_runner([](GroupRunnerBase& runner) { start(runner); });
    }
    template <typename Visit>
    void for_each_runner(Visit&& visit) {
        for (auto& [group, runner] : runners_)
            visit(*runner);
    }

    // Numbers the command and sends it to the group, wherever it is. Answered by the user that the
    // token names.
    void submit(GroupId group, LaneClass lane, uint64_t token, std::optional<SourceFence> fence,
                const CommandBody& body);
    // Whether a QoS 0 message may go into the publish lane of a group, as Outbound::admit: nobody
    // waits for it, so nothing else bounds how much of that is unanswered.
    [[nodiscard]] bool admit_unanswered(GroupId group, uint64_t bytes);
    // Where an answer of a group goes.
    void route_answer(GroupAnswer&& answer);

    void answer_taken(PortRef asker, const TakenBatch::Taken& taken) { answer(asker, taken); }
    void answer_hand_over(const HandOverDone& done) { answer(done); }

    // A shard of this worker has so many retained messages now. Before anybody is told of them.
    void retained_changed(ShardId shard, uint64_t before, uint64_t now) {
        if (context_.retained != nullptr)
            context_.retained->fetch_add(static_cast<int64_t>(now) - static_cast<int64_t>(before));
        if (!context_.retained_in.empty()) context_.retained_in[shard.value()].store(now);
    }

    // The same of sessions.
    void sessions_changed(int64_t difference) {
        if (context_.sessions != nullptr) context_.sessions->fetch_add(difference);
    }

    [[nodiscard]] Outbound& outbound() { return outbound_; }
    [[nodiscard]] Directory& directory() { return context_.directory; }
    [[nodiscard]] Exchange& exchange() { return context_.exchange; }
    [[nodiscard]] Incarnation incarnation() const { return incarnation_; }
    [[nodiscard]] const ShardLayout& layout() const { return context_.layout; }
    [[nodiscard]] WorkerId id() const { return context_.worker; }
    [[nodiscard]] WorkerId worker_of(GroupId group) const {
        return WorkerId(static_cast<uint16_t>(group.value() % context_.workers));
    }
    [[nodiscard]] const Owner& owner() const { return owner_; }
    // Null on a single node.
    [[nodiscard]] WorkerNodes* nodes() { return nodes_ ? &*nodes_ : nullptr; }
    // Whether a connection of that start can be sent anything: it is this one, or another that is
    // not down.
    [[nodiscard]] bool reachable(Incarnation incarnation) const {
        return nodes_ ? !nodes_->down(incarnation) : incarnation == incarnation_;
    }
    // Whether nothing will ever come from that start again.
    [[nodiscard]] bool ended(Incarnation incarnation) const {
        return nodes_ ? nodes_->down(incarnation) : incarnation < incarnation_;
    }

  private:
    bool match(std::string_view topic, Destinations& out, bool whole) override;
    bool may_retain(std::string_view topic, bool accepted) override;
    void enqueue(ShardId shard, uint64_t token, const Enqueue& body, ShardId of) override;
    void retain(ShardId shard, uint64_t token, const Retain& body) override;
    void to_group(const GroupRoute& group, Ticket ticket, const SharedBytes& flat,
                  const OutboxSource* source) override;
    void to_loop(LoopId loop, Ticket ticket, const mqtt::MessageView& message,
                 const OutboxSource* source) override;
    bool to_node(Incarnation node, uint64_t token, const SharedBytes& flat,
                 const OutboxSource* source, ShardId of) override;
    bool first_time(const OutboxSource& source) override;
    void to_live(ShardId shard, const mqtt::MessageView& message) override;
    void answer(PortRef asker, const TakenBatch::Taken& taken) override;
    void answer(const HandOverDone& done) override;

    void load_table() override;
    void match_all(std::string_view topic, Destinations& out) override;
    bool confirm(ShardId shard, uint64_t round) override;
    void send_route(GroupId holder, const NodeRoutes::Change& change) override;
    void moved(GroupId group) override;
    void peers_changed() override;

    static void start(GroupRunnerBase& runner);
    // A page on its way into the queue of a durable session.
    struct ReplayUnderWay {
        PortRef from;
        RetainedPage page;
    };

    // From an outbox, which does not send it again while its owner stays: it waits here until the
    // owner may act, or is one no more.
    void hand_over(const HandOver& entry);
    void hand_over_accepted(const HandOver& entry);
    void hand_over_held();

    void read_retained(const RetainedQuery& query);
    void scan_retained(const RetainedQuery& query);
    void make_room(RetainedQuery query);
    void replay(const RetainedQuery& query, RetainedPage&& page);
    void on_replayed(uint64_t id, const Answer& answer);
    LaneClient& lane(GroupId group, LaneClass lane_class);
    void on_answer(const GroupAnswer& routed);
    [[nodiscard]] GroupRunnerBase* leading(GroupId group);
    [[nodiscard]] ShardRunner* leading_shard(ShardId shard);
    [[nodiscard]] ShardRunner* shard_runner(ShardId shard);

    Context context_;
    Incarnation incarnation_;
    Outbound outbound_;
    Owner owner_;
    Directory::Tables::Reader reader_;
    std::optional<WorkerNodes> nodes_;
    HandOverOrder hand_over_order_;
    std::vector<HandOver> held_;  // bounded by the windows of the outboxes
    std::map<GroupId, GroupRunnerBase*> runners_;
    uint64_t next_replay_ = 0;
    std::map<uint64_t, ReplayUnderWay> replays_;  // bounded by the pages its askers wait for
    std::map<GroupId, std::array<std::unique_ptr<LaneClient>, 2>> lanes_;
};

}  // namespace quorate::cluster
