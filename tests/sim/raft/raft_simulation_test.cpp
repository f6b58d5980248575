#include "tests/sim/raft/campaign.h"
#include "tests/unit/catch.h"
#include "tests/unit/rounds.h"

using namespace quorate::sim;
using quorate::test::kWhole;
using quorate::test::rounds;

TEST_CASE("no fault breaks R1 to R6 of a Raft group, and once healed it goes on [R9]") {
    RaftCampaign campaign;
    campaign.seeds = rounds(60);
    campaign.steps = 10'000;
    RaftCampaignResult result = run_raft_campaign(campaign);
    CHECK(result.failed == 0);
    if (!kWhole) return;
    // It really happened.
    CHECK(result.counts[RaftCount::Crashes] > 1'000);
    CHECK(result.counts[RaftCount::LeaderWithUncommittedTail] > 100);
    CHECK(result.counts[RaftCount::TailTruncated] > 5);
    CHECK(result.counts[RaftCount::Committed] > 10'000);
}

TEST_CASE("a run of a Raft group is the same each time") {
    for (const uint64_t seed : {2U, 31U, 400U}) {
        const RaftPlan plan = draw_raft_plan(seed, 10'000);
        const RaftResult first = simulate_raft(plan);
        const RaftResult second = simulate_raft(plan, [](const std::string&) {});
        CHECK(first.trace_hash == second.trace_hash);
        CHECK(first.step == second.step);
    }
}

TEST_CASE("one seed in ten has no faults") {
    uint64_t calm = 0;
    for (uint64_t seed = 1; seed <= 1'000; ++seed) {
        const RaftPlan plan = draw_raft_plan(seed, 1);
        bool faults = false;
        for (const FaultClass fault :
             {FaultClass::Loss, FaultClass::Partitions, FaultClass::Pauses, FaultClass::Drift,
              FaultClass::Crashes, FaultClass::Stalls, FaultClass::DiskLoss}) {
            faults = faults || plan.has(fault);
        }
        if (!faults) ++calm;
    }
    CHECK(calm > 70);
    CHECK(calm < 160);
}
