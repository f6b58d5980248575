#include "cluster/control/group_keeper.h"

#include <map>

#include "cluster/control/mutants.h"
#include "cluster/meta/replica_id.h"

namespace quorate::cluster {
namespace {

bool founding(const MetaGroup& group, ReplicaId replica) {
    return group.configured_index.value() == 0 && number_of(replica) == kFoundingReplica &&
           group.configured.contains(replica);
}

void create(GroupId id, const MetaGroup& group, ReplicaId wanted, bool founded,
            std::vector<KeeperStep>& out) {
    if (founding(group, wanted) && !founded) {
        out.emplace_back(CreateReplica{id, wanted, true, group.configured});
    } else if (group.configured.votes(wanted)) {
        out.emplace_back(AskReplacement{id, wanted});
    } else {
        out.emplace_back(CreateReplica{id, wanted, false, {}});
    }
}

bool deletable(const MetaGroup& group, const DiskReplica& disk) {
    if (mutated(ControlMutant::DeleteConfigured)) return true;
    return !group.configured.contains(disk.replica) &&
           group.configured_index >= disk.configuration_index;
}

}  // namespace

std::vector<KeeperStep> keep(const MetaState& meta, const KeptDisk& disk) {
    std::map<GroupId, const DiskReplica*> held;
    for (const DiskReplica& replica : disk.replicas)
        held[replica.group] = &replica;
    std::vector<KeeperStep> out;
    const MetaNode* self = meta.node(disk.self);
    if (self == nullptr) return out;
    for (const auto& [id, group] : meta.groups()) {
        const ReplicaId wanted = group.target_on(disk.self);
        const auto found = held.find(id);
        if (found == held.end()) {
            if (wanted.value() != 0) create(id, group, wanted, disk.founded, out);
            continue;
        }
        const DiskReplica& here = *found->second;
        // Given out after what this `meta` knows of.
        if (number_of(here.replica) >= self->next_replica) continue;
        if (here.replica == wanted) {
            if (!here.sound) out.emplace_back(AskReplacement{id, wanted});
        } else if (wanted > here.replica && !here.sound) {
            out.emplace_back(RejoinReplica{id, wanted});
        } else if (deletable(group, here)) {
            out.emplace_back(DeleteReplica{id, here.replica});
        }
    }
    return out;
}

}  // namespace quorate::cluster
