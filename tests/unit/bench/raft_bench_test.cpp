// The benchmark of the Raft core with tiny numbers, so that it cannot rot.
#include "bench/raft/core_benchmark.h"
#include "tests/unit/catch.h"

namespace quorate::bench {

TEST_CASE("every proposal of the core's benchmark is applied by all three replicas") {
    for (const bool encode : {false, true}) {
        for (const uint32_t batch : {1U, 8U}) {
            const ProposalFigures figures = measure_proposals({4, 64, batch, 16, encode});
            CHECK(figures.proposals == 64);
            CHECK(figures.messages > 0);
        }
    }
}

TEST_CASE("proposals of one turn share their messages") {
    const ProposalFigures each = measure_proposals({1, 64, 1, 16, false});
    const ProposalFigures together = measure_proposals({1, 64, 16, 16, false});
    CHECK(together.messages * 8 < each.messages);
}

TEST_CASE("idle groups that may sleep need neither ticks nor messages") {
    const IdleFigures awake = measure_idle({3, 40, 0});
    CHECK(awake.asleep == 0);
    CHECK(awake.messages > 0);
    const IdleFigures quiescent = measure_idle({3, 40, 3});
    CHECK(quiescent.asleep == 3);
    CHECK(quiescent.ticks == 0);
    CHECK(quiescent.messages == 0);
}

}  // namespace quorate::bench
