#include "tests/sim/raft/campaign.h"

#include <cstdio>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "tests/sim/commit.h"
#include "tests/sim/kernel/last_words.h"
#include "tests/sim/raft/shrink.h"

namespace quorate::sim {
namespace {

class Runner {
  public:
    explicit Runner(const RaftCampaign& campaign) : campaign_(campaign) {}

    void run(const RaftPlan& plan);
    void regressions();
    [[nodiscard]] const RaftCampaignResult& result() const { return result_; }

  private:
    void fail(const RaftPlan& plan, const RaftResult& result);

    const RaftCampaign& campaign_;
    LastWords words_;
    RaftCampaignResult result_;
};

void Runner::run(const RaftPlan& plan) {
    words_.begin(
        fmt::format("commit {}, layer s1, seed {}, steps {}", built_from(), plan.seed, plan.steps));
    RaftTrace trace;
    if (campaign_.trace) {
        fmt::print("{}\n", describe(plan));
        trace = [](const std::string& line) { fmt::print("{}\n", line); };
    }
    const RaftResult result = simulate_raft(plan, trace);
    ++result_.runs;
    result_.steps += result.step;
    result_.simulated += result.time;
    result_.counts.add(result.counts);
    if (!result.violation.empty()) return fail(plan, result);
    if (plan.seed % 100 != 0 || simulate_raft(plan).trace_hash == result.trace_hash) return;
    ++result_.failed;
    fmt::print("commit {}, layer s1, seed {}: two runs differ\n", built_from(), plan.seed);
}

void Runner::fail(const RaftPlan& plan, const RaftResult& result) {
    ++result_.failed;
    fmt::print("commit {}, layer s1, seed {}, step {}: {}\n", built_from(), plan.seed, result.step,
               result.violation);
    if (campaign_.shrink) {
        const RaftPlan small = shrink_raft(plan);
        fmt::print("  shrunk: {}\n", describe(small));
    }
    std::fflush(stdout);
}

// A line is `s1 SEED STEPS`, then a `#` and why it is there.
void Runner::regressions() {
    if (campaign_.regressions_file.empty()) return;
    std::ifstream file(campaign_.regressions_file);
    if (!file) {
        ++result_.failed;
        fmt::print("{}: cannot be read\n", campaign_.regressions_file);
    }
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line.substr(0, line.find('#')));
        std::string layer;
        uint64_t seed = 0;
        uint32_t steps = 0;
        if (!(words >> layer >> seed >> steps) || layer != "s1") continue;
        run(draw_raft_plan(seed, steps));
    }
}

}  // namespace

RaftCampaignResult run_raft_campaign(const RaftCampaign& campaign) {
    Runner runner(campaign);
    runner.regressions();
    for (uint64_t i = 0; i < campaign.seeds; ++i) {
        runner.run(draw_raft_plan(campaign.first_seed + i, campaign.steps));
    }
    return runner.result();
}

int report_raft_campaign(const RaftCampaign& campaign) {
    RaftCampaignResult result = run_raft_campaign(campaign);
    for (uint32_t i = 0; i < kRaftCounts; ++i) {
        const auto count = static_cast<RaftCount>(i);
        fmt::print("{}{} {}", i == 0 ? "" : ", ", to_string(count), result.counts[count]);
        if (result.counts[count] >= campaign.count_at_least) continue;
        ++result.failed;
        fmt::print(" (at least {} expected)", campaign.count_at_least);
    }
    fmt::print("\n{} runs, {} steps, {} simulated seconds, {} failed\n", result.runs, result.steps,
               result.simulated / kSecondUs, result.failed);
    return result.failed == 0 ? 0 : 1;
}

}  // namespace quorate::sim
