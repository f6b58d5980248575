#include "tests/sim/replicated/plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "tests/sim/kernel/named_random.h"

namespace quorate::sim::replicated {
namespace {

void draw_sizes(Plan& plan, Random& random) {
    plan.replicas = one_of(random, {1U, 3U, 3U, 3U, 3U, 5U});
    plan.fronts = one_of(random, {1U, 2U, 2U, 3U});
    plan.core_only = random.chance(1, 2);
    plan.election_ticks = one_of(random, {5U, 10U, 10U, 20U});
    plan.heartbeat_ticks = one_of(random, {1U, 2U, 2U, 4U});
    plan.entry_bytes = one_of<std::size_t>(random, {1, 100, 1'000, 100'000});
    plan.in_flight_commands_max = one_of(random, {3U, 20U, 1'000U});
    plan.received_ids_max = one_of(random, {2U, 100U});
    plan.lazy_us = one_of<Micros>(random, {1, 100, 2'000, 30'000});
    plan.digest_every = one_of(random, {2U, 16U, 16U, 64U});
    plan.wires.delay_us = one_of<Micros>(random, {20, 200, 1'000, 20'000});
    plan.wires.delay_spread_us = one_of<Micros>(random, {1, 200, 2'000, 50'000});
    plan.sync_us = one_of<Micros>(random, {10, 500, 5'000});
    plan.sync_spread_us = one_of<Micros>(random, {1, 2'000, 50'000});
    plan.flush_every_us = one_of<Micros>(random, {300'000, 3'000'000, 30'000'000});
    plan.mark_every_us = one_of<Micros>(random, {100'000, 1'000'000, 10'000'000});
    plan.step_every_us = one_of<Micros>(random, {50'000, 200'000, 500'000, 500'000, 2'000'000});
    plan.steps_at_once = one_of(random, {1U, 4U, 10U});
    plan.retry_us = one_of<Micros>(random, {200'000, 500'000, 2'000'000});
    plan.suspect_after_us = one_of<Micros>(random, {100'000, 1'000'000, 5'000'000});
    plan.log_bytes_max = one_of<uint64_t>(random, {0, 0, 1'000, 30'000});
}

void draw_wires(Plan& plan, Random& random) {
    plan.wires.ordered = random.chance(1, 2);
    if (random.chance(1, 2)) plan.wires.loss = one_of(random, {5U, 50U, 300U});
    if (random.chance(1, 3)) plan.wires.doubles = one_of(random, {10U, 100U});
    if (random.chance(1, 3)) {
        plan.wires.late = one_of(random, {5U, 50U});
        plan.wires.late_us = one_of<Micros>(random, {100'000, 2'000'000, 20'000'000});
    }
    if (random.chance(1, 3)) plan.break_every_us = one_of<Micros>(random, {300'000, 5'000'000});
    if (random.chance(1, 2)) {
        plan.partition_every_us = one_of<Micros>(random, {1'000'000, 5'000'000, 20'000'000});
    }
}

void draw_faults(Plan& plan, Random& random) {
    draw_wires(plan, random);
    if (random.chance(1, 3)) {
        plan.pause_every_us = one_of<Micros>(random, {1'000'000, 10'000'000});
        plan.pause_max_us = one_of<Micros>(random, {50'000, 3'000'000, 60'000'000});
    }
    if (random.chance(2, 3)) {
        plan.crash_every_us = one_of<Micros>(random, {500'000, 3'000'000, 20'000'000});
    }
    plan.down_max_us = one_of<Micros>(random, {10'000, 1'000'000, 10'000'000});
    if (random.chance(1, 2)) {
        plan.front_crash_every_us = one_of<Micros>(random, {2'000'000, 20'000'000});
    }
    if (random.chance(1, 3)) plan.drift = one_of<Micros>(random, {10, 100, 300});
    if (random.chance(1, 4)) plan.full_every_us = one_of<Micros>(random, {3'000'000, 30'000'000});
    if (random.chance(1, 3)) plan.damage_in = one_of(random, {1U, 2U, 5U});
    if (random.chance(1, 3)) {
        plan.stalls = one_of(random, {5U, 50U});
        plan.stall_max_us = one_of<Micros>(random, {100'000, 2'000'000, 30'000'000});
    }
}

// Who takes part, and how what is rare comes about: small snapshots, packet identifiers that come
// round.
void draw_members(Plan& plan, Random& random) {
    plan.nodes = plan.replicas;
    if (random.chance(1, 2)) {
        plan.change_every_us = one_of<Micros>(random, {100'000, 500'000, 3'000'000});
        plan.nodes = one_of(random, {3U, 4U, 6U});
        plan.nodes = std::max(plan.nodes, plan.replicas);
    }
    plan.rebuild_us = one_of<Micros>(random, {100'000, 2'000'000, 10'000'000});
    plan.chunk_bytes = one_of<std::size_t>(random, {100, 1'000, 100'000});
    if (random.chance(1, 3)) plan.first_number = 65'535 - random.below(100);
}

}  // namespace

const char* to_string(Mutant mutant) {
    switch (mutant) {
        case Mutant::None:
            return "none";
        case Mutant::AcknowledgeBeforeWrite:
            return "acknowledge before write";
        case Mutant::ApplyBeforeWrite:
            return "apply before write";
        case Mutant::CutBeforeFlush:
            return "cut before flush";
        case Mutant::VoteAfterAmnesia:
            return "vote after amnesia";
        case Mutant::ReceivedByTimer:
            return "received by timer";
        case Mutant::ForgetLanes:
            return "forget lanes";
        case Mutant::ForgetRepeats:
            return "forget repeats";
        case Mutant::ForgetReceived:
            return "forget received";
        case Mutant::ForgetCursor:
            return "forget cursor";
        case Mutant::AnswerBeforeCommit:
            return "answer before commit";
        case Mutant::ApplyDifferently:
            return "apply differently";
    }
    return "unknown";
}

Plan draw_plan(uint64_t seed, uint32_t seconds, Mutant mutant) {
    Plan plan;
    plan.mutant = mutant;
    plan.seed = seed;
    plan.seconds = seconds;
    Random sizes = named_random(seed, "sizes");
    draw_sizes(plan, sizes);
    Random faults = named_random(seed, "faults");
    const bool faultless = faults.chance(1, 10);
    if (!faultless) draw_faults(plan, faults);
    Random members = named_random(seed, "members");
    draw_members(plan, members);
    if (mutant == Mutant::VoteAfterAmnesia) {
        // What it is about, in every seed.
        plan.damage_in = 2;
        plan.crash_every_us = 2 * kSecond_us;
    }
    if (mutant == Mutant::ApplyDifferently) {
        // The product's own check is to notice it.
        plan.observe = false;
        if (plan.replicas == 1) plan.replicas = 3;
        plan.nodes = std::max(plan.nodes, plan.replicas);
    }
    return plan;
}

bool Plan::has(FaultClass fault) const {
    Plan without = *this;
    without.drop(fault);
    return describe(without) != describe(*this);
}

void Plan::drop(FaultClass fault) {
    switch (fault) {
        case FaultClass::Loss:
            wires.loss = wires.doubles = wires.late = 0;
            wires.ordered = true;
            break_every_us = 0;
            return;
        case FaultClass::Partitions:
            partition_every_us = 0;
            return;
        case FaultClass::Pauses:
            pause_every_us = 0;
            return;
        case FaultClass::Crashes:
            crash_every_us = 0;
            return;
        case FaultClass::Damage:
            damage_in = 0;
            return;
        case FaultClass::FrontCrashes:
            front_crash_every_us = 0;
            return;
        case FaultClass::Drift:
            drift = 0;
            return;
        case FaultClass::FullDisks:
            full_every_us = 0;
            return;
        case FaultClass::Stalls:
            stalls = 0;
            return;
        case FaultClass::Changes:
            change_every_us = 0;
            return;
        case FaultClass::ShortLogs:
            log_bytes_max = 0;
            return;
        case FaultClass::Lazy:
            lazy_us = 1;
            return;
    }
}

std::string describe(const Plan& plan) {
    return fmt::format(
        "seed {}, {} s, replicas {} on {} nodes, fronts {}, core only {}, election {} ticks, "
        "heartbeat {}, "
        "entry {} B, in flight {}, received {}, log {} B, lazy {} us, drift {}; delay {}+{} us, "
        "ordered {}, "
        "loss {}, doubles {}, late {} by {} us; every us: partition {}, break {}, pause {} (to "
        "{}), crash {} (down to {}), front {}, full {}; damage 1/{}, suspected after {} us; sync "
        "{}+{} us, stalls {} to {} us, flush {}, mark {}; step {} x {}, retry {} us; a change "
        "every "
        "{} us, rebuilt after {} us, chunks of {} B, numbers from {}, checked every {}",
        plan.seed, plan.seconds, plan.replicas, plan.nodes, plan.fronts, plan.core_only,
        plan.election_ticks, plan.heartbeat_ticks, plan.entry_bytes, plan.in_flight_commands_max,
        plan.received_ids_max, plan.log_bytes_max, plan.lazy_us, plan.drift, plan.wires.delay_us,
        plan.wires.delay_spread_us, plan.wires.ordered, plan.wires.loss, plan.wires.doubles,
        plan.wires.late, plan.wires.late_us, plan.partition_every_us, plan.break_every_us,
        plan.pause_every_us, plan.pause_max_us, plan.crash_every_us, plan.down_max_us,
        plan.front_crash_every_us, plan.full_every_us, plan.damage_in, plan.suspect_after_us,
        plan.sync_us, plan.sync_spread_us, plan.stalls, plan.stall_max_us, plan.flush_every_us,
        plan.mark_every_us, plan.step_every_us, plan.steps_at_once, plan.retry_us,
        plan.change_every_us, plan.rebuild_us, plan.chunk_bytes, plan.first_number,
        plan.digest_every);
}

}  // namespace quorate::sim::replicated
