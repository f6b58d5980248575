// What `meta` remembers, as values, and how each is stored: the cluster, a node, a group.
//
// One record for the cluster and one for each node and group, so that a command writes little
// however large the cluster is. *Thread*: any; values. *Errors*: a reader fails on bytes that are
// not what was written. *Spec*: R-0, "Raft members are replica ids".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cluster/raft/configuration.h"
#include "cluster/topics/destination.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

struct MetaCluster {
    uint64_t id = 0;  // 0: not formed
    ShardLayout layout;
    uint32_t replication_factor = 3;
    NodeId next_node{1};
};

//     Active ◄──undrain──► Draining        leads nothing, keeps its replicas
//        │ ▲                  │
//        ▼ └──undrain──┐      ▼
//      decommission ──► Leaving            replicas move away; also a node that was replaced,
//                          │               for which there is no way back
//                          ▼ holds nothing
//                        Gone              never starts again
enum class NodeState : uint8_t { Active, Draining, Leaving, Gone };
[[nodiscard]] const char* to_string(NodeState state);

struct MetaNode {
    std::string name;
    std::string address;  // host:port of its links, as of its last start
    NodeState state = NodeState::Active;
    std::string note;      // why it is in this state
    NodeId replaced_by;    // 0: nobody has taken its name
    Incarnation running;   // 0: none
    Incarnation first_up;  // lower ones are down
    uint32_t next_incarnation = 1;
    uint32_t next_replica = 1;
    uint64_t join_token = 0;  // of the last commands, to answer them again
    uint64_t start_token = 0;

    [[nodiscard]] bool up() const { return running.value() != 0; }
    // It may be given replicas, and keeps those it has.
    [[nodiscard]] bool stays() const {
        return state == NodeState::Active || state == NodeState::Draining;
    }
};

struct MetaGroup {
    uint64_t version = 1;  // of the target; rises with each
    // The target. No two on one node.
    std::vector<ReplicaId> voters;    // the preferred leader first
    std::vector<ReplicaId> learners;  // sorted
    // The last configuration a leader reported as committed, and where in the group's log; the
    // founding one at index 0. Whoever ever voted since is in it, or was in an earlier report.
    LogIndex configured_index;
    raft::Configuration configured;
    // Ids that lost what they had promised, and with each all lower ones of its node.
    std::vector<ReplicaId> voided;

    // What it is to be configured as.
    [[nodiscard]] raft::Configuration target() const;
    // 0: none.
    [[nodiscard]] ReplicaId target_on(NodeId node) const;
    // The highest that is configured there and not void; 0: none.
    [[nodiscard]] ReplicaId configured_on(NodeId node) const;
    [[nodiscard]] bool targets(ReplicaId replica) const;
    // It is as it is to be.
    [[nodiscard]] bool settled() const { return configured == target(); }
};

void write_record(RecordWriter& out, const MetaCluster& cluster);
void write_record(RecordWriter& out, const MetaNode& node);
void write_record(RecordWriter& out, const MetaGroup& group);
// False, and the value of no use, for other bytes.
[[nodiscard]] bool read_record(RecordReader& in, MetaCluster& cluster);
[[nodiscard]] bool read_record(RecordReader& in, MetaNode& node);
[[nodiscard]] bool read_record(RecordReader& in, MetaGroup& group);

}  // namespace quorate::cluster
