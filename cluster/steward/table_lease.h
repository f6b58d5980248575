// One table lease (`meta`, `wildcards`) on this node, both ends: TableHolder asks whoever leads the
// group, TableGranter answers while this node does, for the nodes that the group's configurations
// name.
//
//   shown() ─► request ─► leader's granter ─(quorum round)─► answer ─► until()
//                            └► made() moves ─► on_made
//
// A node gets leases when a committed configuration names it, so that every later leader counts it;
// one that the next change takes out gets none from `stop` on, and may go when its last has run
// out.
//
// How it is driven: `committed` and `shown` as they move, `lead` and `follow` with the machine's
// on_leader and on_follower, `arrived` with each item of kLeaseItem of this group, and `tick` each
// 100 ms or so. Nothing is asked before `begin` has said which incarnation this is.
//
// Thread: the group's worker; until(), suspended(), fenced() and last_made() from any.
// Owner: whoever owns the group's machine; it outlives the group that it was given.
// Errors: items that are none, that belong to another node than they came from, or that answer
// nothing that was asked change nothing. Bounded by the nodes of the group.
// Spec: rules R-10.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/group/group.h"
#include "cluster/lease/table_granter.h"
#include "cluster/lease/table_holder.h"
#include "proto/base/environment.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

class TableLease {
  public:
    // What is sent may be lost. Never called with this node's own id.
    using Send = std::function<void(NodeId to, std::string item)>;

    // The clock counts the time that the machine was suspended, and outlives this.
    TableLease(GroupId group, NodeId node, const Clock& clock, Send send,
               const LeaseTimes& times = {});

    // Called whenever `made` has moved, while this node leads; may propose.
    std::function<void(LogIndex)> on_made;

    // This start of the node is that one. Once.
    void begin(Incarnation self);
    // Null when this node has no copy (any more).
    void set_group(Group* group);

    // Requires: `first` is the first entry of the term, and applied.
    void lead(Term term, LogIndex first);
    void follow();
    // Entries up to `index` are committed and applied here.
    void committed(LogIndex index);
    // Every table that this node's loops read shows the entries up to `index`.
    void shown(LogIndex index);
    // `meta` says so: no lease for it, nor for an earlier one of its node, any more. To be told
    // again after a start.
    void down(Incarnation incarnation);
    void arrived(NodeId from, std::string_view item);
    void tick();

    // These are to be taken out of the group, and no others: no lease for them any more. Those of
    // the call before that stay after all get leases again.
    void stop(const std::vector<NodeId>& nodes);
    // Nodes whose lease may still run, and who may not be taken out therefore. Sorted.
    [[nodiscard]] std::vector<NodeId> leased() const;

    // Every entry up to it is made. 0 unless this node leads.
    [[nodiscard]] LogIndex made();
    [[nodiscard]] bool leading() const { return term_.has_value(); }
    // Of the nodes in the group's configuration; empty unless this node leads.
    [[nodiscard]] std::vector<TableGranter::Report> report();

    // Thread: any. Compare with a reading of the clock: see ActGate.
    [[nodiscard]] BootTime until() const {
        return BootTime(until_.load(std::memory_order_acquire));
    }
    [[nodiscard]] bool valid(BootTime now) const { return now < until(); }
    // This node lags behind the table.
    [[nodiscard]] bool suspended() const { return suspended_.load(std::memory_order_acquire); }
    // This incarnation is down: the process has to end.
    [[nodiscard]] bool fenced() const { return fenced_.load(std::memory_order_acquire); }
    // As of the last move; stays when leadership ends.
    [[nodiscard]] LogIndex last_made() const {
        return LogIndex(last_made_.load(std::memory_order_acquire));
    }

  private:
    [[nodiscard]] std::set<NodeId> named_since_commit() const;
    [[nodiscard]] std::set<NodeId> staying() const;
    void take_members(BootTime now);
    void ask(BootTime now);
    void begin_round();
    void round_ended(uint64_t round, bool confirmed);
    void request(const LeaseRequest& request, BootTime now);
    void deliver(const std::vector<LeaseAnswer>& answers, BootTime now);
    void publish();
    void tell_made(BootTime now);
    void drive();

    const GroupId id_;
    const NodeId node_;
    const Clock& clock_;
    const Send send_;
    const LeaseTimes times_;
    Group* group_ = nullptr;
    TableGranter granter_;
    std::optional<TableHolder> holder_;  // from `begin` on
    std::optional<Term> term_;           // that this node leads
    LogIndex committed_;
    LogIndex shown_;
    LogIndex told_made_;
    uint64_t last_round_ = 0;
    std::set<NodeId> members_;  // of the granter, those that are leaving included
    std::set<NodeId> stopped_;
    std::map<NodeId, Incarnation> down_;  // the last of each

    std::atomic<int64_t> until_{0};
    std::atomic<bool> suspended_{false};
    std::atomic<bool> fenced_{false};
    std::atomic<uint64_t> last_made_{0};
};

}  // namespace quorate::cluster
