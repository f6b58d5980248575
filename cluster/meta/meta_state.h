// What every node must agree on: the cluster's id and settings, its nodes and their incarnations,
// and for every group where it is to be and where it was last seen to be.
//
// A node is known by the id it got when it joined; each start of it gets a new incarnation, and
// each copy of a group a new replica id. Numbers are never handed out twice, so a request for one
// is named by a token that its asker chose at random: the same token is answered with the same
// number. An incarnation that is down, and every earlier one of the node, stays down.
//
// How it is driven: a leader's planner (cluster/control) proposes PlaceGroup; each group's leader
// moves its group there and proposes Configured; nodes make and remove copies as both say.
//
// Thread: the worker of the `meta` group. Owner: the StateMachine around it.
// Errors: apply() fails for bytes that are no command and changes nothing; refusals are answers.
// Spec: rules, "Raft members are replica ids", "Voters"; design §6 (Join, drain, leave).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "cluster/meta/meta_command.h"
#include "cluster/meta/meta_records.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace quorate::storage {
class StateBatch;
class StateStore;
}  // namespace quorate::storage

namespace quorate::cluster {

class MetaState {
  public:
    static constexpr std::size_t kNodesMax = 1024;  // those that are gone included
    static constexpr std::size_t kGroupsMax = 1024;
    static constexpr std::size_t kTextMax = 1024;  // of a name, an address or a note
    static constexpr std::size_t kVotersMax = 9;   // of a group, and so of the replication factor

    Result<MetaAnswer> apply(std::string_view command, storage::StateBatch& batch);
    // Forgets what it held before. Corrupt, with text for the operator, for damaged records, for
    // records that contradict each other, and for those of an earlier version.
    [[nodiscard]] Status load(const storage::StateStore& store);

    // 0: no cluster yet.
    [[nodiscard]] uint64_t cluster_id() const { return cluster_.id; }
    [[nodiscard]] const MetaCluster& cluster() const { return cluster_; }
    [[nodiscard]] const std::map<NodeId, MetaNode>& nodes() const { return nodes_; }
    [[nodiscard]] const std::map<GroupId, MetaGroup>& groups() const { return groups_; }
    // Null: unknown.
    [[nodiscard]] const MetaNode* node(NodeId id) const;
    [[nodiscard]] const MetaGroup* group(GroupId id) const;
    // Never known, or known to be down.
    [[nodiscard]] bool down(Incarnation incarnation) const;
    // The target or the configuration of a group names a replica of this node.
    [[nodiscard]] bool holds(NodeId id) const;
    [[nodiscard]] uint64_t digest() const;

  private:
    // What the command under way has changed, to be written.
    struct Changed {
        bool cluster = false;
        std::set<NodeId> nodes;
        std::set<GroupId> groups;
    };
    // A replica each for these nodes: the one that the group has there, or a new one.
    struct Allotment {
        std::vector<ReplicaId> voters;
        std::vector<ReplicaId> learners;
        std::vector<NodeId> fresh;  // nodes that give out their next number
    };

    // To change it: it will be written.
    [[nodiscard]] MetaNode* change_node(NodeId id);
    [[nodiscard]] MetaGroup* change_group(GroupId id);
    [[nodiscard]] MetaCode allot(const MetaGroup& group, const PlaceGroup& place,
                                 Allotment& out) const;
    [[nodiscard]] static bool could_be(const FormCluster& body);
    [[nodiscard]] bool others_stay(NodeId id) const;
    void end_incarnations(NodeId id, MetaNode& node);

    // meta_nodes.cpp
    void on(const FormCluster& body, MetaAnswer& answer);
    void on(const SetReplication& body, MetaAnswer& answer);
    void on(const JoinNode& body, MetaAnswer& answer);
    void on(const StartNode& body, MetaAnswer& answer);
    void on(const DrainNode& body, MetaAnswer& answer);
    void on(const UndrainNode& body, MetaAnswer& answer);
    void on(const DecommissionNode& body, MetaAnswer& answer);
    void on(const NodeGone& body, MetaAnswer& answer);
    void on(const ForgetNode& body, MetaAnswer& answer);
    void on(const IncarnationDown& body, MetaAnswer& answer);
    // meta_groups.cpp
    void on(const PlaceGroup& body, MetaAnswer& answer);
    void on(const ReplaceReplica& body, MetaAnswer& answer);
    void on(const Configured& body, MetaAnswer& answer);

    void write(storage::StateBatch& batch) const;
    [[nodiscard]] Status take(std::string_view key, std::string_view value);
    [[nodiscard]] bool consistent() const;

    MetaCluster cluster_;
    std::map<NodeId, MetaNode> nodes_;
    std::map<GroupId, MetaGroup> groups_;
    Changed changed_;
};

}  // namespace quorate::cluster
