// The simulator's first layer, S1: the Raft core alone, several replicas in one thread and virtual
// time, on a network and disks that misbehave as the seed says.
//
// A run has two phases. *Safety*: faults and work, for as many steps as the plan says. *Liveness*
// (R9): a majority is healed, the rest may stay broken; within ten election timeouts somebody
// leads, and then everybody healed gets everything. R1 to R8 are watched all the time (checkers.h).
// *Thread*: one. *Errors*: `violation` is empty when all held.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tests/sim/raft/counters.h"
#include "tests/sim/raft/plan.h"

namespace quorate::sim {

// A line per event, with the virtual time.
using RaftTrace = std::function<void(const std::string&)>;

struct RaftResult {
    std::string violation;
    uint64_t step = 0;        // when it was noticed, or how many there were
    Micros time = 0;          // virtual
    uint64_t trace_hash = 0;  // equal for equal runs
    RaftCounts counts;
};

[[nodiscard]] RaftResult simulate_raft(const RaftPlan& plan, const RaftTrace& trace = {});

}  // namespace quorate::sim
