#include "tests/sim/raft/faults.h"

#include <algorithm>

#include "tests/sim/raft/strangers.h"

namespace quorate::sim {

SimFaults::SimFaults(SimWorld& world, SimReplicas& replicas, SimPlacement& placement)
    : world_(world),
      replicas_(replicas),
      placement_(placement),
      random_(component_random(world.plan.seed, "faulting")) {}

void SimFaults::begin() {
    const RaftPlan& plan = world_.plan;
    plan_next(SimEventKind::Partition, plan.partition_every_us);
    plan_next(SimEventKind::Break, plan.break_every_us);
    plan_next(SimEventKind::Pause, plan.pause_every_us);
    plan_next(SimEventKind::Crash, plan.crash_every_us);
    plan_next(SimEventKind::DiskLoss, plan.disk_loss_every_us);
    plan_next(SimEventKind::Corrupt, plan.corrupt_every_us);
    plan_next(SimEventKind::Fill, plan.full_every_us);
    plan_next(SimEventKind::ClockStep, plan.clock_step_every_us);
    plan_next(SimEventKind::Stranger, plan.stranger_every_us);
    if (plan.sites_between_crashes != 0) {
        world_.sites_left = static_cast<uint32_t>(around(random_, plan.sites_between_crashes));
    }
}

void SimFaults::plan_next(SimEventKind kind, Micros every) {
    if (every == 0) return;
    SimEvent event;
    event.time = world_.now + around(random_, every);
    event.kind = kind;
    world_.queue.push(event);
}

uint32_t SimFaults::any() {
    return static_cast<uint32_t>(random_.below(replicas_.size()));
}

void SimFaults::handle(const SimEvent& event) {
    if (over_) return;
    const RaftPlan& plan = world_.plan;
    switch (event.kind) {
        case SimEventKind::Partition:
            partition();
            plan_next(SimEventKind::Partition, plan.partition_every_us);
            return;
        case SimEventKind::Heal:
            if (event.argument == partition_) world_.network.heal();
            return;
        case SimEventKind::Break: {
            ++world_.counts[RaftCount::LinkBreaks];
            world_.network.break_link(any(), any());
            plan_next(SimEventKind::Break, plan.break_every_us);
            return;
        }
        case SimEventKind::Pause:
            pause();
            plan_next(SimEventKind::Pause, plan.pause_every_us);
            return;
        case SimEventKind::Crash: {
            SimReplica& replica = *replicas_[any()];
            if (replica.running()) replica.crash(1 + random_.below(plan.down_max_us));
            plan_next(SimEventKind::Crash, plan.crash_every_us);
            return;
        }
        case SimEventKind::DiskLoss:
            placement_.lose_disk();
            plan_next(SimEventKind::DiskLoss, plan.disk_loss_every_us);
            return;
        default:
            handle_rare(event);
            return;
    }
}

void SimFaults::handle_rare(const SimEvent& event) {
    const RaftPlan& plan = world_.plan;
    SimReplica& replica = *replicas_[any()];
    const bool awake = replica.running() && !replica.paused();
    switch (event.kind) {
        case SimEventKind::Corrupt:
            placement_.corrupt();
            plan_next(SimEventKind::Corrupt, plan.corrupt_every_us);
            return;
        case SimEventKind::Fill:
            fill();
            plan_next(SimEventKind::Fill, plan.full_every_us);
            return;
        case SimEventKind::Empty:
            replicas_[event.replica]->fill(false);
            return;
        case SimEventKind::ClockStep:
            if (awake) replica.step_clock();
            plan_next(SimEventKind::ClockStep, plan.clock_step_every_us);
            return;
        case SimEventKind::Stranger:
            if (awake) {
                ++world_.counts[RaftCount::Strangers];
                replica.deliver(message_of_stranger(replica.node(), random_));
            }
            plan_next(SimEventKind::Stranger, plan.stranger_every_us);
            return;
        default:
            return;
    }
}

// Now and then all of them: then nobody can take anything until there is room again.
void SimFaults::fill() {
    ++world_.counts[RaftCount::FullDisks];
    const bool all = random_.chance(1, 10);
    const uint32_t one = any();
    for (uint32_t i = 0; i < replicas_.size(); ++i) {
        if (!all && i != one) continue;
        replicas_[i]->fill(true);
        SimEvent empty;
        empty.kind = SimEventKind::Empty;
        empty.replica = static_cast<uint8_t>(i);
        empty.time = world_.now + around(random_, 5 * kSecondUs);
        world_.queue.push(empty);
    }
}

void SimFaults::pause() {
    SimReplica& replica = *replicas_[any()];
    ++world_.counts[RaftCount::Pauses];
    if (replica.leads()) ++world_.counts[RaftCount::LeaderPaused];
    replica.pause(world_.now + 1'000 + random_.below(world_.plan.pause_max_us));
}

void SimFaults::cut_halves(uint64_t one_half) {
    const auto count = static_cast<uint32_t>(replicas_.size());
    for (uint32_t i = 0; i < count; ++i) {
        for (uint32_t j = i + 1; j < count; ++j) {
            if ((one_half >> i & 1) != (one_half >> j & 1)) world_.network.cut_both(i, j);
        }
    }
}

void SimFaults::partition() {
    const auto count = static_cast<uint32_t>(replicas_.size());
    if (count < 2) return;
    ++world_.counts[RaftCount::Partitions];
    world_.network.heal();
    const uint32_t one = any();
    switch (random_.below(6)) {
        case 0:
            ++world_.counts[RaftCount::PartitionOne];
            cut_halves(uint64_t{1} << one);
            break;
        case 1:
            ++world_.counts[RaftCount::PartitionHalves];
            cut_halves(random_.next());
            break;
        case 2:
            ++world_.counts[RaftCount::PartitionOneWay];
            world_.network.cut(one,
                               (one + 1 + static_cast<uint32_t>(random_.below(count - 1))) % count);
            break;
        case 3: {
            // Two halves that share one replica.
            ++world_.counts[RaftCount::PartitionBridge];
            const uint64_t half = random_.next();
            for (uint32_t i = 0; i < count; ++i) {
                for (uint32_t j = i + 1; j < count; ++j) {
                    if (i == one || j == one) continue;
                    if ((half >> i & 1) != (half >> j & 1)) world_.network.cut_both(i, j);
                }
            }
            break;
        }
        case 4:
            // Everybody sees its neighbours only: another majority each.
            ++world_.counts[RaftCount::PartitionRing];
            for (uint32_t i = 0; i < count; ++i) {
                for (uint32_t j = i + 2; j < count; ++j) {
                    if (i + count != j + 1) world_.network.cut_both(i, j);
                }
            }
            break;
        default: {
            // A leader that can send and not hear.
            ++world_.counts[RaftCount::PartitionDeafLeader];
            uint32_t deaf = one;
            for (uint32_t i = 0; i < count; ++i) {
                if (replicas_[i]->leads()) deaf = i;
            }
            for (uint32_t i = 0; i < count; ++i) {
                if (i != deaf) world_.network.cut(i, deaf);
            }
            break;
        }
    }
    ++partition_;
    SimEvent heal;
    heal.kind = SimEventKind::Heal;
    heal.argument = static_cast<uint32_t>(partition_);
    // Flapping links, or seconds of it.
    const Micros longest = random_.chance(1, 4) ? 300'000 : 8 * kSecondUs;
    heal.time = world_.now + 1 + random_.below(longest);
    world_.queue.push(heal);
}

uint64_t SimFaults::heal_core() {
    over_ = true;
    RaftPlan& plan = world_.plan;
    const auto count = static_cast<uint32_t>(replicas_.size());
    uint64_t core = placement_.present();
    for (uint32_t tries = plan.core_only ? 2 * count : 0; tries > 0; --tries) {
        const uint64_t fewer = core & ~(uint64_t{1} << any());
        if (fewer != 0 && placement_.enough(fewer)) core = fewer;
    }
    world_.sites_left = 0;
    plan.stalls = 0;
    plan.sync_spread_us = std::min<Micros>(plan.sync_spread_us, 5'000);
    world_.network.calm();
    world_.network.heal();
    cut_halves(core);
    for (uint32_t i = 0; i < count; ++i) {
        if ((core >> i & 1) == 0) {
            if (replicas_[i]->running() && random_.chance(1, 2)) replicas_[i]->crash(0);
            continue;
        }
        if (!replicas_[i]->running()) replicas_[i]->start();
        replicas_[i]->fill(false);
        replicas_[i]->end_clock_steps();
        replicas_[i]->end_pause();
        replicas_[i]->end_stall();
    }
    return core;
}

}  // namespace quorate::sim
