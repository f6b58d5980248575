// The least of a failing seed that still fails.
#pragma once

#include "tests/sim/replicated/plan.h"

namespace quorate::sim::replicated {

// Without each class of faults that it fails without, on as few nodes and front-ends and for as
// short a time as still break the same invariant. Requires: the plan fails.
[[nodiscard]] Plan shrink(const Plan& plan);

}  // namespace quorate::sim::replicated
