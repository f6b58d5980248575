#include "tests/unit/control/control_model.h"

#include <algorithm>
#include <utility>

#include "cluster/control/placement.h"

namespace quorate::cluster::test {

ControlModel::ControlModel(uint32_t nodes, uint32_t replication, uint32_t shards, uint64_t seed)
    : random_(seed) {
    FormCluster form{77, ShardLayout{shards, 0}, replication, {}, {}};
    std::vector<std::string> names;
    for (uint32_t node = 1; node <= nodes; ++node)
        names.push_back("n" + std::to_string(++names_));
    for (const std::string& name : names)
        form.nodes.push_back({name, name});
    form.groups = founding_groups(nodes, replication, shards);
    REQUIRE(meta_.code(form) == MetaCode::Applied);
    for (const auto& [id, group] : state().groups())
        groups_[id].committed = group.configured;
    for (uint32_t node = 1; node <= nodes; ++node)
        bring_up(NodeId(node));
}

NodeId ControlModel::join() {
    const std::string name = "n" + std::to_string(++names_);
    const NodeId node = meta_.ask(JoinNode{name, name}).node;
    nodes_[node].founded = true;
    return node;
}

void ControlModel::decommission(NodeId node) {
    meta_.ask(DecommissionNode{node, "test"});
}

void ControlModel::take_down(NodeId node) {
    nodes_[node].up = false;
    meta_.ask(IncarnationDown{state().node(node)->running});
}

void ControlModel::bring_up(NodeId node) {
    if (meta_.code(StartNode{node, "n"}) != MetaCode::Applied) return;
    nodes_[node].up = true;
    nodes_[node].view = state();
}

NodeId ControlModel::any_node() {
    auto found = nodes_.begin();
    std::advance(found, static_cast<std::ptrdiff_t>(random_.below(nodes_.size())));
    return found->first;
}

// It runs and answers for this group.
bool ControlModel::live(const Group& group, ReplicaId id) const {
    return nodes_.at(node_of(id)).up && holds(group, id);
}

bool ControlModel::holds(const Group& group, ReplicaId id) const {
    const auto copy = group.copies.find(node_of(id));
    return copy != group.copies.end() && copy->second.id == id && copy->second.sound &&
           copy->second.caught_up;
}

const raft::Configuration& ControlModel::in_force(const Group& group) const {
    return group.pending ? *group.pending : group.committed;
}

void ControlModel::act() {
    peace_ = false;
    now_ += std::chrono::milliseconds(random_.below(2'000));
    auto group = groups_.begin();
    std::advance(group, static_cast<std::ptrdiff_t>(random_.below(groups_.size())));
    const uint64_t choice = random_.below(100);
    if (choice < 10) {
        plan();
    } else if (choice < 45) {
        lead(group->first, group->second);
    } else if (choice < 65) {
        replicate(group->first, group->second);
    } else if (choice < 85) {
        keep_disk(any_node());
    } else if (choice < 92) {
        nodes_[any_node()].view = state();
    } else if (choice < 94) {
        lose_copy();
    } else {
        operate();
    }
    check(group->first, group->second);
}

void ControlModel::operate() {
    const NodeId node = any_node();
    const bool all_up = std::ranges::all_of(nodes_, [this](const auto& each) {
        return each.second.up || state().node(each.first)->state == NodeState::Gone;
    });
    switch (random_.below(8)) {
        case 0:
        case 1:
            if (all_up) take_down(node);  // one at a time
            break;
        case 2:
        case 3:
            for (auto& [id, each] : nodes_) {
                if (!each.up) bring_up(id);
            }
            break;
        case 4:
            if (serving().size() < 6) bring_up(join());
            break;
        case 5:
            if (serving().size() > 3 && random_.chance(1, 2)) decommission(node);
            break;
        case 6:
            meta_.ask(DrainNode{node, "test"});
            break;
        default:
            meta_.ask(UndrainNode{node});
            break;
    }
}

std::set<NodeId> ControlModel::serving() const {
    std::set<NodeId> out;
    for (const auto& [id, node] : state().nodes()) {
        if (node.stays()) out.insert(id);
    }
    return out;
}

// A copy loses what it had: only where all the others of its group have everything.
void ControlModel::lose_copy() {
    auto found = groups_.begin();
    std::advance(found, static_cast<std::ptrdiff_t>(random_.below(groups_.size())));
    Group& group = found->second;
    if (group.pending || group.committed.joint() || group.committed.voters.size() < 3) return;
    const bool whole =
        std::ranges::all_of(group.committed.voters, [&](ReplicaId id) { return holds(group, id); });
    const auto copy = group.copies.find(any_node());
    if (!whole || copy == group.copies.end()) return;
    copy->second.sound = false;
    copy->second.caught_up = false;
}

void ControlModel::plan() {
    for (const MetaCommandBody& body : planner_.plan(state(), now_)) {
        if (!peace_ && random_.chance(1, 5)) continue;  // lost
        if (const auto* place = std::get_if<PlaceGroup>(&body)) {
            const MetaGroup& group = *state().group(place->group);
            std::size_t dropped = 0;
            for (const ReplicaId id : group.configured.voters) {
                if (std::ranges::find(place->voters, node_of(id)) == place->voters.end()) ++dropped;
            }
            const std::size_t before = group.configured.voters.size();
            if (place->voters.size() > 1 && dropped > (before - 1) / 2) {
                note("a target drops a majority of " + show(group.configured));
            }
        }
        const MetaCode code = meta_.code(body);
        if (code != MetaCode::Applied) note(std::string("a plan is refused: ") + to_string(code));
    }
}

void ControlModel::elect(Group& group) {
    // An entry that is not committed may be lost with its leader.
    if (group.pending && random_.chance(1, 2)) {
        group.pending.reset();
        ++undone;
    }
    group.leader = ReplicaId();
    const raft::Configuration& now = in_force(group);
    const auto is_live = [&](ReplicaId id) { return live(group, id); };
    if (!now.quorum(is_live)) return;
    std::vector<ReplicaId> able;
    for (const ReplicaId id : group.committed.voters) {
        if (is_live(id)) able.push_back(id);
    }
    if (able.empty()) return;
    group.leader = able[random_.below(able.size())];
    // A leader ends what one before it has begun.
    if (group.committed.joint() && !group.pending) group.pending = group.committed.completed();
}

void ControlModel::lead(GroupId id, Group& group) {
    const bool leads = group.leader.value() != 0 && live(group, group.leader) &&
                       in_force(group).votes(group.leader);
    if (!leads || (!peace_ && random_.chance(1, 20))) return elect(group);
    if (group.pending) return commit(id, group);
    LedGroupView view;
    view.group = id;
    view.self = group.leader;
    view.configuration = group.committed;
    view.configuration_index = group.committed_index;
    view.committed = true;
    for (const auto& [node, copy] : group.copies) {
        if (group.committed.contains(copy.id) && live(group, copy.id)) {
            view.caught_up.push_back(copy.id);
        }
    }
    std::ranges::sort(view.caught_up);
    view.leased.assign(group.leased.begin(), group.leased.end());
    carry_out(id, group, next_step(nodes_[node_of(group.leader)].view, view));
}

void ControlModel::carry_out(GroupId id, Group& group, const GroupStep& step) {
    if (const auto* change = std::get_if<ChangeConfiguration>(&step)) {
        if (!raft::valid(change->to) || change->to == group.committed) {
            note("a change that Raft would refuse: " + show(change->to));
        }
        for (const ReplicaId voter : change->to.voters) {
            if (!group.committed.votes(voter) && !live(group, voter)) {
                note("a voter that has not caught up: " + show(voter));
            }
        }
        raft::Configuration next = change->to;
        if (next.voters != group.committed.voters) next.outgoing = group.committed.voters;
        group.pending = std::move(next);
    } else if (const auto* transfer = std::get_if<TransferLeadership>(&step)) {
        if (live(group, transfer->to)) group.leader = transfer->to;
    } else if (const auto* report = std::get_if<ReportConfigured>(&step)) {
        if (peace_ || !random_.chance(1, 4)) {
            meta_.ask(Configured{id, report->index, report->configuration});
        }
    } else if (const auto* stop = std::get_if<StopLeases>(&step)) {
        for (const NodeId node : stop->nodes)
            group.leased.erase(node);
    }
}

void ControlModel::commit(GroupId id, Group& group) {
    const auto is_live = [&](ReplicaId replica) { return live(group, replica); };
    if (!group.pending->quorum(is_live)) return;
    const bool table = !shard_of_group(id).has_value();
    const raft::Configuration before = std::exchange(group.committed, *group.pending);
    ++group.committed_index;
    group.pending.reset();
    if (group.committed.joint()) {
        ++moves;
        group.pending = group.committed.completed();
    }
    std::set<NodeId> in;
    group.committed.for_each([&](ReplicaId replica) { in.insert(node_of(replica)); });
    before.for_each([&](ReplicaId replica) {
        const NodeId node = node_of(replica);
        if (table && !in.contains(node) && group.leased.contains(node)) {
            note("node " + std::to_string(node.value()) + " left a table's group with a lease");
        }
    });
    if (table && !group.committed.joint()) group.leased = std::move(in);
}

// Followers hear of the last configuration; learners catch up.
void ControlModel::replicate(GroupId id, Group& group) {
    (void)id;
    if (group.leader.value() == 0 || !live(group, group.leader)) return;
    for (auto& [node, copy] : group.copies) {
        if (!nodes_[node].up || !copy.sound || !in_force(group).contains(copy.id)) continue;
        if (!peace_ && random_.chance(1, 2)) continue;
        copy.caught_up = true;
        copy.configuration_index = group.committed_index;
    }
}

void ControlModel::keep_disk(NodeId node) {
    if (!nodes_[node].up) return;
    std::vector<DiskReplica> disk;
    for (const auto& [id, group] : groups_) {
        const auto copy = group.copies.find(node);
        if (copy == group.copies.end()) continue;
        disk.push_back({id, copy->second.id, copy->second.sound, copy->second.configuration_index});
    }
    const auto steps = keep(nodes_[node].view, {node, nodes_[node].founded, disk});
    for (const KeeperStep& step : steps)
        carry_out(node, step);
    const bool founding = std::ranges::any_of(steps, [](const KeeperStep& step) {
        const auto* create = std::get_if<CreateReplica>(&step);
        return create != nullptr && create->founding;
    });
    if (!founding) nodes_[node].founded = true;
}

void ControlModel::carry_out(NodeId node, const KeeperStep& step) {
    if (const auto* create = std::get_if<CreateReplica>(&step)) {
        groups_[create->group].copies[node] = {create->replica, true, create->founding, {}};
    } else if (const auto* remove = std::get_if<DeleteReplica>(&step)) {
        const Group& group = groups_[remove->group];
        const bool votes = group.committed.votes(remove->replica) ||
                           (group.pending && group.pending->votes(remove->replica));
        const bool sound = groups_[remove->group].copies[node].sound;
        if (votes && sound) note("a voter is deleted: " + show(remove->replica));
        groups_[remove->group].copies.erase(node);
        ++deleted;
    } else if (const auto* rejoin = std::get_if<RejoinReplica>(&step)) {
        groups_[rejoin->group].copies[node] = {rejoin->as, true, false, {}};
        ++replaced;
    } else if (const auto* ask = std::get_if<AskReplacement>(&step)) {
        meta_.ask(ReplaceReplica{ask->group, ask->replica});
    }
}

void ControlModel::check(GroupId id, const Group& group) {
    const bool begun = std::ranges::all_of(group.committed.voters, [&](ReplicaId replica) {
        return group.copies.contains(node_of(replica)) || nodes_.at(node_of(replica)).founded;
    });
    if (!begun) return;
    const auto has_it = [&](ReplicaId replica) { return holds(group, replica); };
    if (!in_force(group).quorum(has_it) || !group.committed.quorum(has_it)) {
        note("group " + std::to_string(id.value()) +
             " lost its majority: " + show(in_force(group)));
    }
}

}  // namespace quorate::cluster::test
