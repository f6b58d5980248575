// What every node must agree on: the cluster's id, its nodes, and the numbers handed out once.
//
// A node is known by the id it got when it joined; each start of it gets a new incarnation, and
// each copy of a group a new replica id, as (node, number). Numbers are never handed out twice, so
// a request is named by a token that its asker chose at random: the same token is answered with the
// same number. An incarnation that is down, and every earlier one of the node, stays down.
//
// Thread: the worker of the `meta` group. Owner: the StateMachine around it.
// Errors: apply() fails for bytes that are no command and changes nothing; refusals are answers.
// Spec: rules R-0, "Raft members are replica ids", R-8; design §6 (Join, drain, leave).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace quorate::storage {
class StateBatch;
class StateStore;
}  // namespace quorate::storage

namespace quorate::cluster {

// The first command of a cluster; a second one changes nothing.
struct FormCluster {
    uint64_t cluster_id = 0;  // not 0
};
// Asked by a node with an empty disk. `name` is unique in the cluster.
struct JoinNode {
    std::string_view name;
    std::string_view address;  // host:port of its links
};
// Asked by a node at each start, before it serves; ends its earlier incarnations.
struct StartNode {
    NodeId node;
    std::string_view address;
};
struct NewReplica {
    NodeId node;
};
struct IncarnationDown {
    Incarnation incarnation;
};
// Only of a node without a running incarnation.
struct ForgetNode {
    NodeId node;
};

using MetaCommandBody =
    std::variant<FormCluster, JoinNode, StartNode, NewReplica, IncarnationDown, ForgetNode>;

struct MetaCommand {
    uint64_t token = 0;  // not 0; the asker's own
    MetaCommandBody body;
};

void encode_meta_command(std::string& out, uint64_t token, const MetaCommandBody& body);
// Views point into `in`. Corrupt for anything else.
[[nodiscard]] Result<MetaCommand> decode_meta_command(std::string_view in);

enum class MetaCode : uint8_t { Applied, NotFormed, Exists, NotFound, Running, LimitExceeded };

struct MetaAnswer {
    uint64_t token = 0;
    MetaCode code = MetaCode::Applied;
    uint64_t cluster_id = 0;
    NodeId node;              // of JoinNode
    Incarnation incarnation;  // of StartNode
    ReplicaId replica;        // of NewReplica
};

struct MetaNode {
    std::string name;
    std::string address;
    Incarnation running;   // 0: none
    Incarnation first_up;  // lower ones are down
    uint32_t next_incarnation = 1;
    uint32_t next_replica = 1;
    uint64_t start_token = 0;  // of the last StartNode and NewReplica, to answer them again
    uint64_t replica_token = 0;
    uint64_t join_token = 0;
};

class MetaState {
  public:
    static constexpr std::size_t kNodesMax = 1024;
    static constexpr std::size_t kTextMax = 1024;  // of a name or an address

    // The record is small, so each command writes it whole.
    Result<MetaAnswer> apply(std::string_view command, storage::StateBatch& batch);
    [[nodiscard]] Status load(const storage::StateStore& store);
    [[nodiscard]] Status load_record(std::string_view value);

    [[nodiscard]] uint64_t cluster_id() const { return cluster_id_; }
    [[nodiscard]] const std::map<NodeId, MetaNode>& nodes() const { return nodes_; }
    // Never known, or known to be down.
    [[nodiscard]] bool down(Incarnation incarnation) const;
    [[nodiscard]] uint64_t digest() const;

  private:
    [[nodiscard]] MetaNode* find(NodeId node);
    void on(const FormCluster& body, MetaAnswer& answer);
    void on(const JoinNode& body, MetaAnswer& answer);
    void on(const StartNode& body, MetaAnswer& answer);
    void on(const NewReplica& body, MetaAnswer& answer);
    void on(const IncarnationDown& body, MetaAnswer& answer);
    void on(const ForgetNode& body, MetaAnswer& answer);
    void write(RecordWriter& out) const;

    uint64_t cluster_id_ = 0;
    uint32_t next_node_ = 1;
    std::map<NodeId, MetaNode> nodes_;
};

}  // namespace quorate::cluster
