// The simulator's second layer, S2: a shard of one to five replicas, each a GroupRunner with its
// own disk and clock, its clients behind front-ends with real lanes, and everything between them
// misbehaving as the seed says.
//
// A run has two phases. *Safety*: faults and work, for as long as the plan says. *Liveness* (R9): a
// majority is healed, the rest may stay broken; within ten election timeouts somebody leads, then
// all that was begun comes to its end, and what was promised must be there. R1 to R5 are watched
// all the time (checkers.h), what clients must never see by the clients (shard_world.h).
// *Thread*: one. *Errors*: `violation` is empty when all held.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tests/sim/replicated/counters.h"
#include "tests/sim/replicated/plan.h"

namespace quorate::sim::replicated {

// A line per event, with the virtual time.
using Trace = std::function<void(const std::string&)>;

struct Outcome {
    std::string violation;
    Micros time = 0;          // virtual, when it was noticed or the run ended
    uint64_t steps = 0;       // events
    uint64_t trace_hash = 0;  // equal for equal runs
    Counts counts;
};

[[nodiscard]] Outcome simulate(const Plan& plan, const Trace& trace = {});

}  // namespace quorate::sim::replicated
