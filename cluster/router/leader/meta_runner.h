// The `meta` group on this node, and the one thing a start asks of it: a new incarnation.
//
// Thread: the group's worker as a StateMachine; `allot` from the main thread, which it blocks.
// Owner: the Cluster. Errors: allot: Unavailable when no answer came in time.
// Spec: R-0 (incarnations), "Raft members are replica ids".
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "cluster/group/group_host.h"
#include "cluster/group/state_machine.h"
#include "cluster/meta/meta_state.h"
#include "proto/base/ids.h"
#include "proto/base/log.h"
#include "proto/base/result.h"

namespace quorate::cluster {

class MetaRunner final : public StateMachine {
  public:
    explicit MetaRunner(const Log& log) : log_(log) {}

    // Forms the cluster with this node alone when the disk is empty, then starts a new incarnation
    // of the node. Requires: the host has started. `cluster_id` and `layout` are used by a first
    // start only.
    [[nodiscard]] Result<Incarnation> allot(GroupHost& host, uint64_t cluster_id,
                                            const ShardLayout& layout,
                                            std::chrono::milliseconds limit);

    Status load(storage::StateStore& store, LogIndex applied, ClusterTime time) override;
    Status apply(const CommandEntry& entry, storage::StateBatch& batch) override;
    void applied(LogIndex index) override;
    void on_leader(Term term) override;
    void on_follower(Term term) override;

  private:
    // Proposes again until it is answered: a command may be refused before the group is led.
    [[nodiscard]] Result<MetaAnswer> ask(GroupHost& host, const MetaCommandBody& body,
                                         std::chrono::steady_clock::time_point deadline);
    // The cluster, and its first node, as far as they are known here.
    [[nodiscard]] std::pair<uint64_t, NodeId> identity(GroupHost& host);

    Log log_;
    MetaState state_;
    std::vector<MetaAnswer> answers_;  // of this turn

    std::mutex mutex_;
    std::condition_variable answered_;
    std::map<uint64_t, MetaAnswer> told_;  // by token; guarded by mutex_
};

}  // namespace quorate::cluster
