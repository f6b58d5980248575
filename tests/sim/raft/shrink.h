// From a seed that fails to the least of it that still does.
//
// *Thread*: one. Nothing is kept: a shrunk plan is again a plan.
#pragma once

#include "tests/sim/raft/plan.h"

namespace quorate::sim {

// Takes out fault classes and replicas and bisects the steps, as long as a run of the rest ends
// with a violation of the same invariant. Requires: a run of `plan` ends with one.
[[nodiscard]] RaftPlan shrink_raft(const RaftPlan& plan);

}  // namespace quorate::sim
