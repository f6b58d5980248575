#include "tests/sim/raft/shrink.h"

#include <string>

#include "tests/sim/raft/simulation.h"

namespace quorate::sim {
namespace {

// R1 to R9 are two letters; other violations begin with their first words.
std::string invariant_of(const std::string& violation) {
    return violation.substr(0, 2);
}

bool fails(const RaftPlan& plan, const std::string& invariant) {
    const RaftResult result = simulate_raft(plan);
    return !result.violation.empty() && invariant_of(result.violation) == invariant;
}

void take_if_fails(RaftPlan& plan, const RaftPlan& smaller, const std::string& invariant) {
    if (fails(smaller, invariant)) plan = smaller;
}

}  // namespace

RaftPlan shrink_raft(const RaftPlan& plan) {
    RaftPlan least = plan;
    const RaftResult first = simulate_raft(plan);
    const std::string invariant = invariant_of(first.violation);
    for (uint32_t i = 0; i < kFaultClasses; ++i) {
        const auto fault = static_cast<FaultClass>(i);
        if (!least.has(fault)) continue;
        RaftPlan without = least;
        without.drop(fault);
        take_if_fails(least, without, invariant);
    }
    while (least.replicas > 1) {
        RaftPlan fewer = least;
        --fewer.replicas;
        --fewer.replicas_max;
        if (!fails(fewer, invariant)) break;
        least = fewer;
    }
    // A violation of the safety phase ends the run: no step after it matters.
    for (uint32_t part = least.steps / 2; part > 0; part /= 2) {
        RaftPlan shorter = least;
        shorter.steps -= part;
        take_if_fails(least, shorter, invariant);
    }
    return least;
}

}  // namespace quorate::sim
