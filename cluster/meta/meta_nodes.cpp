// The cluster's birth and settings, and the life of its nodes.
#include <algorithm>

#include "cluster/group/group_ids.h"
#include "cluster/meta/meta_state.h"
#include "cluster/meta/replica_id.h"

namespace quorate::cluster {
namespace {

bool fits(std::string_view text) {
    return text.size() <= MetaState::kTextMax;
}

// The members of a founding group: a list without repeats of founders.
bool are_founders(const std::vector<NodeId>& nodes, std::size_t founders, std::set<NodeId>& seen) {
    return std::ranges::all_of(nodes, [&](NodeId id) {
        return id.value() > 0 && id.value() <= founders && seen.insert(id).second;
    });
}

std::vector<ReplicaId> founding_replicas(const std::vector<NodeId>& nodes) {
    std::vector<ReplicaId> out;
    for (const NodeId node : nodes)
        out.push_back(replica_id(node, kFoundingReplica));
    return out;
}

}  // namespace

bool MetaState::could_be(const FormCluster& body) {
    if (body.cluster_id == 0 || body.layout.shards == 0 || body.nodes.empty() ||
        body.nodes.size() > kNodesMax || body.layout.shards > kGroupsMax - 2 ||
        body.groups.size() != body.layout.shards + 2 || body.replication_factor == 0 ||
        body.replication_factor > kVotersMax) {
        return false;
    }
    std::set<std::string_view> names;
    for (const FoundingNode& node : body.nodes) {
        if (node.name.empty() || !fits(node.name) || !fits(node.address)) return false;
        if (!names.insert(node.name).second) return false;
    }
    std::set<GroupId> groups;
    for (const FoundingGroup& each : body.groups) {
        const auto shard = shard_of_group(each.group);
        const bool known = shard ? shard->value() < body.layout.shards
                                 : each.group == kMetaGroup || each.group == kWildcardsGroup;
        if (!known || !groups.insert(each.group).second) return false;
        std::set<NodeId> members;
        if (each.voters.size() % 2 == 0 || each.voters.size() > kVotersMax) return false;
        if (!are_founders(each.voters, body.nodes.size(), members)) return false;
        if (!are_founders(each.learners, body.nodes.size(), members)) return false;
    }
    return true;
}

void MetaState::on(const FormCluster& body, MetaAnswer& answer) {
    if (cluster_.id != 0) {
        if (cluster_.id != body.cluster_id) answer.code = MetaCode::Exists;
        return;
    }
    if (!could_be(body)) {
        answer.code = MetaCode::Invalid;
        return;
    }
    changed_.cluster = true;
    cluster_ = MetaCluster{body.cluster_id, body.layout, body.replication_factor, NodeId(1)};
    for (const FoundingNode& founder : body.nodes) {
        const NodeId id = cluster_.next_node;
        ++cluster_.next_node;
        MetaNode& node = nodes_[id];
        node.name = founder.name;
        node.address = founder.address;
        node.first_up = make_incarnation(id, 1);
        node.next_replica = kFoundingReplica + 1;
        changed_.nodes.insert(id);
    }
    for (const FoundingGroup& founded : body.groups) {
        MetaGroup& group = groups_[founded.group];
        group.voters = founding_replicas(founded.voters);
        group.learners = founding_replicas(founded.learners);
        std::ranges::sort(group.learners);
        group.configured = group.target();
        changed_.groups.insert(founded.group);
    }
}

void MetaState::on(const SetReplication& body, MetaAnswer& answer) {
    if (body.factor == 0 || body.factor > kVotersMax) {
        answer.code = MetaCode::Invalid;
        return;
    }
    changed_.cluster = true;
    cluster_.replication_factor = body.factor;
}

void MetaState::on(const JoinNode& body, MetaAnswer& answer) {
    NodeId before;
    for (const auto& [id, node] : nodes_) {
        if (node.join_token == answer.token) {
            answer.node = id;
            return;
        }
        if (node.state == NodeState::Gone) continue;
        if (node.name == body.name && node.replaced_by.value() == 0) before = id;
        if (node.up() && node.address == body.address && node.name != body.name) {
            answer.code = MetaCode::AddressTaken;
        }
    }
    if (answer.code != MetaCode::Applied) return;
    if (before.value() != 0 && node(before)->up()) {
        answer.code = MetaCode::Exists;
        answer.node = before;
        return;
    }
    if (body.name.empty()) {
        answer.code = MetaCode::Invalid;
        return;
    }
    if (nodes_.size() >= kNodesMax || cluster_.next_node.value() == UINT32_MAX ||
        !fits(body.name) || !fits(body.address)) {
        answer.code = MetaCode::LimitExceeded;
        return;
    }
    changed_.cluster = true;
    answer.node = cluster_.next_node;
    ++cluster_.next_node;
    nodes_[answer.node].first_up = make_incarnation(answer.node, 1);
    MetaNode& joined = *change_node(answer.node);
    joined.name = body.name;
    joined.address = body.address;
    joined.join_token = answer.token;
    if (before.value() == 0) return;
    // It has lost its disk, or somebody else has taken its place: what it held is made anew.
    MetaNode& replaced = *change_node(before);
    replaced.replaced_by = answer.node;
    replaced.state = NodeState::Leaving;
    replaced.note = "replaced by node " + std::to_string(answer.node.value());
}

void MetaState::on(const StartNode& body, MetaAnswer& answer) {
    MetaNode* node = change_node(body.node);
    if (node == nullptr) {
        answer.code = MetaCode::NotFound;
        return;
    }
    if (node->start_token == answer.token) {
        answer.incarnation = make_incarnation(body.node, node->next_incarnation - 1);
        return;
    }
    if (node->state == NodeState::Gone) {
        answer.code = MetaCode::Gone;
        return;
    }
    if (!fits(body.address) || node->next_incarnation == UINT32_MAX) {
        answer.code = MetaCode::LimitExceeded;
        return;
    }
    // One process at a time: whoever starts later is the node.
    node->running = make_incarnation(body.node, node->next_incarnation++);
    node->first_up = node->running;
    node->address = body.address;
    node->start_token = answer.token;
    answer.incarnation = node->running;
}

void MetaState::on(const DrainNode& body, MetaAnswer& answer) {
    MetaNode* node = change_node(body.node);
    if (node == nullptr) {
        answer.code = MetaCode::NotFound;
    } else if (!node->stays()) {
        answer.code = MetaCode::Gone;
    } else if (!fits(body.note)) {
        answer.code = MetaCode::LimitExceeded;
    } else {
        node->state = NodeState::Draining;
        node->note = body.note;
    }
}

void MetaState::on(const UndrainNode& body, MetaAnswer& answer) {
    MetaNode* node = change_node(body.node);
    if (node == nullptr) {
        answer.code = MetaCode::NotFound;
    } else if (node->state == NodeState::Gone || node->replaced_by.value() != 0) {
        answer.code = MetaCode::Gone;
    } else {
        node->state = NodeState::Active;
        node->note.clear();
    }
}

bool MetaState::others_stay(NodeId id) const {
    return std::ranges::any_of(
        nodes_, [id](const auto& entry) { return entry.first != id && entry.second.stays(); });
}

void MetaState::on(const DecommissionNode& body, MetaAnswer& answer) {
    MetaNode* node = change_node(body.node);
    if (node == nullptr) {
        answer.code = MetaCode::NotFound;
    } else if (node->state == NodeState::Gone) {
        answer.code = MetaCode::Gone;
    } else if (!others_stay(body.node)) {
        answer.code = MetaCode::LastNode;
    } else if (!fits(body.note)) {
        answer.code = MetaCode::LimitExceeded;
    } else {
        node->state = NodeState::Leaving;
        node->note = body.note;
    }
}

void MetaState::end_incarnations(NodeId id, MetaNode& node) {
    node.running = Incarnation();
    node.first_up = make_incarnation(id, node.next_incarnation);
}

void MetaState::on(const NodeGone& body, MetaAnswer& answer) {
    MetaNode* node = change_node(body.node);
    if (node == nullptr) {
        answer.code = MetaCode::NotFound;
    } else if (node->stays()) {
        answer.code = MetaCode::Invalid;
    } else if (holds(body.node)) {
        answer.code = MetaCode::Holds;
    } else {
        node->state = NodeState::Gone;
        end_incarnations(body.node, *node);
    }
}

void MetaState::on(const ForgetNode& body, MetaAnswer& answer) {
    const MetaNode* found = node(body.node);
    if (found == nullptr) {
        answer.code = MetaCode::NotFound;
    } else if (found->up()) {
        answer.code = MetaCode::Running;
    } else if (holds(body.node)) {
        answer.code = MetaCode::Holds;
    } else {
        nodes_.erase(body.node);
        changed_.nodes.insert(body.node);
        for (auto& [id, group] : groups_) {
            const auto lost = std::erase_if(
                group.voided, [&](ReplicaId replica) { return node_of(replica) == body.node; });
            if (lost > 0) changed_.groups.insert(id);
        }
    }
}

void MetaState::on(const IncarnationDown& body, MetaAnswer& answer) {
    const NodeId id = node_of(body.incarnation);
    MetaNode* node = change_node(id);
    if (node == nullptr || body.incarnation >= make_incarnation(id, node->next_incarnation)) {
        answer.code = MetaCode::NotFound;
        return;
    }
    if (body.incarnation < node->first_up) return;
    node->first_up = body.incarnation.next();
    if (node->running <= body.incarnation) node->running = Incarnation();
}

}  // namespace quorate::cluster
