// Thousands of starts of a cluster under faults: never two clusters out of one.
#include <cstdlib>

#include "cluster/control/mutants.h"
#include "tests/unit/catch.h"
#include "tests/unit/control/bootstrap_world.h"
#include "tests/unit/rounds.h"

namespace quorate::cluster {
namespace {

using std::chrono::seconds;
using test::BootstrapWorld;
using test::StartPlan;

constexpr uint64_t kSeeds = 3'000;

// `sound`: as an operator should have written it; else seeds and numbers differ from node to node.
std::vector<StartPlan> plan(Random& random, bool sound) {
    const uint64_t nodes = 1 + random.below(6);
    const uint32_t expect = static_cast<uint32_t>(1 + random.below(nodes));
    const uint64_t seeds = 1 + random.below(expect);
    std::vector<StartPlan> plans(nodes);
    for (StartPlan& each : plans) {
        each.expect = expect;
        for (uint64_t seed = 0; seed < seeds; ++seed) {
            if (sound || !random.chance(1, 4)) each.seeds.push_back("n" + std::to_string(seed + 1));
        }
        if (!sound && random.chance(1, 6)) each.seeds.push_back("n9");  // nobody
        if (!sound && random.chance(1, 4)) each.expect = static_cast<uint32_t>(1 + random.below(4));
        if (random.chance(1, 3)) each.first_start = seconds(random.below(40));
    }
    return plans;
}

struct Seen {
    uint64_t crashes_while_writing = 0;
    uint64_t proposals = 0;
    uint64_t withdrawn = 0;
    uint64_t joins = 0;
};

// Empty, or what was violated.
std::string run(uint64_t seed, Seen& seen) {
    Random random(seed);
    const bool sound = random.chance(1, 2);
    BootstrapWorld world(plan(random, sound), random.next());
    world.run_with_faults(seconds(60));
    world.run_in_peace(seconds(60));
    seen.crashes_while_writing += world.crashes_while_writing;
    seen.proposals += world.proposals;
    seen.withdrawn += world.withdrawn;
    seen.joins += world.joins;
    if (!world.violation().empty()) return world.violation() + "\n" + world.describe();
    if (sound && world.common_cluster() == 0) return "no common cluster\n" + world.describe();
    return "";
}

// A failure is repeated with QUORATE_BOOTSTRAP_SEED=<seed> control_test "<name>".
TEST_CASE("No start under faults makes two clusters out of one, and a sound one makes one") {
    const char* chosen = std::getenv("QUORATE_BOOTSTRAP_SEED");
    const uint64_t first = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 1;
    const uint64_t last = chosen != nullptr ? first : quorate::test::rounds(kSeeds);
    Seen seen;
    for (uint64_t seed = first; seed <= last; ++seed) {
        INFO("seed " << seed);
        REQUIRE(run(seed, seen) == "");
    }
    if (chosen != nullptr || !quorate::test::kWhole) return;
    CHECK(seen.crashes_while_writing > 1'000);
    CHECK(seen.proposals > 2'000);
    CHECK(seen.withdrawn > 300);
    CHECK(seen.joins > 500);
}

TEST_CASE("The checker of clusters catches each mistake of the bootstrap", "[mutants]") {
    for (const ControlMutant mutant :
         {ControlMutant::AnswerBeforePersist, ControlMutant::AcceptTwice,
          ControlMutant::FormByMajority, ControlMutant::SilentSeedIgnored,
          ControlMutant::SeedLeftOut, ControlMutant::ReleaseUnheard}) {
        INFO("mutant " << static_cast<int>(mutant));
        control_mutant = mutant;
        Seen seen;
        uint64_t caught_by = 0;
        for (uint64_t seed = 1; seed <= kSeeds && caught_by == 0; ++seed) {
            const std::string violation = run(seed, seen);
            if (violation.find("cluster") != std::string::npos &&
                violation.find("no common") == std::string::npos) {
                caught_by = seed;
            }
        }
        control_mutant = ControlMutant::None;
        CHECK(caught_by != 0);
    }
}

}  // namespace
}  // namespace quorate::cluster
