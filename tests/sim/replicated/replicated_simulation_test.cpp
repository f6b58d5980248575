#include <csignal>
#include <cstdio>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "tests/sim/replicated/runs/campaign.h"
#include "tests/sim/replicated/runs/shrink.h"
#include "tests/unit/catch.h"
#include "tests/unit/rounds.h"

using namespace quorate;
using namespace quorate::sim::replicated;

namespace {

constexpr uint64_t kSeedsMax = 60;

// Prints the first seed that ends with a violation. False: none of them does.
bool look_for(Mutant mutant) {
    for (uint64_t seed = 1; seed <= kSeedsMax; ++seed) {
        const std::string violation = simulate(draw_plan(seed, 60, mutant)).violation;
        if (violation.empty()) continue;
        fmt::print("{}: after {} seeds: {}\n", to_string(mutant), seed, violation);
        return true;
    }
    fmt::print("{}: in none of {} seeds\n", to_string(mutant), kSeedsMax);
    return false;
}

// In a process of its own: an assertion of the product that fails has noticed it, too.
bool noticed(Mutant mutant) {
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) {
        std::signal(SIGABRT, SIG_DFL);  // not a failure of this program
        const bool found = look_for(mutant);
        std::fflush(stdout);
        ::_exit(found ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFEXITED(status)) return WEXITSTATUS(status) == 0;
    fmt::print("{}: an assertion of the product\n", to_string(mutant));
    return WTERMSIG(status) == SIGABRT;
}

}  // namespace

TEST_CASE("no fault breaks a promise of a replicated shard", "[M1][M2][M3][M5][M6][M8]") {
    Campaign campaign;
    campaign.seeds = test::rounds(40);
    campaign.seconds = 60;
    CampaignResult result = run_campaign(campaign);
    CHECK(result.failed == 0);
    if (!test::kWhole) return;
    // It really happened.
    CHECK(result.counts[Count::LeaderWithTail] > 20);
    CHECK(result.counts[Count::TailTruncated] > 5);
    CHECK(result.counts[Count::ResentDuplicates] > 1'000);
    CHECK(result.counts[Count::IncarnationChanges] > 100);
    CHECK(result.counts[Count::TakeoversInFlight] > 50);
    CHECK(result.counts[Count::TakeoversLeaving] > 50);
    CHECK(result.counts[Count::WillsAcrossFailOver] > 20);
    CHECK(result.counts[Count::Redelivered] > 100);
    CHECK(result.counts[Count::HandOverRepeats] > 50);
    CHECK(result.counts[Count::Delivered] > 10'000);
    CHECK(result.counts[Count::ChangesBegun] > 100);
    CHECK(result.counts[Count::Newcomers] > 50);
    CHECK(result.counts[Count::ReplicasRemoved] > 50);
    CHECK(result.counts[Count::BegunAnew] > 0);
    CHECK(result.counts[Count::DisksReplaced] > 2);
    CHECK(result.counts[Count::SnapshotAfterSnapshot] > 2);
    CHECK(result.counts[Count::PacketIdsWrapped] > 5);
    CHECK(result.counts[Count::StatesCompared] > 1'000);
}

TEST_CASE("a run of a replicated shard is the same each time") {
    for (const uint64_t seed : {2U, 31U}) {
        const Plan plan = draw_plan(seed, 30);
        CHECK(simulate(plan).trace_hash == simulate(plan, [](const std::string&) {}).trace_hash);
    }
}

TEST_CASE("a replica that applies otherwise stops by the product's own check", "[R4][mutants]") {
    for (uint64_t seed = 1; seed <= kSeedsMax; ++seed) {
        const Plan plan = draw_plan(seed, 60, Mutant::ApplyDifferently);
        REQUIRE_FALSE(plan.observe);
        const std::string violation = simulate(plan).violation;
        if (violation.find("differs from the leader's") == std::string::npos) continue;
        fmt::print("seed {}: {}\n", seed, violation);
        return;
    }
    FAIL("in none of the seeds");
}

TEST_CASE("a failing seed is made small, and still fails in the same way") {
    Plan plan = draw_plan(1, 60, Mutant::ForgetRepeats);
    const std::string violation = simulate(plan).violation;
    REQUIRE(violation != "");
    const Plan small = shrink(plan);
    CHECK(simulate(small).violation.substr(0, 2) == violation.substr(0, 2));
    CHECK(small.seconds <= plan.seconds);
    CHECK(describe(small) != describe(plan));
}

TEST_CASE("each known mistake of a replicated shard is noticed", "[mutants]") {
    for (uint32_t i = 1; i < kMutants; ++i) {
        const auto mutant = static_cast<Mutant>(i);
        INFO(to_string(mutant));
        CHECK(noticed(mutant));
    }
}
