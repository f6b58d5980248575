#include "broker/app/server.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <variant>
#include <vector>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "broker/app/broker.h"
#include "broker/app/settings.h"
#include "broker/config/command_line.h"
#include "proto/base/log.h"

#ifndef QUORATE_VERSION
#define QUORATE_VERSION "0.1.0"
#endif

// Of the source tree it was built from, as `git describe` names it.
#ifndef QUORATE_REVISION
#define QUORATE_REVISION "unknown"
#endif

namespace quorate::broker {
namespace {

// As many descriptors as the system gives: connections need one each.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

sigset_t handled_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

// A SIGTERM or SIGINT that waits; taken.
bool stop_asked(const sigset_t& set) {
    const timespec now{};
    const int signal = ::sigtimedwait(&set, nullptr, &now);
    return signal == SIGTERM || signal == SIGINT;
}

int serve(Broker& broker, const sigset_t& set) {
    for (;;) {
        const timespec second{1, 0};
        const int signal = ::sigtimedwait(&set, nullptr, &second);
        if (signal == SIGTERM || signal == SIGINT) break;
        if (signal == SIGHUP) broker.reload();
        broker.supervise();
    }
    bool again = false;
    broker.drain([&] {
        again = again || stop_asked(set);
        return again;
    });
    if (again) std::_Exit(0);
    broker.stop();
    return 0;
}

int run(StartBroker& start, const ServerSeams& seams) {
    // Before any thread is made, the log's too: all inherit it. A thread that does not block them
    // would take a signal that comes while the main thread is busy, and end the process.
    const sigset_t set = handled_signals();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    auto logger = Logger::open(log_options(start.config.log));
    if (!logger.ok()) {
        fmt::print(stderr, "quorate: {}\n", logger.error().message);
        return 1;
    }
    ::umask(077);
    raise_descriptor_limit();
    Broker broker(start.config, start.sources, **logger,
                  {QUORATE_VERSION, QUORATE_REVISION, __VERSION__}, seams);
    if (const auto failure = broker.open([&] { return stop_asked(set); })) {
        (*logger)->flush();
        fmt::print(stderr, "quorate: {}\n", failure->text);
        return failure->exit_code;
    }
    std::string listeners;
    for (const std::string& url : broker.listeners())
        listeners += " " + url;
    (*logger)->flush();
    fmt::print("quorate ready{}\n", listeners);
    std::fflush(stdout);
    const int code = serve(broker, set);
    (*logger)->flush();
    return code;
}

}  // namespace

int run_server(int argc, char** argv, const ServerSeams& seams) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    std::vector<std::string> environment;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        environment.emplace_back(*entry);
    }
    auto parsed = parse_command_line(arguments, environment, QUORATE_VERSION, check_surroundings);
    if (const auto* exit_now = std::get_if<ExitNow>(&parsed)) {
        std::fputs(exit_now->out.c_str(), stdout);
        std::fputs(exit_now->err.c_str(), stderr);
        return exit_now->code;
    }
    return run(std::get<StartBroker>(parsed), seams);
}

}  // namespace quorate::broker
