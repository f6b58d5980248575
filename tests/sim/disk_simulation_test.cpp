#include "tests/sim/disk_simulation.h"

#include "tests/unit/catch.h"
#include "tests/unit/rounds.h"

using namespace quorate::sim;
using quorate::test::kWhole;
using quorate::test::rounds;

namespace {

// How many of some seeds end with a violation.
uint64_t violations(Mutant mutant, uint64_t seeds) {
    uint64_t found = 0;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
        DiskSimulationOptions options;
        options.seed = seed;
        options.mutant = mutant;
        if (!simulate_disk(options).violation.empty()) ++found;
    }
    return found;
}

}  // namespace

TEST_CASE("no crash loses what was acknowledged, and every life leads to the same state") {
    DiskSimulationResult all;
    for (uint64_t seed = 1; seed <= rounds(120); ++seed) {
        DiskSimulationOptions options;
        options.seed = seed;
        const DiskSimulationResult result = simulate_disk(options);
        INFO("quorate-sim --layer disk --seed " << seed << " --trace, step " << result.step);
        REQUIRE(result.violation == "");
        all.crashes += result.crashes;
        all.writes_lost += result.writes_lost;
        all.cuts += result.cuts;
        all.replays += result.replays;
        all.damages += result.damages;
        all.noticed += result.noticed;
        all.applied += result.applied;
    }
    if (!kWhole) return;
    // It really happened.
    CHECK(all.crashes > 500);
    CHECK(all.writes_lost > 100);
    CHECK(all.cuts > 100);
    CHECK(all.replays > 100);
    CHECK(all.noticed > 10);
    CHECK(all.applied > 5'000);
}

TEST_CASE("a run is the same each time") {
    for (const uint64_t seed : {3U, 77U, 1234U}) {
        DiskSimulationOptions options;
        options.seed = seed;
        CHECK(simulate_disk(options).trace_hash == simulate_disk(options).trace_hash);
    }
}

TEST_CASE("each deliberate mistake is noticed", "[mutants]") {
    CHECK(violations(Mutant::AcknowledgeBeforeWrite, 40) > 4);
    CHECK(violations(Mutant::CutBeforeFlush, 40) > 4);
    CHECK(violations(Mutant::ForgetMarkedWrites, 40) > 4);
}
