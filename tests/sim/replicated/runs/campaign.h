// Many seeds of the replicated shard, one after the other, and what came of them.
//
// *Thread*: one; several campaigns are several processes. *Errors*: printed, a line each, in a form
// that repeats the run: `commit 0a1b2c3, layer s2, seed 7, step 812, second 12.345678 of 60: M1:
// ...`.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/replicated/simulation.h"

namespace quorate::sim::replicated {

struct Campaign {
    uint64_t first_seed = 1;
    uint64_t seeds = 1;
    uint32_t seconds = 60;
    uint32_t mutant = 0;
    bool trace = false;
    bool shrink = false;           // print the least of a failing seed that still fails
    uint64_t count_at_least = 0;   // of each counter; less is a failure
    std::string regressions_file;  // empty: none; runs before the seeds
};

struct CampaignResult {
    uint64_t runs = 0;
    uint64_t failed = 0;
    uint64_t steps = 0;
    Micros simulated = 0;
    Counts counts;
};

// Prints failures as they come. One seed in a hundred is run twice and must come to the same trace.
[[nodiscard]] CampaignResult run_campaign(const Campaign& campaign);
// Runs and prints figures and counters. The exit code of a program.
[[nodiscard]] int report_campaign(const Campaign& campaign);

}  // namespace quorate::sim::replicated
