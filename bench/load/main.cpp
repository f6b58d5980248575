// quorate-bench: options, as many descriptors as the system allows, the mode, the report.
#include <csignal>
#include <cstdio>
#include <exception>

#include <sys/resource.h>

#include <fmt/format.h>

#include "bench/load/conns.h"
#include "bench/load/exchange_run.h"
#include "bench/load/retained.h"
#include "bench/load/sessions.h"

namespace quorate::bench {
namespace {

void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

Result run(const Options& options, const ProcessProbe& probe) {
    switch (options.mode) {
        case Mode::pairs:
        case Mode::fanin:
        case Mode::fanout:
        case Mode::shared:
            return run_exchange(options, probe);
        case Mode::conns:
            return run_conns(options, probe);
        case Mode::retained:
            return run_retained(options, probe);
        case Mode::sessions:
            return run_sessions(options, probe);
    }
    return {};
}

int run_main(int argc, char** argv) {
    const std::variant<Options, int> parsed = parse_options(argc, argv);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const Options& options = std::get<Options>(parsed);
    const ProcessProbe probe(options.pids);
    if (Failure failure = probe.check()) {
        fmt::print(stderr, "quorate-bench: {}\n", *failure);
        return 2;
    }
    raise_descriptor_limit();
    std::signal(SIGPIPE, SIG_IGN);
    return print_result(options, run(options, probe));
}

}  // namespace
}  // namespace quorate::bench

int main(int argc, char** argv) {
    try {
        return quorate::bench::run_main(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "quorate-bench: %s\n", error.what());
        return 1;
    }
}
