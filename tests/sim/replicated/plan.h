// What one seed of the replicated shard consists of: which faults and which work it knows, and
// sizes that make rare things common (swarm testing).
//
// *Thread*: a value. Everything follows from the seed; one seed in ten has no faults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/sim/kernel/wires.h"

namespace quorate::sim::replicated {

constexpr Micros kSecond_us = 1'000'000;
constexpr Micros kTick_us = 100'000;

// Deliberate mistakes. The numbers are those of the project's list of mutants.
enum class Mutant : uint8_t {
    None,
    AcknowledgeBeforeWrite,  // 1: the log completes a request before the disk has it
    ApplyBeforeWrite,        // 10: promises wait for the disk, applying does not
    CutBeforeFlush,          // 11: the log is cut although the flush of the state did nothing
    VoteAfterAmnesia,        // 12: a log that lost what it promised goes on as if nothing were
    ReceivedByTimer,         // 14: packet identifiers of QoS 2 are forgotten after a while
    ForgetLanes,             // 20: the last numbers of lanes are kept in memory only,
    ForgetRepeats,           // 20: as those of outbox entries that were taken,
    ForgetReceived,          //     packet identifiers of QoS 2 that were received,
    ForgetCursor,            //     first, next and mark of a queue
    AnswerBeforeCommit,      // a leader answers what it has proposed
    ApplyDifferently,        // R4: one replica does not carry out what all others do
};
constexpr uint32_t kMutants = 12;
[[nodiscard]] const char* to_string(Mutant mutant);

// What can be taken out of a seed to see whether it still fails: see shrink.h.
enum class FaultClass : uint8_t {
    Loss,        // packets are lost, doubled, late; wires break
    Partitions,  // wires are cut, also one way
    Pauses,      // processes stand still
    Crashes,     // of replicas' nodes
    Damage,      // of their disks
    FrontCrashes,
    Drift,
    FullDisks,
    Stalls,     // of disks
    Changes,    // of the membership
    ShortLogs,  // what is missing comes as a snapshot
    Lazy,       // several messages are taken before a replica acts
};
constexpr uint32_t kFaultClasses = 12;

// Mean times between faults; 0: never. Chances of a thousand where not said otherwise.
struct Plan {
    uint64_t seed = 1;
    uint32_t seconds = 60;  // of the safety phase
    Mutant mutant = Mutant::None;
    uint32_t replicas = 3;  // voters at the start
    uint32_t nodes = 3;     // for replicas
    uint32_t fronts = 2;
    bool core_only = false;  // in the liveness phase only a majority is healed
    bool observe = true;     // false: only what clients complain of counts

    uint32_t election_ticks = 10;
    uint32_t heartbeat_ticks = 2;
    std::size_t entry_bytes = 1000;
    uint32_t in_flight_commands_max = 1000;
    uint32_t received_ids_max = 100;
    uint64_t log_bytes_max = 0;  // a longer log is cut although somebody needs it; 0: never
    Micros lazy_us = 100;        // longest time between a message and the turn that takes it
    Micros drift = 0;            // of a thousand, both ways
    uint32_t digest_every = 16;
    std::size_t chunk_bytes = 500;  // of a snapshot
    uint64_t first_number = 1;      // of a session's messages

    Micros change_every_us = 0;          // a step of a change of the membership
    Micros rebuild_us = 5 * kSecond_us;  // until a replica that stopped begins anew

    WireFaults wires;
    Micros partition_every_us = 0;
    Micros break_every_us = 0;
    Micros pause_every_us = 0;
    Micros pause_max_us = 0;
    Micros crash_every_us = 0;
    Micros down_max_us = kSecond_us;
    Micros front_crash_every_us = 0;
    Micros full_every_us = 0;  // a disk is nearly full for a while
    uint32_t damage_in = 0;  // one crash in so many costs the disk or what is on it, on a minority
    Micros suspect_after_us = 0;  // silence after which a front-end is declared down

    Micros sync_us = 200;
    Micros sync_spread_us = 2000;
    uint32_t stalls = 0;  // of ten thousand syncs
    Micros stall_max_us = 30 * kSecond_us;
    Micros flush_every_us = 5 * kSecond_us;
    Micros mark_every_us = kSecond_us;

    Micros step_every_us = 200'000;  // of the clients of a front-end
    uint32_t steps_at_once = 4;
    Micros retry_us = 500'000;  // a front-end asks again

    // Replicas come and go.
    [[nodiscard]] bool moves() const { return change_every_us != 0 || damage_in != 0; }
    [[nodiscard]] bool has(FaultClass fault) const;
    void drop(FaultClass fault);
};

[[nodiscard]] Plan draw_plan(uint64_t seed, uint32_t seconds, Mutant mutant = Mutant::None);
// One line: what is on, and how much of it.
[[nodiscard]] std::string describe(const Plan& plan);

// Uniform with this mean. Requires: mean > 0.
[[nodiscard]] inline Micros around(Random& random, Micros mean) {
    return 1 + random.below(2 * mean);
}

}  // namespace quorate::sim::replicated
