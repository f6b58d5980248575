// quorate-raft-search: visits every state of a small Raft group and says how many there are.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "tests/sim/search/raft_search.h"

int main(int argc, char** argv) {
    quorate::sim::SearchScope scope;
    scope.name = "by hand";
    scope.members = quorate::sim::voters({1, 2, 3});
    scope.states_max = UINT64_MAX;
    std::vector<uint64_t> members;
    std::vector<uint64_t> target;
    CLI::App app("Every state of a Raft group of three");
    app.add_option("--members", members, "Voters at the beginning; default 1 2 3");
    app.add_option("--target", target, "Voters after the one change; default none");
    app.add_option("--terms", scope.terms, "Highest term");
    app.add_option("--proposals", scope.proposals, "Entries beside those that open terms");
    app.add_option("--crashes", scope.crashes, "Crashes, of anybody");
    app.add_option("--link", scope.link, "Messages under way from one to another");
    app.add_option("--transfers", scope.transfers, "Hand-overs of the leadership");
    app.add_option("--cuts", scope.cuts, "Cuts of anybody's log");
    app.add_option("--append", scope.append_entries, "Entries in one AppendEntries");
    app.add_option("--slow-disks", scope.slow_disks,
                   "Of so many of the last members writes complete at any later time");
    app.add_option("--states-max", scope.states_max, "Give up after so many");
    CLI11_PARSE(app, argc, argv);
    for (auto& [ids, configuration] :
         {std::pair(&members, &scope.members), std::pair(&target, &scope.target)}) {
        if (!ids->empty()) configuration->voters = {ids->begin(), ids->end()};
    }
    const quorate::sim::SearchResult result = quorate::sim::search_raft(scope);
    for (const std::string& step : result.steps) {
        fmt::print("{}\n", step);
    }
    fmt::print("{}\n", describe(scope, result));
    return result.exhausted ? 0 : 1;
}
