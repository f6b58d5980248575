// raft_bench: the figures of the Raft core. `raft_bench [proposals]`, a million by default.
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <thread>

#include <sys/utsname.h>

#include <fmt/format.h>

#include "bench/raft/core_benchmark.h"

namespace quorate::bench {
namespace {

constexpr uint32_t kGroups[] = {1, 64, 1'024};
constexpr uint32_t kBatches[] = {1, 64};
constexpr double kReplicas = 3;
constexpr double kTickSeconds = 0.1;

void print_machine() {
    utsname name{};
    uname(&name);
    fmt::print("commit {}, {} {}, {} processors\n\n", QUORATE_BENCH_COMMIT, name.sysname,
               name.release, std::thread::hardware_concurrency());
}

void print_proposals(uint64_t proposals) {
    fmt::print("3 replicas in one thread, 128 B a command, {} commands a line\n", proposals);
    fmt::print("{:>6} {:>6} {:>7} {:>16} {:>14} {:>14}\n", "groups", "batch", "encoded",
               "proposals/core-s", "us/proposal", "messages/each");
    for (const uint32_t groups : kGroups) {
        for (const uint32_t batch : kBatches) {
            for (const bool encode : {false, true}) {
                const ProposalFigures figures =
                    measure_proposals({groups, proposals, batch, 128, encode});
                const auto count = static_cast<double>(figures.proposals);
                fmt::print("{:>6} {:>6} {:>7} {:>16.0f} {:>14.3f} {:>14.2f}\n", groups, batch,
                           encode ? "yes" : "no", figures.per_second(),
                           figures.seconds * 1e6 / count,
                           static_cast<double>(figures.messages) / count);
            }
        }
    }
}

void print_idle() {
    fmt::print("\n1,024 idle groups, 60 s of ticks of 100 ms, share of a core at each node\n");
    for (const uint32_t quiesce_rounds : {0U, 3U}) {
        const IdleLoad load{1'024, 600, quiesce_rounds};
        const IdleFigures figures = measure_idle(load);
        const double time = kTickSeconds * load.ticks;
        fmt::print("{:>10}: {:.4f} %, {:.0f} messages a second, {} groups asleep\n",
                   quiesce_rounds == 0 ? "awake" : "quiescent",
                   100 * figures.seconds / time / kReplicas,
                   static_cast<double>(figures.messages) / time / kReplicas, figures.asleep);
    }
}

int run_main(int argc, char** argv) {
    uint64_t proposals = 1'000'000;
    if (argc == 2) {
        const std::string_view text = argv[1];
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), proposals);
        if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || proposals == 0 ||
            proposals > 1'000'000'000) {
            fmt::print(stderr, "raft_bench: {} is no number of proposals\n", text);
            return 2;
        }
    } else if (argc > 2) {
        fmt::print(stderr, "usage: raft_bench [proposals]\n");
        return 2;
    }
    print_machine();
    print_proposals(proposals);
    print_idle();
    return 0;
}

}  // namespace
}  // namespace quorate::bench

int main(int argc, char** argv) {
    return quorate::bench::run_main(argc, argv);
}
