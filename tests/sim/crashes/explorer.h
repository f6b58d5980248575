// Every crash of every short story: what a client and a publisher do, one operation after the
// other, ended between any two small steps of the last one, with every outcome of the log's writes
// under way and the outcomes of the state's batches that differ most.
//
// *Thread*: one. *Errors*: `violation` is empty when every promise held.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/crashes/story.h"

namespace quorate::sim::crashes {

struct Scope {
    uint32_t operations_max = 3;
    Mistake mistake = Mistake::None;
};

struct Explored {
    uint64_t stories = 0;
    uint64_t points = 0;   // between two steps
    uint64_t crashes = 0;  // points with their outcomes
    // With the operations, the step and the outcome that lead to it.
    std::string violation;
};

// Ends with the first violation.
[[nodiscard]] Explored explore(const Scope& scope);

}  // namespace quorate::sim::crashes
