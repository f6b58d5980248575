// Where groups are to be, and where they are.
#include <algorithm>

#include "cluster/meta/meta_state.h"
#include "cluster/meta/replica_id.h"

namespace quorate::cluster {

// A copy that the group has keeps its id: it may hold votes and entries. That is also so when an
// earlier target dropped it and the group is still configured with it.
MetaCode MetaState::allot(const MetaGroup& group, const PlaceGroup& place, Allotment& out) const {
    if (place.voters.size() % 2 == 0 || place.voters.size() > kVotersMax) return MetaCode::Invalid;
    std::set<NodeId> seen;
    MetaCode code = MetaCode::Applied;
    const auto add = [&](NodeId id, std::vector<ReplicaId>& replicas) {
        const MetaNode* at = node(id);
        if (at == nullptr) {
            code = MetaCode::NotFound;
            return;
        }
        if (!seen.insert(id).second) code = MetaCode::Invalid;
        if (at->state == NodeState::Gone) code = MetaCode::Gone;
        ReplicaId replica = group.target_on(id);
        if (replica.value() == 0) replica = group.configured_on(id);
        if (replica.value() == 0) {
            if (at->next_replica == UINT32_MAX) code = MetaCode::LimitExceeded;
            replica = replica_id(id, at->next_replica);
            out.fresh.push_back(id);
        }
        replicas.push_back(replica);
    };
    for (const NodeId id : place.voters)
        add(id, out.voters);
    for (const NodeId id : place.learners)
        add(id, out.learners);
    std::ranges::sort(out.learners);
    return code;
}

void MetaState::on(const PlaceGroup& body, MetaAnswer& answer) {
    const MetaGroup* found = group(body.group);
    if (found == nullptr) {
        answer.code = MetaCode::NotFound;
        return;
    }
    if (found->version != body.version) {
        answer.code = MetaCode::Stale;
        return;
    }
    Allotment allotted;
    answer.code = allot(*found, body, allotted);
    if (answer.code != MetaCode::Applied) return;
    for (const NodeId id : allotted.fresh)
        ++change_node(id)->next_replica;
    MetaGroup& placed = *change_group(body.group);
    ++placed.version;
    placed.voters = std::move(allotted.voters);
    placed.learners = std::move(allotted.learners);
}

void MetaState::on(const ReplaceReplica& body, MetaAnswer& answer) {
    const NodeId id = node_of(body.replica);
    const MetaGroup* found = group(body.group);
    if (found == nullptr || node(id) == nullptr) {
        answer.code = MetaCode::NotFound;
        return;
    }
    const ReplicaId now = found->target_on(id);
    if (now != body.replica) {
        // It was replaced already, or is not wanted any more.
        answer.replica = now;
        if (now < body.replica) answer.code = MetaCode::NotFound;
        return;
    }
    if (node(id)->next_replica == UINT32_MAX) {
        answer.code = MetaCode::LimitExceeded;
        return;
    }
    answer.replica = replica_id(id, change_node(id)->next_replica++);
    MetaGroup& changed = *change_group(body.group);
    ++changed.version;
    std::ranges::replace(changed.voters, body.replica, answer.replica);
    std::ranges::replace(changed.learners, body.replica, answer.replica);
    std::ranges::sort(changed.learners);
    std::erase_if(changed.voided, [id](ReplicaId replica) { return node_of(replica) == id; });
    changed.voided.push_back(body.replica);
}

void MetaState::on(const Configured& body, MetaAnswer& answer) {
    const MetaGroup* found = group(body.group);
    if (found == nullptr) {
        answer.code = MetaCode::NotFound;
        return;
    }
    // Only members that were given out here: a leader that says otherwise is of another cluster.
    bool known = true;
    body.configuration.for_each([&](ReplicaId replica) {
        const MetaNode* at = node(node_of(replica));
        known = known && at != nullptr && number_of(replica) > 0 &&
                number_of(replica) < at->next_replica;
    });
    if (!known) {
        answer.code = MetaCode::Invalid;
    } else if (body.index < found->configured_index) {
        answer.code = MetaCode::Stale;
    } else if (body.index > found->configured_index) {
        MetaGroup& changed = *change_group(body.group);
        changed.configured_index = body.index;
        changed.configured = body.configuration;
    }
}

}  // namespace quorate::cluster
