#include <fmt/format.h>

#include "tests/sim/crashes/explorer.h"
#include "tests/unit/catch.h"
#include "tests/unit/rounds.h"

using namespace quorate::sim::crashes;

TEST_CASE("no crash in any story of three operations breaks a promise", "[M1][M2][M3][M8][R4]") {
    Scope scope;
    scope.operations_max = quorate::test::kWhole ? 3 : 1;
    const Explored explored = explore(scope);
    fmt::print("{} stories, {} points, {} crashes\n", explored.stories, explored.points,
               explored.crashes);
    CHECK(explored.violation == "");
    if (quorate::test::kWhole) CHECK(explored.stories > 300);
}

TEST_CASE("each mistake of a broker is found by a story of two operations", "[mutants]") {
    for (uint32_t i = 1; i < kMistakes; ++i) {
        Scope scope;
        scope.operations_max = 2;
        scope.mistake = static_cast<Mistake>(i);
        const Explored explored = explore(scope);
        fmt::print("{}: after {} crashes: {}\n", i, explored.crashes, explored.violation);
        CHECK(explored.violation != "");
    }
}
