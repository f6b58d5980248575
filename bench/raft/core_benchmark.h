// What one core does with many groups of three replicas: proposals, and nothing.
//
// *Thread*: one; the figures are processor time of the process, so that other work on the machine
// counts little. *Owner*: main, or the test that runs it with tiny numbers.
#pragma once

#include <cstdint>

#include "bench/raft/simulated_groups.h"

namespace quorate::bench {

struct ProposalLoad {
    uint32_t groups = 1;
    uint64_t proposals = 1'000'000;  // of all groups together; at least one a turn
    uint32_t batch = 1;              // proposed in one turn of a group, which then settles
    uint32_t payload_bytes = 128;
    bool encode = false;
};

struct ProposalFigures {
    uint64_t proposals = 0;  // committed and applied by all three replicas
    uint64_t messages = 0;
    double seconds = 0;  // of a core, for all three replicas
    [[nodiscard]] double per_second() const {
        return seconds > 0 ? static_cast<double>(proposals) / seconds : 0;
    }
};

[[nodiscard]] ProposalFigures measure_proposals(const ProposalLoad& load);

struct IdleLoad {
    uint32_t groups = 1'024;
    uint32_t ticks = 600;         // 100 ms each in production
    uint32_t quiesce_rounds = 0;  // 0: groups never sleep
};

struct IdleFigures {
    uint64_t ticks = 0;  // of a group, given to one that needed it
    uint64_t messages = 0;
    uint32_t asleep = 0;  // groups, at the end
    double seconds = 0;   // of a core, for all three replicas of all groups
};

// Groups that lead, agree on everything and get no work; those that may sleep do so before.
[[nodiscard]] IdleFigures measure_idle(const IdleLoad& load);

}  // namespace quorate::bench
