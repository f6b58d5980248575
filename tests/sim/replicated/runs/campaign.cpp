#include "tests/sim/replicated/runs/campaign.h"

#include <cstdio>
#include <ctime>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "tests/sim/commit.h"
#include "tests/sim/kernel/last_words.h"
#include "tests/sim/replicated/runs/shrink.h"

namespace quorate::sim::replicated {
namespace {

double seconds(Micros time) {
    return static_cast<double>(time) / kSecond_us;
}

class Runs {
  public:
    explicit Runs(const Campaign& campaign) : campaign_(campaign) {}

    void run(uint64_t seed, uint32_t length) {
        const Plan plan = draw_plan(seed, length, static_cast<Mutant>(campaign_.mutant));
        if (campaign_.trace) fmt::print("{}\n", describe(plan));
        words_.begin(
            fmt::format("commit {}, layer s2, seed {}, seconds {}", built_from(), seed, length));
        const Outcome outcome = simulate(plan, trace());
        ++result_.runs;
        result_.steps += outcome.steps;
        result_.simulated += outcome.time;
        result_.counts.add(outcome.counts);
        if (!outcome.violation.empty()) return fail(plan, outcome, outcome.violation);
        if (seed % 100 == 0 && simulate(plan).trace_hash != outcome.trace_hash) {
            fail(plan, outcome, "a second run of the seed is another one");
        }
    }
    [[nodiscard]] const CampaignResult& result() const { return result_; }

  private:
    [[nodiscard]] Trace trace() const {
        if (!campaign_.trace) return nullptr;
        return [](const std::string& line) { fmt::print("{}\n", line); };
    }
    void fail(const Plan& plan, const Outcome& outcome, const std::string& what) {
        ++result_.failed;
        fmt::print("commit {}, layer s2, seed {}, step {}, second {:.6f} of {}: {}\n", built_from(),
                   plan.seed, outcome.steps, seconds(outcome.time), plan.seconds, what);
        if (campaign_.shrink && !outcome.violation.empty()) {
            fmt::print("  shrunk: {}\n", describe(shrink(plan)));
        }
        std::fflush(stdout);
    }

    const Campaign& campaign_;
    LastWords words_;
    CampaignResult result_;
};

// "s2 SEED SECONDS # what it was"; lines of other layers are theirs.
void run_regressions(const std::string& file, Runs& runs) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        std::string layer;
        uint64_t seed = 0;
        uint32_t length = 0;
        if (words >> layer >> seed >> length && layer == "s2") runs.run(seed, length);
    }
}

}  // namespace

CampaignResult run_campaign(const Campaign& campaign) {
    Runs runs(campaign);
    if (!campaign.regressions_file.empty()) run_regressions(campaign.regressions_file, runs);
    for (uint64_t i = 0; i < campaign.seeds; ++i) {
        runs.run(campaign.first_seed + i, campaign.seconds);
    }
    return runs.result();
}

int report_campaign(const Campaign& campaign) {
    CampaignResult result = run_campaign(campaign);
    // Of the processor: the machine may have more to do.
    const double took = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    for (uint32_t i = 0; i < kCounts; ++i) {
        const auto count = static_cast<Count>(i);
        fmt::print("{:>12} {}\n", result.counts[count], to_string(count));
        if (result.counts[count] >= campaign.count_at_least) continue;
        ++result.failed;
        fmt::print("layer s2: too seldom to have proved anything\n");
    }
    fmt::print(
        "{:.0f} s simulated in {:.1f} s of a processor: {:.0f} times real time, {:.0f} "
        "events a second\n",
        seconds(result.simulated), took, seconds(result.simulated) / took,
        static_cast<double>(result.steps) / took);
    fmt::print("{} seeds, {} failed\n", result.runs, result.failed);
    return result.failed == 0 ? 0 : 1;
}

}  // namespace quorate::sim::replicated
