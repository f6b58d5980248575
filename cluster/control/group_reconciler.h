// What a group's leader does next, so that its group gets to where `meta` wants it.
//
//   configured as reported? ──no──► Report
//   learners as needed?     ──no──► Change: newcomers come as learners, strangers go
//   newcomers caught up?    ──yes─► Change: one joint change to the voters that are wanted
//   led by whom it should?  ──no──► Transfer
//
// A leader whose node drains, leaves or is suspended hands over before anything else; one that is
// to be removed, before the change that removes it. Every configuration is reported, and `meta`
// has to show the report, before the next change begins: so nobody ever votes whom `meta` does not
// know of, and a copy that `meta` names nowhere may be deleted (GroupKeeper).
//
// How it is driven: by the leader's runner, once its own first entry is applied, after each applied
// entry of the group or of `meta` and with each tick. It remembers nothing: a change that was
// undone, a new leader or a new target in mid-way only make the answer another one. The same step
// is answered until its effect is seen, so the driver repeats a Report no more than once a second.
// Of RaftNode it needs: `configurations()`, `log().committed()`, `transferring()`, and of each
// follower in its progress `match()` (for CatchUp), `recently_active()` and `priority()`. A node
// that is suspended sets the priority of its replicas to 0, or they would be handed back to it.
//
// Pure functions. Thread: the group's worker. Errors: none. Spec: R-8 (move), R-10 (who leaves the
// configuration of a table gets no lease first), Raft §3.10, §4.2, §4.3.
#pragma once

#include <variant>
#include <vector>

#include "cluster/meta/meta_state.h"
#include "cluster/raft/configuration.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// What a leader knows of its group.
struct LedGroupView {
    GroupId group;
    ReplicaId self;
    // The newest in its log, and where; 0 for the founding one.
    raft::Configuration configuration;
    LogIndex configuration_index;
    bool committed = false;     // that one is
    bool transferring = false;  // leadership, already
    bool suspended = false;     // this node is, or its disk is full: it should lead nothing
    // Followers heard of lately that are at most a second behind: learners and voters. Sorted.
    std::vector<ReplicaId> caught_up;
    // Of these, who says that it should not lead (Progress::priority() is 0). Sorted.
    std::vector<ReplicaId> unwilling;
    // `meta` and `wildcards` only: nodes whose table lease may still run (TableGranter::may_leave
    // is false). Sorted.
    std::vector<NodeId> leased;
};

struct NothingToDo {
    bool operator==(const NothingToDo&) const = default;
};
struct ChangeConfiguration {
    raft::Configuration to;  // for RaftNode::change
    bool operator==(const ChangeConfiguration&) const = default;
};
struct TransferLeadership {
    ReplicaId to;
    bool operator==(const TransferLeadership&) const = default;
};
// To `meta`: Configured{group, index, configuration}.
struct ReportConfigured {
    LogIndex index;
    raft::Configuration configuration;
    bool operator==(const ReportConfigured&) const = default;
};
// These are about to leave a table's group: TableGranter::leave, then wait.
struct StopLeases {
    std::vector<NodeId> nodes;
    bool operator==(const StopLeases&) const = default;
};
using GroupStep = std::variant<NothingToDo, ChangeConfiguration, TransferLeadership,
                               ReportConfigured, StopLeases>;

[[nodiscard]] GroupStep next_step(const MetaState& meta, const LedGroupView& view);

}  // namespace quorate::cluster
