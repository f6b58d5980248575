#include "tests/sim/replicated/runs/shrink.h"

#include <string>

#include "tests/sim/replicated/simulation.h"

namespace quorate::sim::replicated {
namespace {

// "R5: ..." or "M1: ..."; other violations begin with their first word.
std::string invariant_of(const std::string& violation) {
    return violation.substr(0, violation.find_first_of(": "));
}

void take_if_fails(Plan& plan, const Plan& smaller, const std::string& invariant) {
    const std::string violation = simulate(smaller).violation;
    if (!violation.empty() && invariant_of(violation) == invariant) plan = smaller;
}

// Halves of a half, of what is left, one after the other.
void shorten(Plan& plan, uint32_t Plan::*size, uint32_t least, const std::string& invariant) {
    for (uint32_t part = plan.*size / 2; part > 0; part /= 2) {
        if (plan.*size < least + part) continue;
        Plan smaller = plan;
        smaller.*size -= part;
        take_if_fails(plan, smaller, invariant);
    }
}

}  // namespace

Plan shrink(const Plan& plan) {
    Plan least = plan;
    const std::string invariant = invariant_of(simulate(plan).violation);
    shorten(least, &Plan::seconds, 1, invariant);
    for (uint32_t i = 0; i < kFaultClasses; ++i) {
        Plan without = least;
        without.drop(static_cast<FaultClass>(i));
        if (least.has(static_cast<FaultClass>(i))) take_if_fails(least, without, invariant);
    }
    shorten(least, &Plan::nodes, least.replicas, invariant);
    while (least.replicas > 1) {
        Plan fewer = least;
        --fewer.replicas;
        if (fewer.change_every_us == 0) fewer.nodes = fewer.replicas;
        take_if_fails(least, fewer, invariant);
        if (least.replicas != fewer.replicas) break;
    }
    shorten(least, &Plan::fronts, 1, invariant);
    shorten(least, &Plan::steps_at_once, 1, invariant);
    shorten(least, &Plan::seconds, 1, invariant);
    return least;
}

}  // namespace quorate::sim::replicated
