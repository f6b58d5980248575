// What one seed of the Raft simulation consists of: which faults and which work it knows, and sizes
// that make rare things common (swarm testing).
//
// *Thread*: a value. Everything follows from the seed; one seed in ten has no faults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "proto/base/environment.h"

namespace quorate::sim {

// Virtual time. A tick of a replica whose clock is right takes kTickUs.
using Micros = uint64_t;
constexpr Micros kTickUs = 100'000;
constexpr Micros kSecondUs = 1'000'000;

// What can be taken out of a seed to see whether it still fails: see shrink.h.
enum class FaultClass : uint8_t {
    Loss,        // messages are lost, doubled, late, links break
    Partitions,  // links are cut, also one way
    Pauses,      // replicas stand still for up to a minute
    Drift,       // clocks run at different speeds
    Crashes,     // processes end, at any time and at named sites
    Stalls,      // the disk takes up to 30 seconds
    DiskLoss,    // disks vanish or forget what they promised, on a minority
    Cuts,        // logs are cut and what is missing comes as a snapshot
    Changes,     // of the membership
    Transfers,   // of the leadership, also by priority
    Reads,       // that must be linearizable
    Lazy,        // several messages are taken before a replica acts
    Quiescence,  // idle groups need no ticks
    FullDisks,   // appends are refused, leadership handed over
    ClockSteps,  // clocks jump ahead or stand still, and change their speed
    Strangers,   // who is in no configuration speaks
    Corruption,  // logs are changed or end early, on a minority
};
constexpr uint32_t kFaultClasses = 17;

[[nodiscard]] std::string_view to_string(FaultClass fault);

// Deliberate mistakes of a replica's holder, to see that the checkers notice them. Those of the
// core are in cluster/raft/mutants.h.
enum class HolderMutant : uint8_t {
    None,
    CutBeforeFlush,   // the log is cut below what was applied and not flushed
    AmnesicVotes,     // a disk that forgot what it promised goes on as if nothing had happened
    TrustsCorrupted,  // neither the durable mark nor the chained hash is looked at
    AnswersLostDisk,  // so does one that is empty
};

struct RaftPlan {
    uint64_t seed = 1;
    uint32_t steps = 50'000;    // of the safety phase
    uint32_t replicas = 3;      // voters at the start
    uint32_t replicas_max = 3;  // that take part at a time
    bool core_only = false;     // in the liveness phase only a majority is healed

    // Of each replica.
    uint32_t election_ticks = 10;
    uint32_t heartbeat_ticks = 2;
    std::size_t append_bytes_max = 256;
    std::size_t window_bytes_max = 1024;
    std::size_t append_entries_max = 100;
    std::size_t window_entries_max = 1'000;
    std::size_t apply_bytes_max = 256;
    std::size_t log_memory_bytes = 256;
    Micros lazy_us = 0;  // longest time between a message and what follows from it

    // Network. Chances are of a thousand.
    Micros delay_us = 100;
    Micros delay_spread_us = 1'000;
    bool ordered = true;
    uint32_t loss = 0;
    uint32_t doubles = 0;
    uint32_t late = 0;
    Micros late_us = kSecondUs;
    uint32_t late_transfers = 0;  // what hands leadership over comes when that was given up

    // Mean times between faults of the whole group; 0: never.
    Micros partition_every_us = 0;
    Micros break_every_us = 0;
    Micros pause_every_us = 0;
    Micros crash_every_us = 0;
    Micros disk_loss_every_us = 0;
    Micros corrupt_every_us = 0;
    Micros full_every_us = 0;
    Micros clock_step_every_us = 0;
    Micros stranger_every_us = 0;
    uint32_t sites_between_crashes = 0;  // named sites passed between two crashes there; 0: never
    uint32_t drift = 0;                  // of a thousand, both ways
    Micros pause_max_us = 60 * kSecondUs;
    Micros down_max_us = 10 * kSecondUs;

    // Disk.
    Micros sync_us = 200;
    Micros sync_spread_us = 2'000;
    uint32_t stalls = 0;  // of ten thousand syncs
    Micros stall_max_us = 30 * kSecondUs;

    // Work. Mean times, 0: never.
    Micros propose_every_us = 20'000;
    std::size_t command_bytes_max = 32;
    Micros cut_every_us = 0;
    uint32_t keep_entries = 10;       // behind what is applied when the log is cut
    std::size_t snapshot_bytes = 64;  // of the state machine
    std::size_t chunk_bytes = 64;
    uint32_t hold_log_rounds = 5;  // for a silent follower
    uint32_t too_long = 0;         // of a thousand cuts, those that no follower holds back
    Micros change_every_us = 0;
    Micros transfer_every_us = 0;
    Micros read_every_us = 0;
    bool priorities = false;
    uint32_t hand_over_rounds = 10;
    uint32_t quiesce_rounds = 0;

    HolderMutant mutant = HolderMutant::None;

    [[nodiscard]] bool has(FaultClass fault) const;
    void drop(FaultClass fault);
};

[[nodiscard]] RaftPlan draw_raft_plan(uint64_t seed, uint32_t steps);
// One line: what is on, and how much of it.
[[nodiscard]] std::string describe(const RaftPlan& plan);

// The generator of one component: draws of another do not shift it.
[[nodiscard]] Random component_random(uint64_t seed, std::string_view name);
// Uniform with this mean. Requires: mean > 0.
[[nodiscard]] inline Micros around(Random& random, Micros mean) {
    return 1 + random.below(2 * mean);
}

}  // namespace quorate::sim
