#include "tests/sim/replicated/faults.h"

#include <algorithm>

#include "tests/sim/kernel/named_random.h"

namespace quorate::sim::replicated {

Faults::Faults(Stage& stage, Replicas& replicas, Fronts& fronts, Placement& placement)
    : stage_(stage),
      replicas_(replicas),
      fronts_(fronts),
      placement_(placement),
      random_(named_random(stage.plan.seed, "faulting")) {}

void Faults::begin() {
    const Plan& plan = stage_.plan;
    plan_next(EventKind::Partition, plan.partition_every_us);
    plan_next(EventKind::Break, plan.break_every_us);
    plan_next(EventKind::Pause, plan.pause_every_us);
    plan_next(EventKind::Crash, plan.crash_every_us);
    plan_next(EventKind::FrontCrash, plan.front_crash_every_us);
    plan_next(EventKind::Fill, plan.full_every_us);
}

void Faults::plan_next(EventKind kind, Micros every) {
    if (every == 0) return;
    Event event;
    event.kind = kind;
    stage_.after(around(random_, every), event);
}

uint32_t Faults::any_replica() {
    return static_cast<uint32_t>(random_.below(replicas_.size()));
}

void Faults::handle(const Event& event) {
    if (event.kind == EventKind::Empty) return replicas_[event.node]->disk().fill(10);
    if (over_) return;
    const Plan& plan = stage_.plan;
    switch (event.kind) {
        case EventKind::Partition:
            partition();
            return plan_next(EventKind::Partition, plan.partition_every_us);
        case EventKind::Heal:
            if (event.number == partition_) stage_.wires.heal();
            return;
        case EventKind::Break: {
            ++stage_.counts[Count::Breaks];
            const uint32_t replica = any_replica();
            const uint32_t other =
                random_.chance(1, 2)
                    ? any_replica()
                    : front_node(static_cast<uint32_t>(random_.below(fronts_.size())));
            stage_.wires.break_wire(replica, other);
            stage_.wires.break_wire(other, replica);
            return plan_next(EventKind::Break, plan.break_every_us);
        }
        case EventKind::Pause:
            pause();
            return plan_next(EventKind::Pause, plan.pause_every_us);
        case EventKind::Crash:
            crash();
            return plan_next(EventKind::Crash, plan.crash_every_us);
        case EventKind::FrontCrash:
            fronts_[random_.below(fronts_.size())]->restart(random_.chance(1, 2));
            return plan_next(EventKind::FrontCrash, plan.front_crash_every_us);
        case EventKind::Fill:
            fill();
            return plan_next(EventKind::Fill, plan.full_every_us);
        default:
            return;
    }
}

// One whose durable mark is not yet of its own name would count as lost.
bool Faults::may_crash(uint32_t node) const {
    if (!replicas_[node]->running()) return false;
    return !placement_.at_risk(node) || placement_.may_lose(node);
}

void Faults::crash() {
    const uint32_t node = any_replica();
    if (!may_crash(node)) return;
    const Plan& plan = stage_.plan;
    bool damage = plan.damage_in != 0 && random_.chance(1, plan.damage_in);
    if (damage && !placement_.may_lose(node)) damage = false;
    if (damage && plan.mutant == Mutant::None && random_.chance(1, 3)) {
        return placement_.empty_disk(node);
    }
    replicas_[node]->crash(1 + random_.below(plan.down_max_us), damage);
    // All at once: a power failure.
    if (damage || !random_.chance(1, 10)) return;
    for (uint32_t other = 0; other < replicas_.size(); ++other) {
        if (may_crash(other)) {
            replicas_[other]->crash(1 + random_.below(plan.down_max_us), false);
        }
    }
}

void Faults::pause() {
    ++stage_.counts[Count::Pauses];
    const Micros until = stage_.now + 1'000 + random_.below(stage_.plan.pause_max_us);
    if (random_.chance(1, 4)) {
        return stage_.stand_still(front_node(static_cast<uint32_t>(random_.below(fronts_.size()))),
                                  until);
    }
    const uint32_t replica = any_replica();
    if (replicas_[replica]->leads()) ++stage_.counts[Count::LeaderPaused];
    stage_.stand_still(replica, until);
}

void Faults::fill() {
    ++stage_.counts[Count::DiskFull];
    const uint32_t replica = any_replica();
    replicas_[replica]->disk().fill(random_.chance(1, 4) ? 98 : 93);
    Event empty;
    empty.kind = EventKind::Empty;
    empty.node = static_cast<uint8_t>(replica);
    stage_.after(around(random_, 5 * kSecond_us), empty);
}

void Faults::partition() {
    ++stage_.counts[Count::Partitions];
    Wires& wires = stage_.wires;
    wires.heal();
    const uint32_t one = any_replica();
    const auto count = static_cast<uint32_t>(replicas_.size());
    switch (random_.below(6)) {
        case 0:
            wires.cut_around(uint64_t{1} << one);
            break;
        case 1:
            wires.cut_around(random_.next());
            break;
        case 2:
            wires.cut(one, static_cast<uint32_t>(random_.below(kNodes)));
            break;
        case 3: {
            // Two halves that share one replica.
            const uint64_t half = random_.next();
            for (uint32_t i = 0; i < kNodes; ++i) {
                for (uint32_t j = i + 1; j < kNodes; ++j) {
                    if (i == one || j == one) continue;
                    if ((half >> i & 1) != (half >> j & 1)) wires.cut_both(i, j);
                }
            }
            break;
        }
        case 4:
            // A leader that can send and not hear.
            for (uint32_t i = 0; i < kNodes; ++i) {
                if (i != stage_.newest_leader) wires.cut(i, stage_.newest_leader);
            }
            break;
        default:
            // The old leader and a front-end alone together.
            for (uint32_t i = 0; i < count; ++i) {
                if (i != stage_.newest_leader) wires.cut_both(i, stage_.newest_leader);
            }
            break;
    }
    Event heal;
    heal.kind = EventKind::Heal;
    heal.number = ++partition_;
    // Flapping links, or seconds of it.
    stage_.after(1 + random_.below(random_.chance(1, 4) ? 300'000 : 10 * kSecond_us), heal);
}

uint64_t Faults::heal_core() {
    over_ = true;
    placement_.end();
    const auto count = static_cast<uint32_t>(replicas_.size());
    uint64_t core = placement_.present();
    for (uint32_t tries = stage_.plan.core_only ? 2 * count : 0; tries > 0; --tries) {
        const uint64_t fewer = core & ~(uint64_t{1} << any_replica());
        if (fewer != 0 && placement_.enough(fewer)) core = fewer;
    }
    Plan& plan = stage_.plan;
    plan.stalls = 0;
    plan.sync_spread_us = std::min<Micros>(plan.sync_spread_us, 5'000);
    stage_.wires.calm();
    stage_.wires.heal();
    for (uint32_t i = 0; i < count; ++i) {
        Replica& replica = *replicas_[i];
        replica.disk().fill(10);
        if ((core >> i & 1) != 0) {
            if (!replica.running()) replica.start();
            continue;
        }
        stage_.wires.cut_around(uint64_t{1} << i);
        if (replica.running() && random_.chance(1, 2)) replica.crash(0, false);
    }
    for (uint32_t node = 0; node < kNodes; ++node) {
        stage_.stand_still(node, 0);
        stage_.awake(node);
    }
    return core;
}

}  // namespace quorate::sim::replicated
