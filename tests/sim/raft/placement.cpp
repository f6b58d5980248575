#include "tests/sim/raft/placement.h"

#include <algorithm>
#include <bit>

namespace quorate::sim {
namespace {

bool among(uint64_t set, ReplicaId id) {
    return id.value() <= kReplicasEver && (set >> (id.value() - 1) & 1) != 0;
}

bool enough_of(const raft::Configuration& configuration, uint64_t set) {
    return quorum_of(configuration, [&](ReplicaId voter) { return among(set, voter); });
}

}  // namespace

SimReplica* leader_of(const SimReplicas& replicas, uint64_t among) {
    SimReplica* found = nullptr;
    for (std::size_t i = 0; i < replicas.size(); ++i) {
        SimReplica* replica = replicas[i].get();
        if ((among >> i & 1) == 0 || !replica->leads()) continue;
        if (found == nullptr || replica->node().term() > found->node().term()) found = replica;
    }
    return found;
}

SimPlacement::SimPlacement(SimWorld& world, SimReplicas& replicas)
    : world_(world), replicas_(replicas), random_(component_random(world.plan.seed, "placement")) {}

void SimPlacement::begin() {
    raft::Configuration configuration;
    for (uint32_t i = 1; i <= world_.plan.replicas; ++i) {
        configuration.voters.emplace_back(i);
    }
    world_.checkers.begin(configuration);
    for (uint32_t i = 0; i < world_.plan.replicas; ++i) {
        add(configuration);
    }
}

void SimPlacement::add(const raft::Configuration& configuration) {
    const auto index = static_cast<uint32_t>(replicas_.size());
    world_.known.emplace_back(index + 1);
    replicas_.push_back(std::make_unique<SimReplica>(index, configuration, world_));
    tell_known();
    replicas_.back()->start();
}

void SimPlacement::tell_known() {
    for (const auto& replica : replicas_) {
        replica->set_known(world_.known);
    }
}

uint64_t SimPlacement::present() const {
    uint64_t set = 0;
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        if (!replicas_[i]->gone()) set |= uint64_t{1} << i;
    }
    return set;
}

bool SimPlacement::enough(uint64_t set) const {
    for (const auto& replica : replicas_) {
        if (replica->gone()) continue;
        const raft::LogStart stored = replica->disk().start();
        if (!enough_of(stored.configuration, set)) return false;
        for (const auto& change : stored.configurations) {
            if (!enough_of(change.configuration, set)) return false;
        }
        for (const auto& change : replica->log().changes()) {
            if (!enough_of(change.configuration, set)) return false;
        }
    }
    return true;
}

bool SimPlacement::mentioned(ReplicaId id) const {
    for (const auto& replica : replicas_) {
        if (replica->gone()) continue;
        const raft::LogStart stored = replica->disk().start();
        if (stored.configuration.contains(id)) return true;
        for (const auto& change : stored.configurations) {
            if (change.configuration.contains(id)) return true;
        }
        for (const auto& change : replica->log().changes()) {
            if (change.configuration.contains(id)) return true;
        }
    }
    return false;
}

void SimPlacement::retire() {
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        const ReplicaId id(i + 1);
        if (replicas_[i]->gone() || mentioned(id)) continue;
        ++world_.counts[RaftCount::ReplicasRetired];
        replicas_[i]->go();
        std::erase(world_.known, id);
    }
    tell_known();
}

void SimPlacement::change() {
    SimReplica* leader = leader_of(replicas_);
    if (leader == nullptr || leader->paused()) return;
    if (random_.chance(1, 20)) retire();
    const auto members = static_cast<uint32_t>(std::popcount(present()));
    const raft::Configuration now = leader->node().configuration();
    if (members < world_.plan.replicas_max && replicas_.size() < kReplicasEver) {
        ++world_.counts[RaftCount::ReplicasAdded];
        add(now);
    }
    if (leader->leads()) leader->change(some_target(now));
}

void SimPlacement::transfer() {
    SimReplica* leader = leader_of(replicas_);
    if (leader == nullptr || leader->paused()) return;
    leader->transfer(ReplicaId(1 + random_.below(replicas_.size())));
}

// Most keep their part; who is gone loses it, most times.
raft::Configuration SimPlacement::some_target(const raft::Configuration& now) {
    enum class Part : uint8_t { None, Learner, Voter };
    raft::Configuration target;
    const uint64_t here = present();
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        const ReplicaId id(i + 1);
        const auto& voters = now.voters;
        Part part = std::binary_search(voters.begin(), voters.end(), id) ? Part::Voter
                    : now.contains(id)                                   ? Part::Learner
                                                                         : Part::None;
        if (!among(here, id)) {
            if (random_.chance(3, 4)) part = Part::None;
        } else if (random_.chance(1, 3)) {
            part = static_cast<Part>(random_.below(3));
        }
        if (part == Part::Voter) target.voters.push_back(id);
        if (part == Part::Learner) target.learners.push_back(id);
    }
    return target.voters.empty() || !enough_of(target, here) ? now : target;
}

// Anybody, if the others are enough to go on.
SimReplica* SimPlacement::some_to_lose() {
    const auto index = static_cast<uint32_t>(random_.below(replicas_.size()));
    SimReplica& replica = *replicas_[index];
    const uint64_t left = present() & ~(uint64_t{1} << index);
    if (replica.gone() || left == 0 || replicas_.size() >= kReplicasEver || !enough(left)) {
        return nullptr;
    }
    return &replica;
}

void SimPlacement::corrupt() {
    SimReplica* const replica = some_to_lose();
    if (replica == nullptr || replica->disk().hard_state().term.value() == 0) return;
    const ReplicaId id = replica->id();
    replica->corrupt(1 + random_.below(world_.plan.down_max_us));
    if (!replica->gone()) return;
    std::erase(world_.known, id);
    tell_known();
}

void SimPlacement::lose_disk() {
    SimReplica* const chosen = some_to_lose();
    if (chosen == nullptr) return;
    SimReplica& replica = *chosen;
    const ReplicaId id = replica.id();
    ++world_.counts[RaftCount::DisksLost];
    const HolderMutant mutant = world_.plan.mutant;
    if (mutant == HolderMutant::AmnesicVotes || mutant == HolderMutant::AnswersLostDisk) {
        replica.forget(mutant == HolderMutant::AnswersLostDisk);
        return;
    }
    replica.go();
    std::erase(world_.known, id);
    tell_known();
}

}  // namespace quorate::sim
