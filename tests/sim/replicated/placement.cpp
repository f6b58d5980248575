#include "tests/sim/replicated/placement.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "tests/sim/kernel/named_random.h"

namespace quorate::sim::replicated {
namespace {

// Behind the leader, for a learner that may vote.
constexpr uint64_t kCaughtUp = 20;

}  // namespace

Placement::Placement(Stage& stage, Checkers& checkers, Replicas& replicas)
    : stage_(stage),
      checkers_(checkers),
      replicas_(replicas),
      random_(named_random(stage.plan.seed, "placing")) {}

void Placement::begin() {
    raft::Configuration first;
    for (uint32_t node = 0; node < stage_.plan.replicas; ++node) {
        first.voters.push_back(stage_.allot(node));
        goal_.insert(node);
    }
    for (uint32_t node = 0; node < stage_.plan.replicas; ++node) {
        replicas_[node]->allot(first.voters[node], first);
        replicas_[node]->start();
    }
    if (stage_.plan.change_every_us == 0) return;
    Event change;
    change.kind = EventKind::Change;
    stage_.after(around(random_, stage_.plan.change_every_us), change);
}

uint64_t Placement::present() const {
    uint64_t set = 0;
    for (uint32_t node = 0; node < replicas_.size(); ++node) {
        if (here(node).value() != 0) set |= uint64_t{1} << node;
    }
    return set;
}

// Who takes part on this node. On a disk that nothing was written to it is whoever begins there.
ReplicaId Placement::here(uint32_t node) const {
    if (checkers_.is_lost(node)) return ReplicaId();
    const ReplicaId name = checkers_.name(node);
    return name.value() == 0 ? replicas_[node]->self() : name;
}

// Its name, and what was to become its name, are nobody's any more.
void Placement::retire(uint32_t node) {
    stage_.retire(checkers_.name(node));
    stage_.retire(replicas_[node]->self());
}

bool Placement::enough(uint64_t nodes) const {
    const auto holds = [&](ReplicaId voter) {
        const std::optional<uint32_t> node = stage_.node_of_replica(voter);
        return node && (nodes >> *node & 1) != 0 && here(*node) == voter;
    };
    return std::ranges::all_of(checkers_.configurations(),
                               [&](const raft::Configuration& one) { return one.quorum(holds); });
}

bool Placement::may_lose(uint32_t node) const {
    return enough(present() & ~(uint64_t{1} << node));
}

Replica* Placement::leader() const {
    Replica& newest = *replicas_[stage_.newest_leader];
    if (!newest.leads() || stage_.asleep(stage_.newest_leader)) return nullptr;
    return &newest;
}

void Placement::tell_known() {
    for (const auto& replica : replicas_) {
        if (replica->running()) replica->group().set_known(stage_.known);
    }
}

void Placement::begin_newcomer(uint32_t node) {
    ++stage_.counts[Count::Newcomers];
    replicas_[node]->allot(stage_.allot(node), checkers_.committed_configuration());
    tell_known();
    replicas_[node]->start();
}

void Placement::stopped(uint32_t node) {
    Replica& replica = *replicas_[node];
    if (!checkers_.is_lost(node)) {
        if (replica.sound() || !checkers_.mark_of_another(node)) {
            return stage_.violate(
                "R5/R6: a replica with a sound disk stops: " +
                (replica.sound() ? replica.machine().damage() : replica.group().failure()));
        }
        // What its earlier name had promised is missed as if it were its own.
        checkers_.lost(node);
    }
    // It serves nothing.
    if (replica.sound()) replica.crash(0, false);
    if (replica.running() && anew_in_life_[node] == replica.life()) return;
    if (!rebuilding_[node]) ++stage_.counts[Count::DamagesNoticed];
    plan_rebuild(node);
}

void Placement::plan_rebuild(uint32_t node) {
    if (std::exchange(rebuilding_[node], true)) return;
    Event rebuild;
    rebuild.kind = EventKind::Rebuild;
    rebuild.node = static_cast<uint8_t>(node);
    stage_.after(around(random_, stage_.plan.rebuild_us), rebuild);
}

void Placement::empty_disk(uint32_t node) {
    ++stage_.counts[Count::DisksReplaced];
    retire(node);
    replicas_[node]->replace_disk();
    plan_rebuild(node);
}

void Placement::rebuild(uint32_t node) {
    rebuilding_[node] = false;
    Replica& replica = *replicas_[node];
    const bool empty = replica.self().value() == 0;
    if (over_ || (!empty && !checkers_.is_lost(node))) return;
    if (checkers_.committed_configuration().voters.empty()) return plan_rebuild(node);
    retire(node);
    if (!empty && replica.running() && !replica.sound() && random_.chance(1, 2)) {
        ++stage_.counts[Count::BegunAnew];
        anew_in_life_[node] = replica.life();
        const ReplicaId self = stage_.allot(node);
        tell_known();
        replica.rejoin(self, checkers_.committed_configuration());
        return;
    }
    if (!empty) replica.replace_disk();
    begin_newcomer(node);
}

// Those that no configuration in force has, and none is to have.
void Placement::retire_unneeded() {
    const std::vector<raft::Configuration> configurations = checkers_.configurations();
    for (uint32_t node = 0; node < replicas_.size(); ++node) {
        Replica& replica = *replicas_[node];
        if (goal_.contains(node) || replica.self().value() == 0 || rebuilding_[node]) continue;
        const auto has = [&](const raft::Configuration& one) {
            return one.contains(replica.self()) || one.contains(checkers_.name(node));
        };
        if (std::ranges::any_of(configurations, has) || !random_.chance(1, 3)) continue;
        ++stage_.counts[Count::ReplicasRemoved];
        retire(node);
        replica.replace_disk();
        tell_known();
    }
}

// One, three or five of the nodes; most times by adding or replacing as few as that needs.
void Placement::choose_goal() {
    const auto nodes = static_cast<uint32_t>(replicas_.size());
    const auto any = [&] { return static_cast<uint32_t>(random_.below(nodes)); };
    if (random_.chance(1, 2) && goal_.size() < nodes) {
        // Replace one.
        auto leaves = goal_.begin();
        std::advance(leaves, static_cast<std::ptrdiff_t>(random_.below(goal_.size())));
        const uint32_t left = *leaves;
        goal_.erase(leaves);
        for (uint32_t joins = left; joins == left || !goal_.insert(joins).second;)
            joins = any();
        return;
    }
    std::size_t size = one_of<std::size_t>(random_, {1, 3, 3, 5});
    if (size > nodes) size = 3;
    while (goal_.size() < size)
        goal_.insert(any());
    while (goal_.size() > size)
        goal_.erase(any());
}

bool Placement::ready_to_vote(const Replica& leads, const raft::Configuration& now) const {
    const auto& group = const_cast<Replica&>(leads).group();
    return std::ranges::all_of(goal_, [&](uint32_t node) {
        Replica& replica = *replicas_[node];
        if (!replica.sound() || checkers_.is_lost(node) || !now.contains(replica.self()))
            return false;
        return replica.group().applied().value() + kCaughtUp >= group.applied().value();
    });
}

void Placement::ask(Replica& leads, const raft::Configuration& target) {
    if (!leads.group().change(target).ok()) return;
    ++stage_.counts[Count::ChangesBegun];
    leads.wake();
}

void Placement::change() {
    if (over_) return;
    Event again;
    again.kind = EventKind::Change;
    stage_.after(around(random_, stage_.plan.change_every_us), again);
    Replica* const leads = leader();
    if (leads == nullptr) return;
    const raft::Configuration now = leads->group().configuration();
    if (now.joint()) return;
    retire_unneeded();
    raft::Configuration voting;
    raft::Configuration learning = now;
    for (const uint32_t node : goal_) {
        Replica& replica = *replicas_[node];
        if (replica.self().value() == 0 && !rebuilding_[node]) begin_newcomer(node);
        if (replica.self().value() == 0) return;
        voting.voters.push_back(replica.self());
        if (!now.contains(replica.self())) learning.learners.push_back(replica.self());
    }
    std::ranges::sort(voting.voters);
    std::ranges::sort(learning.learners);
    if (now == voting) return choose_goal();
    if (learning != now) return ask(*leads, learning);
    if (ready_to_vote(*leads, now)) ask(*leads, voting);
}

}  // namespace quorate::sim::replicated
