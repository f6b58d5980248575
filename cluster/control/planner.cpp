#include "cluster/control/planner.h"

#include <algorithm>
#include <utility>

#include "cluster/control/placement.h"
#include "cluster/group/group_ids.h"
#include "cluster/meta/replica_id.h"

namespace quorate::cluster {
namespace {

using Nodes = std::vector<NodeId>;

bool has(const Nodes& nodes, NodeId node) {
    return std::ranges::find(nodes, node) != nodes.end();
}

Nodes nodes_of(const std::vector<ReplicaId>& replicas) {
    Nodes out;
    for (const ReplicaId replica : replicas) {
        if (!has(out, node_of(replica))) out.push_back(node_of(replica));
    }
    return out;
}

std::size_t dropped(const Nodes& base, const Nodes& next) {
    return static_cast<std::size_t>(
        std::ranges::count_if(base, [&](NodeId node) { return !has(next, node); }));
}

// How many voters a target may leave out.
std::size_t minority(const Nodes& base) {
    return (base.size() - 1) / 2;
}

bool everywhere(GroupId id) {
    return !shard_of_group(id).has_value();
}

}  // namespace

void Planner::begin() {
    down_since_.clear();
}

void Planner::note_down(const MetaState& state, std::chrono::nanoseconds now) {
    for (const auto& [id, node] : state.nodes()) {
        if (node.up()) {
            down_since_.erase(id);
        } else {
            down_since_.try_emplace(id, now);
        }
    }
    std::erase_if(down_since_, [&](const auto& each) { return state.node(each.first) == nullptr; });
}

bool Planner::dead(NodeId id) const {
    const auto down = down_since_.find(id);
    return down != down_since_.end() && down->second + options_.replace_after <= now_;
}

bool Planner::keeps(NodeId id) const {
    const MetaNode* node = state_->node(id);
    return node != nullptr && node->stays() && !dead(id);
}

// The owners by weight. One that is down and has no copy yet is not begun with: a present voter
// fills in for it, so that nothing moves back and forth over a restart.
Planner::Nodes Planner::wanted_of_shard(GroupId id, const Nodes& base) const {
    Nodes counted;
    Nodes able;
    for (const auto& [node, each] : state_->nodes()) {
        if (!each.stays()) continue;
        counted.push_back(node);
        if (keeps(node)) able.push_back(node);
    }
    const std::size_t count = voters_for(state_->cluster().replication_factor, counted.size());
    const auto ready = [&](NodeId node) { return state_->node(node)->up() || has(base, node); };
    Nodes wanted = owners(id, able, count);
    std::erase_if(wanted, [&](NodeId node) { return !ready(node); });
    const auto fill = [&](const Nodes& from, const auto& fits) {
        for (const NodeId node : ranked(id, from)) {
            if (wanted.size() < count && !has(wanted, node) && fits(node)) wanted.push_back(node);
        }
    };
    fill(able, [&](NodeId node) { return has(base, node); });
    fill(able, ready);
    // Rather a copy that is down than one copy fewer.
    fill(counted, [&](NodeId node) { return has(base, node); });
    return wanted.size() == count ? wanted : base;
}

// Present voters stay: they are where they are by chance, and everybody has a copy anyway.
Planner::Nodes Planner::wanted_everywhere(GroupId id, const Nodes& base) const {
    Nodes counted;
    for (const auto& [node, each] : state_->nodes()) {
        if (each.stays()) counted.push_back(node);
    }
    const std::size_t count = voters_for(kEverywhereVotersMax, counted.size());
    Nodes wanted;
    const auto fill = [&](const auto& fits) {
        for (const NodeId node : ranked(id, counted)) {
            if (wanted.size() < count && !has(wanted, node) && fits(node)) wanted.push_back(node);
        }
    };
    fill([&](NodeId node) { return has(base, node) && keeps(node); });
    fill([&](NodeId node) {
        return state_->node(node)->up() && state_->node(node)->state == NodeState::Active;
    });
    fill([&](NodeId node) { return state_->node(node)->up(); });
    fill([&](NodeId node) { return has(base, node); });
    return wanted.size() == count ? wanted : base;
}

Planner::Nodes Planner::learners_everywhere(const Nodes& voters) const {
    Nodes out;
    for (const auto& [id, node] : state_->nodes()) {
        if (has(voters, id) || node.state == NodeState::Gone) continue;
        if (node.stays() || holds_shard(id)) out.push_back(id);
    }
    return out;
}

bool Planner::holds_shard(NodeId id) const {
    return std::ranges::any_of(state_->groups(), [id](const auto& entry) {
        if (everywhere(entry.first)) return false;
        const MetaGroup& group = entry.second;
        return group.target_on(id).value() != 0 || group.configured_on(id).value() != 0;
    });
}

// The next target on the way from the voters a group has to those it should have.
Planner::Nodes Planner::step(GroupId id, const Nodes& base, const Nodes& wanted) const {
    Nodes extra;
    for (const NodeId node : ranked(id, base)) {
        if (!has(wanted, node)) extra.push_back(node);
    }
    // To be dropped first: who is gone, then who weighs least.
    std::ranges::reverse(extra);
    std::ranges::stable_partition(extra, [this](NodeId node) { return !keeps(node); });
    const bool to_one = wanted.size() == 1 && (base.size() == 1 || has(base, wanted.front()));
    const std::size_t most = to_one ? extra.size() : minority(base);
    if (extra.size() <= most) return wanted;
    Nodes next;
    for (const NodeId node : wanted) {
        if (has(base, node)) next.push_back(node);
    }
    next.insert(next.end(), extra.begin() + static_cast<std::ptrdiff_t>(most), extra.end());
    const std::size_t size = std::max(wanted.size(), next.size() | 1U);
    for (const NodeId node : wanted) {
        if (next.size() < size && !has(next, node)) next.push_back(node);
    }
    for (const NodeId node : extra) {
        if (next.size() < size && !has(next, node)) next.push_back(node);
    }
    return next;
}

// It waits for a newcomer that will not come; or a change that was under way when the target was
// made has ended since, and the target would drop a majority of what it came to.
bool Planner::stuck(const MetaGroup& group) const {
    const bool in_vain = std::ranges::any_of(group.voters, [&](ReplicaId replica) {
        return !group.configured.votes(replica) && !keeps(node_of(replica));
    });
    const Nodes base = nodes_of(group.configured.voters);
    const bool too_many = dropped(base, nodes_of(group.voters)) > minority(base);
    return in_vain || (too_many && group.voters.size() > 1);
}

void Planner::count_moves() {
    traffic_ = Traffic{};
    for (const auto& [id, group] : state_->groups()) {
        const raft::Configuration target = group.target();
        if (target.voters == group.configured.voters && !group.configured.joint()) continue;
        ++traffic_.moves;
        for (const ReplicaId replica : target.voters) {
            if (!group.configured.votes(replica)) ++traffic_.to[node_of(replica)];
        }
    }
}

void Planner::draft_voters(GroupId id, const MetaGroup& group, bool repairs) {
    Draft& draft = drafts_[id];
    const bool moving = group.target().voters != group.configured.voters;
    if (group.configured.joint() || (moving && !stuck(group))) return;
    const Nodes base = nodes_of(group.configured.voters);
    const bool lacks = !std::ranges::all_of(base, [this](NodeId node) { return keeps(node); });
    if (lacks != repairs) return;
    const Nodes wanted = everywhere(id) ? wanted_everywhere(id, base) : wanted_of_shard(id, base);
    const Nodes next = step(id, base, wanted);
    Nodes fresh;
    for (const NodeId node : next) {
        if (!has(base, node)) fresh.push_back(node);
    }
    if (fresh.empty() && next.size() == base.size()) {
        if (moving) draft.voters = base;  // back: what it was waiting for will not come
        return;
    }
    const bool room = std::ranges::all_of(
        fresh, [this](NodeId node) { return traffic_.to[node] < options_.moves_per_node_max; });
    const bool exempt = moving || everywhere(id);
    if (!exempt && (!room || traffic_.moves >= options_.moves_max)) return;
    if (!moving) ++traffic_.moves;
    for (const NodeId node : fresh)
        ++traffic_.to[node];
    draft.voters = next;
}

void Planner::draft_leaders() {
    Nodes may_lead;
    for (const auto& [id, node] : state_->nodes()) {
        if (keeps(id)) may_lead.push_back(id);
    }
    std::vector<LedGroup> led;
    for (const auto& [id, group] : state_->groups()) {
        if (everywhere(id)) continue;
        led.push_back({id, drafts_[id].voters, node_of(group.voters.front())});
    }
    balance_leaders(led, may_lead);
    for (const LedGroup& each : led) {
        Nodes& voters = drafts_[each.group].voters;
        const auto leader = std::ranges::find(voters, each.leader);
        std::rotate(voters.begin(), leader, leader + 1);
    }
}

std::vector<MetaCommandBody> Planner::plan(const MetaState& state, std::chrono::nanoseconds now) {
    state_ = &state;
    now_ = now;
    note_down(state, now);
    drafts_.clear();
    count_moves();
    for (const auto& [id, group] : state.groups())
        draft_voters(id, group, true);
    for (const auto& [id, group] : state.groups()) {
        if (drafts_[id].voters.empty()) draft_voters(id, group, false);
    }
    for (const auto& [id, group] : state.groups()) {
        if (drafts_[id].voters.empty()) drafts_[id].voters = nodes_of(group.voters);
    }
    draft_leaders();
    std::vector<MetaCommandBody> out;
    for (const auto& [id, node] : state.nodes()) {
        if (node.state == NodeState::Leaving && !state.holds(id)) out.emplace_back(NodeGone{id});
    }
    for (auto& [id, draft] : drafts_) {
        const MetaGroup& group = *state.group(id);
        if (everywhere(id)) draft.learners = learners_everywhere(draft.voters);
        if (draft.voters == nodes_of(group.voters) && draft.learners == nodes_of(group.learners)) {
            continue;
        }
        if (out.size() >= options_.commands_max) break;
        out.emplace_back(PlaceGroup{id, group.version, draft.voters, draft.learners});
    }
    state_ = nullptr;
    return out;
}

}  // namespace quorate::cluster
