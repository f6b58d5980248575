// What the model comes to when nothing happens to it any more, and how it is described.
#include <string>

#include "cluster/control/placement.h"
#include "tests/unit/control/control_model.h"

namespace quorate::cluster::test {

std::string show(ReplicaId id) {
    return std::to_string(node_of(id).value()) + "." + std::to_string(number_of(id));
}

std::string show(const raft::Configuration& configuration) {
    std::string out = "voters";
    for (const ReplicaId id : configuration.voters)
        out += " " + show(id);
    if (configuration.joint()) out += " outgoing";
    for (const ReplicaId id : configuration.outgoing)
        out += " " + show(id);
    if (!configuration.learners.empty()) out += " learners";
    for (const ReplicaId id : configuration.learners)
        out += " " + show(id);
    return out;
}

bool ControlModel::settle(int acts) {
    peace_ = true;
    for (int i = 0; i < acts && violation_.empty(); ++i) {
        now_ += std::chrono::seconds(1);
        for (auto& [id, node] : nodes_) {
            if (!node.up) bring_up(id);
            if (state().node(id)->state == NodeState::Draining) meta_.ask(UndrainNode{id});
            node.view = state();
        }
        if (misplaced().empty()) return true;
        plan();
        for (auto& [id, group] : groups_) {
            lead(id, group);
            replicate(id, group);
            check(id, group);
        }
        for (auto& [id, node] : nodes_)
            keep_disk(id);
    }
    return false;
}

std::string ControlModel::misplaced() const {
    Planner fresh;
    if (!fresh.plan(state(), now_).empty()) return "the planner is not done";
    const std::size_t nodes = serving().size();
    std::map<NodeId, uint32_t> held;
    for (const auto& [id, group] : groups_) {
        const MetaGroup& wanted = *state().group(id);
        const std::string name = "group " + std::to_string(id.value());
        const uint32_t replication =
            shard_of_group(id) ? state().cluster().replication_factor : kEverywhereVotersMax;
        if (wanted.voters.size() != voters_for(replication, nodes)) return name + " in number";
        if (group.pending || group.committed != wanted.target()) return name + " in place";
        if (wanted.configured_index != group.committed_index) return name + " in report";
        if (group.leader != wanted.voters.front()) return name + " in leader";
        std::size_t members = 0;
        group.committed.for_each([&](ReplicaId) { ++members; });
        std::size_t copies = 0;
        for (const auto& [node, copy] : group.copies) {
            if (state().node(node)->state == NodeState::Gone) continue;
            ++copies;
            if (!holds(group, copy.id) || wanted.target_on(node) != copy.id) return name + " copy";
        }
        if (members != copies) return name + " in copies";
    }
    for (const auto& [id, node] : state().nodes()) {
        if (node.state == NodeState::Leaving) return "a node that leaves is not gone";
    }
    return "";
}

std::string ControlModel::describe() const {
    std::string out = misplaced() + "\n";
    for (const auto& [id, node] : state().nodes()) {
        out += std::to_string(id.value()) + " " + to_string(node.state) +
               (node.up() ? " up\n" : " down\n");
    }
    for (const auto& [id, group] : groups_) {
        const MetaGroup& wanted = *state().group(id);
        out += std::to_string(id.value()) + " leader " + show(group.leader) + ", " +
               std::to_string(group.committed_index.value()) + " " + show(in_force(group)) +
               (group.pending ? " (pending)" : "") + ", wanted " + show(wanted.target()) +
               ", reported " + std::to_string(wanted.configured_index.value()) + ", on disk";
        for (const auto& [node, copy] : group.copies)
            out += " " + show(copy.id) + (copy.sound ? "" : "!") + (copy.caught_up ? "" : "?");
        out += "\n";
    }
    return out;
}

}  // namespace quorate::cluster::test
