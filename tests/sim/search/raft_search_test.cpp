#include "tests/sim/search/raft_search.h"

#include <cstdio>

#include <fmt/format.h>

#include "tests/unit/catch.h"

using namespace quorate::sim;

TEST_CASE("no order of events within a small scope breaks R1 to R7 [reliability.md 2.5]") {
    for (const SearchScope& scope : search_scopes()) {
        const SearchResult result = search_raft(scope);
        fmt::print("{}\n", describe(scope, result));
        for (const std::string& step : result.steps) {
            fmt::print("    {}\n", step);
        }
        std::fflush(stdout);
        INFO(scope.name);
        CHECK(result.violation == "");
        CHECK(result.exhausted);
    }
}
