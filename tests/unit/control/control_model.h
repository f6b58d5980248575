// A whole cluster as far as placement is concerned: `meta`, the groups as their configurations, the
// copies on the nodes' disks; planner, reconcilers and keepers of production code move them.
//
// A group is what Raft makes of it: a log of configurations, of which the last may not be
// committed; a leader; copies that hold everything or not yet. Each step is one act of somebody,
// chosen by the seed. Checked all along: what is committed stays held by a majority of every
// configuration in force.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "cluster/control/group_keeper.h"
#include "cluster/control/group_reconciler.h"
#include "cluster/control/planner.h"
#include "proto/base/environment.h"
#include "tests/unit/meta/meta_harness.h"

namespace quorate::cluster::test {

// Replicas are written NODE.NUMBER.
[[nodiscard]] std::string show(ReplicaId id);
[[nodiscard]] std::string show(const raft::Configuration& configuration);

class ControlModel {
  public:
    ControlModel(uint32_t nodes, uint32_t replication, uint32_t shards, uint64_t seed);

    // One act of anybody, faults and operators included.
    void act();
    // Everybody up, nothing new: until nothing is to be done any more, or `acts` are over.
    [[nodiscard]] bool settle(int acts);

    NodeId join();
    void decommission(NodeId node);
    void take_down(NodeId node);
    void bring_up(NodeId node);
    void pass(std::chrono::seconds time) { now_ += time; }

    // Empty, or what was lost.
    [[nodiscard]] const std::string& violation() const { return violation_; }
    [[nodiscard]] const MetaState& state() const { return meta_.state; }
    [[nodiscard]] std::string describe() const;
    // Empty: every group is where it belongs, led by whom it should be, and no disk holds more.
    [[nodiscard]] std::string misplaced() const;
    [[nodiscard]] std::set<NodeId> serving() const;

    uint64_t moves = 0;  // changes of voters that were committed
    uint64_t undone = 0;
    uint64_t replaced = 0;
    uint64_t deleted = 0;

  private:
    struct Copy {
        ReplicaId id;
        bool sound = true;
        bool caught_up = false;
        LogIndex configuration_index;
    };
    struct Group {
        raft::Configuration committed;
        LogIndex committed_index;
        std::optional<raft::Configuration> pending;  // at the next index
        ReplicaId leader;
        std::map<NodeId, Copy> copies;
        std::set<NodeId> leased;
    };
    struct Node {
        bool up = false;
        bool founded = false;
        MetaState view;  // as far as it has applied `meta`
    };

    void plan();
    void lead(GroupId id, Group& group);
    void carry_out(GroupId id, Group& group, const GroupStep& step);
    void commit(GroupId id, Group& group);
    void elect(Group& group);
    void keep_disk(NodeId node);
    void carry_out(NodeId node, const KeeperStep& step);
    void replicate(GroupId id, Group& group);
    void lose_copy();
    void operate();
    void note(std::string what) {
        if (violation_.empty()) violation_ = std::move(what);
    }
    [[nodiscard]] bool live(const Group& group, ReplicaId id) const;
    [[nodiscard]] bool holds(const Group& group, ReplicaId id) const;
    [[nodiscard]] const raft::Configuration& in_force(const Group& group) const;
    void check(GroupId id, const Group& group);
    [[nodiscard]] NodeId any_node();

    Meta meta_;
    Planner planner_;
    Random random_;
    std::chrono::nanoseconds now_{};
    std::map<NodeId, Node> nodes_;
    std::map<GroupId, Group> groups_;
    bool peace_ = false;
    uint32_t names_ = 0;
    std::string violation_;
};

}  // namespace quorate::cluster::test
