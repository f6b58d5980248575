// The `wildcards` group on this node: routes of filters that no single shard owns.
//
// Among other nodes every replica shows what it applies in this node's tables, tells the table
// lease how far it has come, and the leader answers a Route when the lease says that it is made.
//
// Thread: the group's worker. Owner: the Cluster. Errors: see StateMachine.
#pragma once

#include <chrono>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/router/leader/group_runner_base.h"
#include "cluster/shard/actions.h"
#include "cluster/shard/wildcard_state.h"
#include "cluster/steward/table_lease.h"

namespace quorate::cluster {

class WildcardsRunner final : public GroupRunnerBase {
  public:
    WildcardsRunner(WorkerRouter& router, const Log& log);

    Status load(storage::StateStore& store, LogIndex applied, ClusterTime time) override;
    Status apply(const CommandEntry& entry, storage::StateBatch& batch) override;
    void applied(LogIndex index) override;
    void unloaded() override;
    std::vector<DirectoryOp> table_ops() const override;
    void shown(LogIndex index) override;
    void peers_changed() override;
    // Among other nodes; before any group is loaded. Outlives this.
    void set_lease(TableLease* lease);

    [[nodiscard]] const WildcardState& state() const { return state_; }

  private:
    // Answers that wait until the entry is made.
    struct Waiting {
        LogIndex index;
        std::vector<GroupAnswer> answers;
    };
    static constexpr std::chrono::milliseconds kLeaseTick{100};

    void begin_leading() override;
    void end_leading() override;
    void turn() override;
    [[nodiscard]] std::vector<DirectoryOp> changed_ops() const;
    void show_changed(std::vector<DirectoryOp> ops, LogIndex index);
    void owe_node_downs();
    void made(LogIndex index);
    void note_route_changes(std::string_view command, std::size_t first);

    WildcardState state_;
    Actions actions_;
    std::vector<std::string> changed_filters_;
    TableLease* lease_ = nullptr;  // null: alone
    std::deque<Waiting> waiting_;
    std::vector<std::string>
        replaced_filters_;  // shown, and not of the state that was loaded since
    bool reloaded_ = false;
    LogIndex applied_;
    std::chrono::nanoseconds next_tick_{0};
};

}  // namespace quorate::cluster
