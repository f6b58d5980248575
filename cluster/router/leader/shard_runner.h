// A shard on this node: its state machine in its group, and what its leader does with it.
//
// As a StateMachine it applies every entry on every replica. What the state machine asks for
// (Actions) is carried out by the leader alone, once a turn, after the batch was written: answers,
// deliveries, routes, the outbox, timers. Nothing of that is needed for safety: a new leader finds
// what is owed in the state.
//
// Thread: the shard's worker. Owner: the Cluster. Errors: see StateMachine.
// Spec.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cluster/router/leader/group_runner_base.h"
#include "cluster/router/leader/kept_qos0.h"
#include "cluster/router/leader/let_go_driver.h"
#include "cluster/router/leader/route_driver.h"
#include "cluster/router/leader/session_feed.h"
#include "cluster/router/leader/shared_leader.h"
#include "cluster/shard/shard_state.h"

namespace quorate::cluster {

class ShardRunner final : public GroupRunnerBase {
  public:
    ShardRunner(ShardId shard, const ShardOptions& options, const SharedLeaderOptions& shared,
                WorkerRouter& router, const Log& log);
    // Where timers run; before serving. Without one (a simulation) its owner calls on_timer().
    void set_worker(Worker* worker) { worker_ = worker; }
    // A deadline of the state may have passed: proposes a Tick.
    void on_timer();
    ~ShardRunner() override;

    Status load(storage::StateStore& store, LogIndex applied, ClusterTime time) override;
    Status apply(const CommandEntry& entry, storage::StateBatch& batch) override;
    void applied(LogIndex index) override;
    void unloaded() override;
    std::vector<DirectoryOp> table_ops() const override;
    void moved(GroupId group) override;
    void peers_changed() override;

    // From parcels; ignored while this replica does not lead:
    void want(const Want& want);
    void publish_live(const mqtt::MessageView& message);
    void publish_group(const GroupPublish& publish);
    void shared_ack(const SharedAck& ack);
    void presence(const SharedPresence& presence);
    // Adds a page of at most `room` messages; false when this shard has more (see `page.next`).
    bool retained(const RetainedQuery& query, uint32_t room, RetainedPage& page);
    // See ShardState::replay_room.
    [[nodiscard]] uint32_t replay_room(SessionId session) const;
    [[nodiscard]] bool has_retained(std::string_view topic) const;
    void route_answered(uint32_t token);
    void hand_over_answered(uint32_t token);
    void hand_over_done(const HandOverDone& done);
    void group_answered(uint32_t token, const Answer& answer);

    // For metrics and administration; the worker's thread. Requires: loaded.
    [[nodiscard]] const ShardState& state() const { return *state_; }
    [[nodiscard]] ShardId shard() const { return shard_; }
    [[nodiscard]] const KeptQos0& kept_qos0() const { return kept_qos0_; }
    [[nodiscard]] const SharedLeader& shared() const { return shared_; }

  private:
    // An outbox entry that a session of another shard takes over by command.
    struct SessionHandOver {
        OutboxTarget target;
        OutboxNumber number;
    };

    // What this leader has handed over in its present attempt.
    struct HandingOver {
        uint32_t attempt = 0;
        OutboxNumber read;  // up to here,
        OutboxNumber sent;  // and what went out last; 0: nothing
    };

    void begin_leading() override;
    void end_leading() override;
    void work() override;
    bool may_refuse(const Command& command) const override { return state_->may_refuse(command); }
    void note_route_changes(std::string_view command, std::size_t first);
    void note_waiting_answers(std::string_view command, std::size_t first);
    void count_retained();
    void count_sessions();
    void send_live(const LiveCopy& copy);
    void keep_qos0(SessionId session, const SharedBytes& flat, bool retain,
                   std::span<const uint32_t> subscription_ids, std::optional<uint32_t> expiry_s);
    void send_kept(const Want& want);
    void send_answers();
    void drive_outbox();
    void take_entry(const OutboxTarget& target, const OutboxEntryView& entry, HandingOver& to);
    void repeat_let_gos();
    void schedule_repeat();
    // Tells the leaders of a session's shared groups whether it is connected.
    void tell_presence(SessionId session);
    void settle_expired();
    void schedule();
    void owe_node_downs();

    ShardId shard_;
    ShardOptions options_;
    Worker* worker_ = nullptr;
    std::unique_ptr<ShardState> state_;
    Actions actions_;

    RouteDriver routes_;
    SessionFeed feed_;
    LetGoDriver let_gos_;
    SharedLeader shared_;
    KeptQos0 kept_qos0_;
    std::vector<std::string> changed_filters_;
    // Positions in actions_.answers of those that wait for routes, and for which.
    std::map<std::size_t, std::vector<std::pair<RouteName, RouteSerial>>> waiting_;
    std::map<OutboxTarget, HandingOver> handed_over_;
    uint32_t attempts_ = 0;
    std::map<OutboxTarget, std::vector<OutboxNumber>> done_;
    std::map<OutboxTarget, std::vector<OutboxNumber>> back_;  // for their groups' queues
    uint32_t next_hand_over_ = 0;
    std::map<uint32_t, SessionHandOver> session_hand_overs_;
    std::vector<SessionFeed::Expired> expired_;
    uint64_t retained_count_ = 0;  // as last told to the router
    uint64_t session_count_ = 0;   // the same
    bool outbox_dirty_ = false;
    bool routes_dirty_ = false;
    bool repeat_scheduled_ = false;  // of let_gos_
    std::optional<ClusterTime> timer_at_;
    TimerId timer_;
};

}  // namespace quorate::cluster
