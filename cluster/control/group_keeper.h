// Which copies of groups this node makes, removes and begins anew: the difference between what
// `meta` says and what the disk holds.
//
// A copy is deleted only when `meta` names it nowhere and `meta`'s report of the group is not older
// than the last configuration the copy itself has seen: leaders report before they change on, so
// nobody can count on it any more. A copy that lost what it had promised never goes on under its
// id: its node asks for another one (ReplaceReplica), and it rejoins under that.
//
// How it is driven: on every node, by whoever creates groups, after each applied entry of `meta`
// and when the health of a copy changes; after a start not before this node's `meta` has caught up
// once, or it would make copies that are long gone. It remembers nothing and repeats itself until
// the disk shows the effect; a driver that works on a group asks again when it is done. Founding
// copies are made as `founding` until all of them were once on disk (a durable fact of the node,
// kept beside BootstrapRecord); a voter that is missing afterwards has been lost.
//
// Pure functions. Thread: any, one at a time. Errors: none. Spec: R-8.
#pragma once

#include <span>
#include <variant>
#include <vector>

#include "cluster/meta/meta_state.h"
#include "cluster/raft/configuration.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// A copy on this node's disk.
struct DiskReplica {
    GroupId group;
    ReplicaId replica;  // of the group's record, also when the rest is damaged
    bool sound = true;  // false: it lost something, or a record is damaged
    // Of the last configuration in its log, committed or not; 0: none but the one it began with.
    LogIndex configuration_index;
};

// With the founding configuration, or as a newcomer that learns who takes part.
struct CreateReplica {
    GroupId group;
    ReplicaId replica;
    bool founding = false;
    raft::Configuration configuration;  // of a founding one
    bool operator==(const CreateReplica&) const = default;
};
struct DeleteReplica {
    GroupId group;
    ReplicaId replica;
    bool operator==(const DeleteReplica&) const = default;
};
// Group::rejoin: what is on disk is void.
struct RejoinReplica {
    GroupId group;
    ReplicaId as;
    bool operator==(const RejoinReplica&) const = default;
};
// To `meta`: ReplaceReplica{group, replica}.
struct AskReplacement {
    GroupId group;
    ReplicaId replica;
    bool operator==(const AskReplacement&) const = default;
};
using KeeperStep = std::variant<CreateReplica, DeleteReplica, RejoinReplica, AskReplacement>;

struct KeptDisk {
    NodeId self;
    bool founded = false;  // every founding copy was on this disk once
    std::span<const DiskReplica> replicas;
};
// In order of groups. Requires: at most one copy a group.
[[nodiscard]] std::vector<KeeperStep> keep(const MetaState& meta, const KeptDisk& disk);

}  // namespace quorate::cluster
