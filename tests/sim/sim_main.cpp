// quorate-sim: runs a layer of the simulator for some seeds, or one seed again with its trace.
#include <cstdint>
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "tests/sim/disk_simulation.h"

int main(int argc, char** argv) {
    std::string layer = "disk";
    uint64_t seed = 1;
    uint64_t seeds = 1;
    uint32_t steps = 3000;
    bool trace = false;
    CLI::App app("Deterministic simulation of Quorate");
    app.add_option("--layer", layer, "disk: log, groups and state machines through crashes")
        ->check(CLI::IsMember({"disk"}));
    app.add_option("--seed", seed, "The first seed");
    app.add_option("--seeds", seeds, "How many seeds, one after the other");
    app.add_option("--steps", steps, "Steps of each run");
    app.add_flag("--trace", trace, "Print every event");
    CLI11_PARSE(app, argc, argv);

    uint64_t failed = 0;
    for (uint64_t i = 0; i < seeds; ++i) {
        quorate::sim::DiskSimulationOptions options;
        options.seed = seed + i;
        options.steps = steps;
        if (trace) options.trace = [](const std::string& line) { fmt::print("{}\n", line); };
        const auto result = quorate::sim::simulate_disk(options);
        if (result.violation.empty()) continue;
        ++failed;
        fmt::print("layer disk, seed {}, step {}: {}\n", options.seed, result.step,
                   result.violation);
    }
    fmt::print("{} seeds, {} failed\n", seeds, failed);
    return failed == 0 ? 0 : 1;
}
