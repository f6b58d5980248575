// Carries out, for one group on this node, what the reconciler says is next while this node leads
// it: changes of members, hand-overs, reports to `meta`, the end of leases. While it does not lead,
// it only sees to it that the replica listens to those that `meta` names.
//
//   tick() ─► view of the group ─► next_step(meta, view) ─► Group::change | Group::transfer
//                                                           | report | TableLease::stop
//
// It remembers nothing that matters: only since when followers keep up, what it has reported within
// the last second, and that a hand-over has just been tried.
//
// How it is driven: `tick` each 100 ms or so, and after applied entries of the group or of `meta`,
// with the newest state of `meta` that this thread has, and the entry it is as of.
//
// Thread: the group's worker. Owner: whoever owns the group's machine; `set_group(nullptr)` before
// the group goes. Errors: what the group refuses is tried again with a later tick.
// Spec: R-8 (move), R-10 (who leaves), Raft §3.10, §4.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "cluster/control/catch_up.h"
#include "cluster/control/group_reconciler.h"
#include "cluster/group/group.h"
#include "cluster/meta/meta_state.h"
#include "cluster/steward/table_lease.h"
#include "proto/base/environment.h"
#include "proto/base/ids.h"
#include "proto/base/log.h"

namespace quorate::cluster {

class GroupSteward {
  public:
    // A command for `meta`; may be lost.
    using Report = std::function<void(const MetaCommandBody& command)>;

    struct Options {
        std::chrono::milliseconds report_again{1000};
        // A hand-over that came to nothing is not tried again at once: while one is under way the
        // group takes no proposals.
        std::chrono::milliseconds transfer_again{5000};
        uint32_t priority = raft::kNormalPriority;
    };

    // `lease`: of a table's group; null for others. Clock and lease outlive this.
    GroupSteward(GroupId group, const Clock& clock, const Log& log, Report report,
                 TableLease* lease, const Options& options);
    GroupSteward(GroupId group, const Clock& clock, const Log& log, Report report,
                 TableLease* lease = nullptr);

    // Null: not here any more.
    void set_group(Group* group);
    // This node lags behind a table: it should lead nothing.
    void suspend(bool suspended);
    void tick(const MetaState& meta, LogIndex as_of);

  private:
    void learn(const MetaState& meta);
    [[nodiscard]] LedGroupView view() const;
    void carry_out(const NothingToDo& step);
    void carry_out(const ChangeConfiguration& step);
    void carry_out(const TransferLeadership& step);
    void carry_out(const ReportConfigured& step);
    void carry_out(const StopLeases& step);

    const GroupId id_;
    const Clock& clock_;
    const Log log_;
    const Report report_;
    TableLease* const lease_;
    const Options options_;
    Group* group_ = nullptr;
    bool suspended_ = false;
    std::optional<LogIndex> learnt_;  // as of which state of `meta`

    Term term_;  // that `catch_up_` is of
    CatchUp catch_up_;
    std::optional<LogIndex> reported_;
    std::chrono::nanoseconds report_due_{};
    std::chrono::nanoseconds transfer_due_{};
};

}  // namespace quorate::cluster
