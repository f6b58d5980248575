// The `meta` group on this node: the StateMachine around MetaState, what its leader has to propose,
// and the state as everybody else on the node reads it.
//
// After each turn a copy of the state is published; readers on other threads hold it as long as
// they like. As leader it proposes the forming of the cluster, what the Planner wants, and the end
// of incarnations whose leases ran out; again until it is applied.
//
// Thread: the group's worker as a StateMachine and for `propose`, `begin`, `end`; `view` any; the
// setters before the host starts. Owner: the Cluster; outlives the host.
// Errors: see StateMachine. Spec: design §6 (Join, drain, leave); rules "Bootstrap".
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/control/planner.h"
#include "cluster/group/group.h"
#include "cluster/group/state_machine.h"
#include "cluster/group/worker.h"
#include "cluster/lease/table_granter.h"
#include "cluster/meta/meta_state.h"
#include "proto/base/environment.h"
#include "proto/base/ids.h"
#include "proto/base/log.h"
#include "proto/base/result.h"

namespace quorate::cluster {

// What `meta` says, as of an entry of its log.
struct MetaView {
    // style-exempt(shared_ptr): readers on many threads, each done with it at a time of its own.
    std::shared_ptr<const MetaState> state;  // never null
    LogIndex applied;
};

class MetaRunner final : public StateMachine {
  public:
    using Watcher = std::function<void(const MetaView&)>;
    using Reports = std::function<std::vector<TableGranter::Report>()>;

    explicit MetaRunner(const Log& log, const PlannerOptions& options = {});

    // Called on the worker after every turn with applied entries, and after each load.
    void watch(Watcher watcher) { watchers_.push_back(std::move(watcher)); }
    // Called on the worker: with each answer that was applied here, whoever had asked.
    void set_answered(std::function<void(const MetaAnswer&)> answered) {
        answered_ = std::move(answered);
    }
    // Called on the worker: this node leads the group, or does not any more.
    void set_leadership(std::function<void(Term)> leads, std::function<void()> follows);
    // Of the leases of this table, asked on the worker while it leads.
    void set_reports(Reports reports) { reports_ = std::move(reports); }
    // What a leader of a group without a cluster forms.
    void set_formation(const FormCluster& formation);

    // The group runs here; `planning`: a leader looks after groups and nodes.
    void begin(Worker& worker, Group& group, bool planning);
    void end();
    // An encoded command. As Group::propose.
    [[nodiscard]] Status propose(std::string_view command);
    // Null: it does not run here.
    [[nodiscard]] Group* group() const { return group_; }

    [[nodiscard]] MetaView view() const;

    Status load(storage::StateStore& store, LogIndex applied, ClusterTime time) override;
    Status apply(const CommandEntry& entry, storage::StateBatch& batch) override;
    void applied(LogIndex index) override;
    void on_leader(Term term) override;
    void on_follower(Term term) override;
    void unloaded() override;

  private:
    using Time = std::chrono::nanoseconds;

    void publish(LogIndex applied, bool changed);
    void work_soon();
    void tick();
    void work();
    void plan(Time now);
    void end_incarnations(Time now);
    void propose_own(const MetaCommandBody& body);

    Log log_;
    MetaState state_;
    Planner planner_;
    std::vector<Watcher> watchers_;
    std::function<void(const MetaAnswer&)> answered_;
    std::function<void(Term)> leads_;
    std::function<void()> follows_;
    Reports reports_;
    std::string formation_;  // encoded; empty: none

    Worker* worker_ = nullptr;
    Group* group_ = nullptr;
    bool planning_ = false;
    bool leading_ = false;
    bool ticking_ = false;
    bool working_soon_ = false;
    std::vector<MetaAnswer> answers_;  // of this turn
    std::set<uint64_t> planned_;       // tokens of what the last plan proposed, not applied yet
    Time plan_at_{};                   // at the latest
    // Which start of each node this leader has seen, and since when: the leases' reports are of
    // what was heard, so a node that has only just started is silent in them.
    std::map<NodeId, std::pair<Incarnation, Time>> started_;
    Time form_at_{};
    Random tokens_;

    mutable std::mutex mutex_;
    MetaView view_;  // guarded by mutex_
};

// A token for a command that is asked once. Thread: any.
[[nodiscard]] uint64_t new_token();

}  // namespace quorate::cluster
