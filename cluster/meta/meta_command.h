// What `meta` is told, and what it answers: the commands of group `meta` and their stored form.
//
// *Thread*: any; values. *Errors*: bytes that are no command are Corrupt; what a command asks and
// may not have is an answer with a MetaCode. *Spec*: design §6 (Join, drain, leave); rules
// "Bootstrap", "Raft members are replica ids", "Voters".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cluster/raft/configuration.h"
#include "cluster/topics/destination.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace quorate::cluster {

struct FoundingNode {
    std::string_view name;     // unique in the set, not empty
    std::string_view address;  // host:port of its links
};
struct FoundingGroup {
    GroupId group;
    std::vector<NodeId> voters;  // the preferred leader first
    std::vector<NodeId> learners;
};

// The first command of a cluster: who it begins with, in order (NodeId 1 to n), and where each of
// its groups is. Every founder proposes the same; a second one changes nothing.
struct FormCluster {
    uint64_t cluster_id = 0;  // not 0
    ShardLayout layout;
    uint32_t replication_factor = 3;
    std::vector<FoundingNode> nodes;
    std::vector<FoundingGroup> groups;  // `meta`, `wildcards` and every shard
};
struct SetReplication {
    uint32_t factor = 3;
};
// Asked by a node with an empty disk. A name of a node that is down is taken over: the node of
// before is on its way out from then on.
struct JoinNode {
    std::string_view name;
    std::string_view address;
};
// Asked by a node at each start, before it serves; ends its earlier incarnations.
struct StartNode {
    NodeId node;
    std::string_view address;
};
// `note`, of these three: who asked, when and why, for whoever looks at the node later.
// Leads nothing and serves nobody; keeps its replicas.
struct DrainNode {
    NodeId node;
    std::string_view note;
};
// Takes back DrainNode, or a DecommissionNode that is not finished.
struct UndrainNode {
    NodeId node;
};
// Its replicas move away; then NodeGone.
struct DecommissionNode {
    NodeId node;
    std::string_view note;
};
// Of a node on its way out that holds nothing any more: it never starts again.
struct NodeGone {
    NodeId node;
};
// Removes the record. Only of a node that neither runs nor holds a replica.
struct ForgetNode {
    NodeId node;
};
struct IncarnationDown {
    Incarnation incarnation;
};
// Where a group is to be. A node that has a copy keeps its id, others get a new one.
struct PlaceGroup {
    GroupId group;
    uint64_t version = 0;        // of the target this one replaces
    std::vector<NodeId> voters;  // the preferred leader first
    std::vector<NodeId> learners;
};
// A copy that lost what it had promised gets a new id; asked by its node.
struct ReplaceReplica {
    GroupId group;
    ReplicaId replica;
};
// From a group's leader: this configuration is committed at `index` of the group's log.
struct Configured {
    GroupId group;
    LogIndex index;
    raft::Configuration configuration;
};

// The order is part of the stored format.
using MetaCommandBody = std::variant<FormCluster, JoinNode, StartNode, IncarnationDown, ForgetNode,
                                     SetReplication, DrainNode, UndrainNode, DecommissionNode,
                                     NodeGone, PlaceGroup, ReplaceReplica, Configured>;

struct MetaCommand {
    uint64_t token = 0;  // not 0; the asker's own, chosen at random
    MetaCommandBody body;
};

void encode_meta_command(std::string& out, uint64_t token, const MetaCommandBody& body);
// Views point into `in`. Corrupt for anything else.
[[nodiscard]] Result<MetaCommand> decode_meta_command(std::string_view in);

enum class MetaCode : uint8_t {
    Applied,
    NotFormed,      // there is no cluster yet
    Exists,         // another cluster; a name that a running node has
    AddressTaken,   // by a running node
    NotFound,       // no such node, group or replica
    Running,        // the node runs
    Holds,          // the node still holds a replica
    Gone,           // the node was decommissioned or replaced for good
    LastNode,       // no node would be left to move to
    Stale,          // another version was placed, or a later configuration reported, meanwhile
    Invalid,        // what no cluster could be like
    LimitExceeded,  // of nodes, or of a text's length
};
[[nodiscard]] const char* to_string(MetaCode code);

struct MetaAnswer {
    uint64_t token = 0;
    MetaCode code = MetaCode::Applied;
    uint64_t cluster_id = 0;
    NodeId node;              // of JoinNode
    Incarnation incarnation;  // of StartNode
    ReplicaId replica;        // of ReplaceReplica
};

}  // namespace quorate::cluster
