#include "tests/sim/raft/plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "proto/base/hash.h"

namespace quorate::sim {
namespace {

template <typename Value, std::size_t kSize>
Value pick(Random& random, const Value (&values)[kSize]) {
    return values[random.below(kSize)];
}

void draw_sizes(RaftPlan& plan, Random& random) {
    plan.replicas = pick(random, {1U, 2U, 3U, 3U, 3U, 3U, 4U, 5U, 5U});
    plan.replicas_max = plan.replicas;
    plan.core_only = random.chance(1, 2);
    plan.election_ticks = pick(random, {5U, 10U, 10U, 10U, 20U});
    plan.heartbeat_ticks = pick(random, {1U, 2U, 2U, 4U});
    plan.append_bytes_max = pick<std::size_t>(random, {1, 32, 64, 256, 4096});
    plan.window_bytes_max = plan.append_bytes_max * pick<std::size_t>(random, {1, 2, 4, 16});
    plan.apply_bytes_max = pick<std::size_t>(random, {1, 64, 256, 65536});
    plan.log_memory_bytes = pick<std::size_t>(random, {0, 32, 256, 4096, 65536});
    plan.command_bytes_max = pick<std::size_t>(random, {0, 8, 32, 64, 300});
    plan.delay_us = pick<Micros>(random, {20, 200, 1'000, 10'000});
    plan.delay_spread_us = pick<Micros>(random, {1, 200, 2'000, 50'000});
    plan.sync_us = pick<Micros>(random, {10, 200, 1'000, 10'000});
    plan.sync_spread_us = pick<Micros>(random, {1, 500, 5'000, 50'000});
    plan.propose_every_us =
        pick<Micros>(random, {3'000, 10'000, 30'000, 100'000, 300'000, 1'000'000});
    plan.keep_entries = pick(random, {0U, 2U, 10U, 50U});
    plan.snapshot_bytes = pick<std::size_t>(random, {0, 40, 300, 1'000});
    plan.chunk_bytes = pick<std::size_t>(random, {16, 64, 200});
    plan.append_entries_max = pick<std::size_t>(random, {1, 3, 100});
    plan.window_entries_max = plan.append_entries_max * pick<std::size_t>(random, {1, 3, 20});
    plan.hold_log_rounds = pick(random, {1U, 5U, 60U});
    plan.too_long = pick(random, {0U, 100U, 1'000U});
}

void draw_work(RaftPlan& plan, Random& random) {
    if (random.chance(1, 2)) plan.lazy_us = pick<Micros>(random, {10, 500, 5'000});
    if (random.chance(2, 3)) plan.cut_every_us = pick<Micros>(random, {200'000, 1'000'000});
    if (random.chance(1, 3)) plan.change_every_us = pick<Micros>(random, {300'000, 3'000'000});
    if (random.chance(1, 3)) plan.transfer_every_us = pick<Micros>(random, {500'000, 5'000'000});
    if (random.chance(1, 2)) plan.read_every_us = pick<Micros>(random, {10'000, 100'000});
    plan.priorities = random.chance(1, 3);
    plan.hand_over_rounds = pick(random, {0U, 1U, 3U, 10U});
    if (random.chance(1, 3)) {
        plan.quiesce_rounds = pick(random, {1U, 3U});
        // Work that leaves time to fall asleep.
        plan.propose_every_us = pick<Micros>(random, {300'000, 5'000'000, 30'000'000});
        if (plan.read_every_us != 0) plan.read_every_us = 10'000'000;
    }
    if (plan.change_every_us != 0) plan.replicas_max = std::max(plan.replicas + 1, 4U);
}

void draw_faults(RaftPlan& plan, Random& random) {
    plan.ordered = random.chance(1, 3);
    if (random.chance(1, 2)) plan.loss = pick(random, {5U, 50U, 300U});
    if (random.chance(1, 3)) plan.doubles = pick(random, {10U, 100U});
    if (random.chance(1, 3)) {
        plan.late = pick(random, {5U, 50U});
        plan.late_us = pick<Micros>(random, {100'000, 2'000'000, 30'000'000});
    }
    if (random.chance(1, 3)) plan.break_every_us = pick<Micros>(random, {300'000, 5'000'000});
    if (random.chance(1, 2)) {
        plan.partition_every_us = pick<Micros>(random, {500'000, 3'000'000, 10'000'000});
    }
    if (random.chance(1, 3)) {
        plan.pause_every_us = pick<Micros>(random, {500'000, 5'000'000});
        plan.pause_max_us = pick<Micros>(random, {50'000, 3'000'000, 60'000'000});
    }
    if (random.chance(1, 2)) {
        plan.crash_every_us = pick<Micros>(random, {500'000, 3'000'000, 20'000'000});
    }
    if (random.chance(1, 3)) plan.sites_between_crashes = pick(random, {100U, 1'000U, 5'000U});
    plan.down_max_us = pick<Micros>(random, {10'000, 1'000'000, 10'000'000});
    if (random.chance(1, 3)) plan.drift = pick(random, {10U, 100U, 300U});
    if (random.chance(1, 3)) {
        plan.stalls = pick(random, {5U, 50U});
        plan.stall_max_us = pick<Micros>(random, {100'000, 2'000'000, 30'000'000});
    }
    // A lost disk needs a replacement, which is a change.
    if (plan.change_every_us != 0 && random.chance(1, 2)) {
        plan.disk_loss_every_us = pick<Micros>(random, {3'000'000, 20'000'000});
    }
}

void draw_rare_faults(RaftPlan& plan, Random& random) {
    if (random.chance(1, 5)) plan.full_every_us = pick<Micros>(random, {1'000'000, 10'000'000});
    if (random.chance(1, 5)) {
        plan.clock_step_every_us = pick<Micros>(random, {300'000, 3'000'000});
    }
    if (random.chance(1, 5)) plan.stranger_every_us = pick<Micros>(random, {20'000, 500'000});
    // What is lost needs a replacement, which is a change.
    if (plan.change_every_us != 0 && random.chance(1, 2)) {
        plan.corrupt_every_us = pick<Micros>(random, {3'000'000, 20'000'000});
    }
    if (plan.transfer_every_us != 0 && random.chance(1, 2)) {
        plan.late_transfers = pick(random, {100U, 1'000U});
    }
}

}  // namespace

std::string_view to_string(FaultClass fault) {
    switch (fault) {
        case FaultClass::Loss:
            return "loss";
        case FaultClass::Partitions:
            return "partitions";
        case FaultClass::Pauses:
            return "pauses";
        case FaultClass::Drift:
            return "drift";
        case FaultClass::Crashes:
            return "crashes";
        case FaultClass::Stalls:
            return "stalls";
        case FaultClass::DiskLoss:
            return "disk loss";
        case FaultClass::Cuts:
            return "cuts";
        case FaultClass::Changes:
            return "changes";
        case FaultClass::Transfers:
            return "transfers";
        case FaultClass::Reads:
            return "reads";
        case FaultClass::Lazy:
            return "lazy turns";
        case FaultClass::Quiescence:
            return "quiescence";
        case FaultClass::FullDisks:
            return "full disks";
        case FaultClass::ClockSteps:
            return "clock steps";
        case FaultClass::Strangers:
            return "strangers";
        case FaultClass::Corruption:
            return "corruption";
    }
    return "unknown";
}

bool RaftPlan::has(FaultClass fault) const {
    RaftPlan without = *this;
    without.drop(fault);
    return describe(without) != describe(*this);
}

void RaftPlan::drop(FaultClass fault) {
    switch (fault) {
        case FaultClass::Loss:
            loss = doubles = late = late_transfers = 0;
            break_every_us = 0;
            ordered = true;
            return;
        case FaultClass::Partitions:
            partition_every_us = 0;
            return;
        case FaultClass::Pauses:
            pause_every_us = 0;
            return;
        case FaultClass::Drift:
            drift = 0;
            return;
        case FaultClass::Crashes:
            crash_every_us = 0;
            sites_between_crashes = 0;
            return;
        case FaultClass::Stalls:
            stalls = 0;
            return;
        case FaultClass::DiskLoss:
            disk_loss_every_us = 0;
            return;
        case FaultClass::Cuts:
            cut_every_us = 0;
            return;
        case FaultClass::Changes:
            change_every_us = 0;
            disk_loss_every_us = 0;
            corrupt_every_us = 0;
            return;
        case FaultClass::Transfers:
            transfer_every_us = 0;
            late_transfers = 0;
            priorities = false;
            return;
        case FaultClass::Reads:
            read_every_us = 0;
            return;
        case FaultClass::Quiescence:
            quiesce_rounds = 0;
            return;
        case FaultClass::Lazy:
            lazy_us = 0;
            return;
        case FaultClass::FullDisks:
            full_every_us = 0;
            return;
        case FaultClass::ClockSteps:
            clock_step_every_us = 0;
            return;
        case FaultClass::Strangers:
            stranger_every_us = 0;
            return;
        case FaultClass::Corruption:
            corrupt_every_us = 0;
            return;
    }
}

RaftPlan draw_raft_plan(uint64_t seed, uint32_t steps) {
    RaftPlan plan;
    plan.seed = seed;
    plan.steps = steps;
    Random sizes = component_random(seed, "sizes");
    draw_sizes(plan, sizes);
    Random work = component_random(seed, "work");
    draw_work(plan, work);
    Random faults = component_random(seed, "faults");
    if (faults.chance(1, 10)) return plan;
    draw_faults(plan, faults);
    Random rare = component_random(seed, "rare faults");
    draw_rare_faults(plan, rare);
    return plan;
}

std::string describe(const RaftPlan& plan) {
    return fmt::format(
        "seed {}, steps {}, replicas {}..{}, core only {}, election {} ticks, heartbeat {}, append "
        "{} B, window {} B, apply {} B, memory {} B, lazy {} us; entries an append {}, in flight "
        "{}; delay {}+{} us, ordered {}, loss "
        "{}, doubles {}, late {} by {} us; every us: partition {}, break {}, pause {} (to {}), "
        "crash {} (down to {}), site crash 1/{}, disk loss {}; drift {}, sync {}+{} us, stalls {} "
        "to {} us; every us: propose {} (to {} B), cut {} (keep {}), change {}, transfer {}, read "
        "{}; priorities {}, hand over after {}, quiesce after {}; snapshot {} B in chunks of {} B, "
        "log held {} rounds, too long {}; every us: corruption {}, full disk {}, clock step {}, "
        "stranger {}; late hand-overs {}",
        plan.seed, plan.steps, plan.replicas, plan.replicas_max, plan.core_only,
        plan.election_ticks, plan.heartbeat_ticks, plan.append_bytes_max, plan.window_bytes_max,
        plan.apply_bytes_max, plan.log_memory_bytes, plan.lazy_us, plan.append_entries_max,
        plan.window_entries_max, plan.delay_us, plan.delay_spread_us, plan.ordered, plan.loss,
        plan.doubles, plan.late, plan.late_us, plan.partition_every_us, plan.break_every_us,
        plan.pause_every_us, plan.pause_max_us, plan.crash_every_us, plan.down_max_us,
        plan.sites_between_crashes, plan.disk_loss_every_us, plan.drift, plan.sync_us,
        plan.sync_spread_us, plan.stalls, plan.stall_max_us, plan.propose_every_us,
        plan.command_bytes_max, plan.cut_every_us, plan.keep_entries, plan.change_every_us,
        plan.transfer_every_us, plan.read_every_us, plan.priorities, plan.hand_over_rounds,
        plan.quiesce_rounds, plan.snapshot_bytes, plan.chunk_bytes, plan.hold_log_rounds,
        plan.too_long, plan.corrupt_every_us, plan.full_every_us, plan.clock_step_every_us,
        plan.stranger_every_us, plan.late_transfers);
}

Random component_random(uint64_t seed, std::string_view name) {
    return Random(hash64(name, seed));
}

}  // namespace quorate::sim
