// quorate-sim: runs a layer of the simulator for some seeds, or one seed again with its trace.
#include <cstdint>
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "tests/sim/commit.h"
#include "tests/sim/disk_simulation.h"
#include "tests/sim/raft/campaign.h"
#include "tests/sim/replicated/runs/campaign.h"
#include "tests/sim/shard_subject.h"

namespace {

using quorate::sim::ShardSimCounts;

void print_counts(const ShardSimCounts& counts) {
    fmt::print(
        "lives {}, commands lost {}, mid QoS 2: receivers {}, senders {}, PUBREL resumed {}, "
        "redelivered {}, repeats: PUBLISH {}, hand-over {}, expired {}, takeovers {}, wills: "
        "sent {}, cancelled {}, delivered {}\n",
        counts.lives, counts.commands_lost, counts.receiver_mid_qos2, counts.sender_mid_qos2,
        counts.pubrels_resumed, counts.redelivered, counts.put_repeats, counts.hand_over_repeats,
        counts.sessions_expired, counts.takeovers, counts.wills_sent, counts.wills_cancelled,
        counts.delivered);
}

}  // namespace

int main(int argc, char** argv) {
    std::string layer = "disk";
    uint64_t seed = 1;
    uint64_t seeds = 1;
    uint32_t steps = 0;
    bool trace = false;
    quorate::sim::RaftCampaign raft;
    quorate::sim::replicated::Campaign replicated;
    CLI::App app("Deterministic simulation of Quorate");
    app.add_option(
           "--layer", layer,
           "s1: the Raft core; s2: a shard on several replicas; disk: log, groups and a toy "
           "state machine through crashes; shard: the same with the real shard and its "
           "clients")
        ->check(CLI::IsMember({"s1", "s2", "disk", "shard"}));
    app.add_option("--seed", seed, "The first seed");
    app.add_option("--seeds", seeds, "How many seeds, one after the other");
    app.add_option("--steps", steps, "Steps of each run; default 50000 (s1) or 3000");
    app.add_flag("--trace", trace, "Print every event");
    app.add_flag("--shrink", raft.shrink,
                 "s1, s2: print the least of a failing seed that still fails");
    app.add_option("--count", raft.count_at_least,
                   "s1, s2: how often each interesting thing happens");
    app.add_option("--regressions", raft.regressions_file, "s1, s2: a file of seeds to run first");
    app.add_option("--seconds", replicated.seconds, "s2: virtual time of each run");
    app.add_option("--mutant", replicated.mutant, "s2: with a deliberate mistake, by number");
    CLI11_PARSE(app, argc, argv);
    if (layer == "s1") {
        raft.first_seed = seed;
        raft.seeds = seeds;
        if (steps != 0) raft.steps = steps;
        raft.trace = trace;
        return quorate::sim::report_raft_campaign(raft);
    }
    if (layer == "s2") {
        replicated.first_seed = seed;
        replicated.seeds = seeds;
        replicated.trace = trace;
        replicated.shrink = raft.shrink;
        replicated.count_at_least = raft.count_at_least;
        replicated.regressions_file = raft.regressions_file;
        return quorate::sim::replicated::report_campaign(replicated);
    }
    if (steps == 0) steps = 3000;

    uint64_t failed = 0;
    for (uint64_t i = 0; i < seeds; ++i) {
        quorate::sim::ShardWorlds worlds;
        quorate::sim::DiskSimulationOptions options;
        options.seed = seed + i;
        options.steps = steps;
        if (layer == "shard") {
            options.subject = worlds.factory();
            options.pauses = true;
        }
        if (trace) options.trace = [](const std::string& line) { fmt::print("{}\n", line); };
        const auto result = quorate::sim::simulate_disk(options);
        if (layer == "shard" && seeds == 1) print_counts(worlds.counts());
        if (result.violation.empty()) continue;
        ++failed;
        fmt::print("commit {}, layer {}, seed {}, step {}: {}\n", quorate::sim::built_from(), layer,
                   options.seed, result.step, result.violation);
    }
    fmt::print("{} seeds, {} failed\n", seeds, failed);
    return failed == 0 ? 0 : 1;
}
