// The real state machine of a shard in one life of one replica, and what its leader does about the
// state: it answers, hands over the outbox, ticks, ends incarnations, asks connections to let go.
//
// The shard is a cluster of its own: every topic is its own, so it hands over to itself, through
// the lane of the process that leads. *Thread*: one. *Owner*: Replica; dies with its process.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/group/group.h"
#include "cluster/group/state_machine.h"
#include "cluster/shard/shard_state.h"
#include "tests/sim/replicated/checkers.h"
#include "tests/sim/replicated/lane_sender.h"
#include "tests/sim/replicated/stage.h"

namespace quorate::sim::replicated {

class Machine final : public cluster::StateMachine {
  public:
    Machine(Stage& stage, Checkers& checkers, uint32_t replica, uint32_t life);

    void set_group(cluster::Group* group) { group_ = group; }
    // Whether a snapshot was installed since the last call.
    [[nodiscard]] bool take_installed() { return std::exchange(installed_, false); }
    // Commands of lanes. Not leading it hears nothing: whoever asks will ask somebody else.
    void take(const CommandPacket& packet);
    // Answers to its own lane.
    void take(const AnswerPacket& packet);
    void hear(Term term, uint32_t replica) { lane_.hear(term, replica); }
    // What is owed; after each turn.
    void work();
    // Each 100 ms.
    void poll();

    [[nodiscard]] bool leading() const { return group_ != nullptr && group_->leading(); }
    // In which it leads or led last.
    [[nodiscard]] Term term() const { return term_; }
    // Nothing is owed to anybody.
    [[nodiscard]] bool idle() const;
    // Requires: loaded.
    [[nodiscard]] const cluster::ShardState& state() const { return *state_; }
    [[nodiscard]] bool loaded() const { return state_ != nullptr; }
    // A record could not be read: the disk is damaged. Empty: none was.
    void found_damage(const std::string& what) { damage_ = what; }
    [[nodiscard]] const std::string& damage() const { return damage_; }

    [[nodiscard]] Status load(storage::StateStore& store, LogIndex applied,
                              ClusterTime time) override;
    [[nodiscard]] Status apply(const cluster::CommandEntry& entry,
                               storage::StateBatch& batch) override;
    void applied(LogIndex index) override;
    void on_leader(Term term) override;
    void on_follower(Term term) override;

  private:
    void apply_one(ClusterTime time, std::string_view command, storage::StateBatch& batch);
    [[nodiscard]] bool leaves_out(LogIndex index) const;
    void forget_received(ClusterTime time, storage::StateBatch& batch);
    void leave_out(const storage::StateBatch& whole, storage::StateBatch& batch) const;
    void propose(std::string command);
    [[nodiscard]] bool try_propose(std::string_view command);
    void propose_own(const cluster::CommandBody& body);
    void answer_early(std::string_view command);
    void send_answers();
    void announce();
    void ask_to_let_go();
    void ask_to_let_go(const cluster::LetGo& request);
    void owe_node_downs();
    void drive_outbox();

    Stage& stage_;
    Checkers& checkers_;
    const uint32_t replica_;
    const Incarnation incarnation_;
    cluster::Group* group_ = nullptr;
    std::unique_ptr<cluster::ShardState> state_;
    cluster::Actions actions_;
    std::vector<ClusterTime> applied_at_;  // of actions_.answers
    LogIndex applied_;
    std::deque<std::string> held_;  // what the group refuses for the moment
    // Mutant::ReceivedByTimer: when they came.
    std::map<std::pair<SessionId, PacketId>, ClusterTime> received_;

    Term term_;
    LaneSender lane_;
    uint64_t next_token_ = 1;
    std::map<uint64_t, std::pair<cluster::OutboxTarget, OutboxNumber>> under_way_;  // by token
    std::map<cluster::OutboxTarget, OutboxNumber> handed_over_;
    std::map<cluster::OutboxTarget, std::vector<OutboxNumber>> done_;
    std::set<Incarnation> downs_proposed_;
    RouteSerial made_;
    bool installed_ = false;
    bool ticking_ = false;
    bool work_left_ = false;
    std::string damage_;
};

}  // namespace quorate::sim::replicated
