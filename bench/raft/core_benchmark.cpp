#include "bench/raft/core_benchmark.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <time.h>

namespace quorate::bench {
namespace {

// More rounds than a group takes until it sleeps.
constexpr uint32_t kTicksUntilAsleep = 200;
// More than a heartbeat takes.
constexpr uint32_t kTicksUntilHeard = 4;

using Groups = std::vector<std::unique_ptr<SimulatedGroup>>;

double processor_seconds() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

Groups make_groups(uint32_t count, SimulatedGroup::Options options) {
    Groups groups;
    for (uint32_t i = 0; i < count; ++i) {
        options.seed += 3;
        groups.push_back(std::make_unique<SimulatedGroup>(options));
        groups.back()->elect();
    }
    return groups;
}

// Commands that all replicas of all groups applied. The last of a group waits at one follower until
// a heartbeat tells it of the commit.
uint64_t applied_in(const Groups& groups) {
    uint64_t sum = 0;
    for (const auto& group : groups) {
        for (uint32_t i = 0; i < kTicksUntilHeard; ++i) {
            (void)group->tick();
        }
        sum += group->applied_everywhere();
    }
    return sum;
}

uint64_t messages_of(const Groups& groups) {
    uint64_t sum = 0;
    for (const auto& group : groups) {
        sum += group->messages();
    }
    return sum;
}

void propose_everywhere(const Groups& groups, uint64_t turns, uint32_t batch,
                        const SharedBytes& payload) {
    for (uint64_t turn = 0; turn < turns; ++turn) {
        SimulatedGroup& group = *groups[turn % groups.size()];
        for (uint32_t i = 0; i < batch; ++i) {
            group.propose(payload);
        }
        group.settle();
    }
}

}  // namespace

ProposalFigures measure_proposals(const ProposalLoad& load) {
    SimulatedGroup::Options options;
    options.encode = load.encode;
    const Groups groups = make_groups(load.groups, options);
    const SharedBytes payload(as_bytes(std::string(load.payload_bytes, 'x')));
    const uint64_t turns = std::max<uint64_t>(load.proposals / load.batch, 1);
    // Warm: windows grown, memory of the logs full.
    propose_everywhere(groups, std::max<uint64_t>(turns / 10, 1), load.batch, payload);
    const uint64_t applied_before = applied_in(groups);
    const uint64_t messages_before = messages_of(groups);
    const double begun = processor_seconds();
    propose_everywhere(groups, turns, load.batch, payload);
    ProposalFigures figures;
    figures.seconds = processor_seconds() - begun;
    figures.messages = messages_of(groups) - messages_before;
    figures.proposals = applied_in(groups) - applied_before;
    return figures;
}

IdleFigures measure_idle(const IdleLoad& load) {
    SimulatedGroup::Options options;
    options.quiesce_rounds = load.quiesce_rounds;
    const Groups groups = make_groups(load.groups, options);
    for (uint32_t i = 0; i < kTicksUntilAsleep; ++i) {
        for (const auto& group : groups) {
            (void)group->tick();
        }
    }
    IdleFigures figures;
    const uint64_t messages_before = messages_of(groups);
    const double begun = processor_seconds();
    for (uint32_t i = 0; i < load.ticks; ++i) {
        for (const auto& group : groups) {
            figures.ticks += group->tick() ? 1U : 0U;
        }
    }
    figures.seconds = processor_seconds() - begun;
    figures.messages = messages_of(groups) - messages_before;
    for (const auto& group : groups) {
        figures.asleep += group->quiescent() ? 1U : 0U;
    }
    return figures;
}

}  // namespace quorate::bench
