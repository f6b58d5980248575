// The `wildcards` group on this node: routes of filters that no single shard owns.
//
// Thread: the group's worker. Owner: the Cluster. Errors: see StateMachine.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cluster/router/leader/group_runner_base.h"
#include "cluster/shard/actions.h"
#include "cluster/shard/wildcard_state.h"

namespace quorate::cluster {

class WildcardsRunner final : public GroupRunnerBase {
  public:
    WildcardsRunner(WorkerRouter& router, const Log& log);

    Status load(storage::StateStore& store, LogIndex applied, ClusterTime time) override;
    Status apply(const CommandEntry& entry, storage::StateBatch& batch) override;
    void applied(LogIndex index) override;
    std::vector<DirectoryOp> table_ops() const override;

    [[nodiscard]] const WildcardState& state() const { return state_; }

  private:
    void begin_leading() override;
    void note_route_changes(std::string_view command, std::size_t first);

    WildcardState state_;
    Actions actions_;
    std::vector<std::string> changed_filters_;
};

}  // namespace quorate::cluster
