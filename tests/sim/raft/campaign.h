// Many seeds of the Raft simulation, one after the other, and what came of them.
//
// *Thread*: one; several campaigns are several processes. *Errors*: printed, a line each, in a form
// that repeats the run: `commit 0123456789ab, layer s1, seed 7, step 1234: R3: ...`. An assertion
// of the code under test ends the process after such a line.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/raft/simulation.h"

namespace quorate::sim {

struct RaftCampaign {
    uint64_t first_seed = 1;
    uint64_t seeds = 1;
    uint32_t steps = 50'000;
    bool trace = false;
    bool shrink = false;           // a failing seed to what still fails
    uint64_t count_at_least = 0;   // of each counter; less is a failure
    std::string regressions_file;  // empty: none; runs before the seeds
};

struct RaftCampaignResult {
    uint64_t runs = 0;
    uint64_t failed = 0;
    uint64_t steps = 0;
    Micros simulated = 0;
    RaftCounts counts;
};

// Prints failures as they come.
[[nodiscard]] RaftCampaignResult run_raft_campaign(const RaftCampaign& campaign);
// Runs and prints figures and counters. The exit code of a program.
[[nodiscard]] int report_raft_campaign(const RaftCampaign& campaign);

}  // namespace quorate::sim
