// Many random schedules with losses, doubles, reordering, partitions and restarts.
#include <cstdlib>
#include <string>

#include "tests/unit/catch.h"
#include "tests/unit/raft/raft_cluster.h"

using namespace quorate;
using raft::test::RaftCluster;

namespace {

struct Seen {
    uint64_t committed = 0;
    uint64_t crashes = 0;
    uint64_t truncations = 0;
    uint64_t restores = 0;
};

// A failure is repeated with QUORATE_RAFT_SEED=<seed> raft_test "<name>".
void run(uint32_t replicas, uint64_t seed, Seen& seen) {
    RaftCluster cluster(replicas, seed);
    for (int i = 0; i < 6000 && cluster.violation().empty(); ++i) {
        cluster.random_step(true);
    }
    INFO("replicas " << replicas << ", seed " << seed);
    REQUIRE(cluster.violation() == "");
    // Liveness (R9): with the faults gone somebody leads, and everybody gets everything.
    cluster.reconnect();
    cluster.settle();
    cluster.elect();
    for (int i = 0; i < 30; ++i) {
        cluster.tick();
    }
    REQUIRE(cluster.propose("last"));
    for (int i = 0; i < 10; ++i) {
        cluster.tick();
    }
    REQUIRE(cluster.violation() == "");
    for (uint32_t i = 1; i <= replicas; ++i) {
        REQUIRE(cluster.replica(i).applied().size() == cluster.committed());
        REQUIRE(cluster.replica(i).applied().back().data.text() == "last");
    }
    seen.committed += cluster.committed();
    seen.crashes += cluster.crashes();
    seen.truncations += cluster.truncations();
    seen.restores += cluster.restores();
}

}  // namespace

TEST_CASE(
    "no schedule of losses, reordering, partitions and restarts breaks R1 to R5, and all "
    "catch up afterwards [R9]") {
    const char* chosen = std::getenv("QUORATE_RAFT_SEED");
    const uint64_t first = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 1;
    const uint64_t last = chosen != nullptr ? first : 60;
    Seen seen;
    for (uint64_t seed = first; seed <= last; ++seed) {
        for (const uint32_t replicas : {1U, 3U, 5U}) {
            run(replicas, seed, seen);
        }
    }
    if (chosen != nullptr) return;
    CHECK(seen.committed > 4'000);
    CHECK(seen.crashes > 200);
    CHECK(seen.truncations > 40);
    CHECK(seen.restores > 20);
}
