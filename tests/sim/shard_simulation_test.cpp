#include "tests/sim/shard_subject.h"
#include "tests/unit/catch.h"
#include "tests/unit/rounds.h"

using namespace quorate::sim;
using quorate::test::kWhole;
using quorate::test::rounds;

namespace {

DiskSimulationOptions options_of(uint64_t seed, ShardWorlds& worlds) {
    DiskSimulationOptions options;
    options.seed = seed;
    options.subject = worlds.factory();
    options.pauses = true;
    return options;
}

// How many of some seeds end with a violation that clients notice.
uint64_t noticed_by_clients(uint64_t seeds, Mutant mutant, ShardMutant shard_mutant) {
    uint64_t found = 0;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
        ShardWorlds worlds(shard_mutant);
        DiskSimulationOptions options = options_of(seed, worlds);
        options.mutant = mutant;
        options.observe = false;
        if (!simulate_disk(options).violation.empty()) ++found;
    }
    return found;
}

}  // namespace

TEST_CASE("no crash breaks a promise of a shard to its clients", "[M1][M2][M3][M5][M6][M8]") {
    ShardSimCounts all;
    uint64_t lost = 0;
    uint64_t cuts = 0;
    for (uint64_t seed = 1; seed <= rounds(60); ++seed) {
        ShardWorlds worlds;
        const DiskSimulationResult result = simulate_disk(options_of(seed, worlds));
        INFO("quorate-sim --layer shard --seed " << seed << " --trace, step " << result.step);
        REQUIRE(result.violation == "");
        const ShardSimCounts counts = worlds.counts();
        all.lives += counts.lives;
        all.commands_lost += counts.commands_lost;
        all.receiver_mid_qos2 += counts.receiver_mid_qos2;
        all.sender_mid_qos2 += counts.sender_mid_qos2;
        all.pubrels_resumed += counts.pubrels_resumed;
        all.redelivered += counts.redelivered;
        all.put_repeats += counts.put_repeats;
        all.hand_over_repeats += counts.hand_over_repeats;
        all.sessions_expired += counts.sessions_expired;
        all.takeovers += counts.takeovers;
        all.wills_sent += counts.wills_sent;
        all.wills_cancelled += counts.wills_cancelled;
        all.delivered += counts.delivered;
        lost += result.writes_lost;
        cuts += result.cuts;
    }
    if (!kWhole) return;
    // It really happened.
    CHECK(lost > 100);
    CHECK(cuts > 100);
    CHECK(all.lives > 300);
    CHECK(all.commands_lost > 100);
    CHECK(all.receiver_mid_qos2 > 100);
    CHECK(all.sender_mid_qos2 > 100);
    CHECK(all.pubrels_resumed > 100);
    CHECK(all.redelivered > 100);
    CHECK(all.put_repeats > 100);
    CHECK(all.hand_over_repeats > 100);
    CHECK(all.sessions_expired > 20);
    CHECK(all.takeovers > 100);
    CHECK(all.wills_sent > 100);
    CHECK(all.wills_cancelled > 100);
    CHECK(all.delivered > 10'000);
}

TEST_CASE("a run with a shard is the same each time") {
    for (const uint64_t seed : {5U, 99U}) {
        ShardWorlds first;
        ShardWorlds second;
        CHECK(simulate_disk(options_of(seed, first)).trace_hash ==
              simulate_disk(options_of(seed, second)).trace_hash);
    }
}

TEST_CASE("clients notice what breaks their promises, without looking at the state", "[mutants]") {
    CHECK(noticed_by_clients(20, Mutant::AcknowledgeBeforeWrite, ShardMutant::None) > 2);
    CHECK(noticed_by_clients(20, Mutant::CutBeforeFlush, ShardMutant::None) > 2);
    CHECK(noticed_by_clients(20, Mutant::None, ShardMutant::ForgetReceived) > 2);
    CHECK(noticed_by_clients(20, Mutant::None, ShardMutant::ForgetRepeats) > 2);
    CHECK(noticed_by_clients(20, Mutant::None, ShardMutant::ForgetCursor) > 2);
}
