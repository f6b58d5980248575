// How a node with an empty disk becomes a member: what it asks a member, and what it is told.
//
//   newcomer ─ AdmissionRequest ─► any member ─ JoinNode ─► leader of `meta`
//            ◄─ Admission ─────────           ◄─ NodeId ───
//
// Asked again until `meta` names a copy of itself on the newcomer (`replica`): with that copy,
// which learns the rest from the group, the newcomer is a node like any other. The token is the
// newcomer's candidate id, so that whoever asks twice gets the same node id.
//
// Values. Thread: any. Errors: decoding gives Corrupt for anything but what was encoded; sizes are
// bounded. Spec: design §6 (Join); rules "Raft members are replica ids".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/meta/meta_state.h"
#include "cluster/raft/configuration.h"
#include "cluster/topics/destination.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace quorate::cluster {

struct AdmissionRequest {
    uint64_t token = 0;
    std::string name;
    std::string address;
};

struct Admission {
    struct Member {
        NodeId node;
        std::string name;
        std::string address;
        bool operator==(const Member&) const = default;
    };

    MetaCode code = MetaCode::Applied;  // of JoinNode; otherwise the rest says nothing
    uint64_t cluster_id = 0;
    ShardLayout layout;
    NodeId node;
    // The newcomer's copy of `meta`, and the configuration it begins with; 0: not placed yet.
    ReplicaId replica;
    raft::Configuration configuration;
    std::vector<Member> members;
};

// What `node`, which `meta` may not know of yet, has to be told.
[[nodiscard]] Admission admission_of(const MetaState& meta, NodeId node);
// What a copy begins with that learns from its group who takes part: it is not in it itself.
[[nodiscard]] raft::Configuration newcomers_configuration(const MetaGroup& group,
                                                          ReplicaId replica);

[[nodiscard]] std::string encode(const AdmissionRequest& request);
[[nodiscard]] std::string encode(const Admission& admission);
[[nodiscard]] Result<AdmissionRequest> decode_admission_request(std::string_view bytes);
[[nodiscard]] Result<Admission> decode_admission(std::string_view bytes);

}  // namespace quorate::cluster
