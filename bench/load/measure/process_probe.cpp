#include "bench/load/measure/process_probe.h"

#include <cstdio>
#include <ctime>
#include <fstream>
#include <sstream>

#include <unistd.h>

#include <fmt/format.h>

namespace quorate::bench {
namespace {

Nanos to_nanos(const timespec& time) {
    return std::chrono::seconds(time.tv_sec) + Nanos(time.tv_nsec);
}

// Fields 14 and 15 of /proc/PID/stat, counted after the command in parentheses.
std::optional<Nanos> cpu_from_stat(int pid) {
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    std::string line;
    if (!std::getline(file, line)) return std::nullopt;
    std::istringstream fields(line.substr(line.rfind(')') + 1));
    std::string skipped;
    for (int field = 3; field < 14; ++field)
        fields >> skipped;
    std::int64_t user = 0;
    std::int64_t system = 0;
    if (!(fields >> user >> system)) return std::nullopt;
    return Nanos((user + system) * (1'000'000'000 / sysconf(_SC_CLK_TCK)));
}

std::optional<Nanos> cpu_of(int pid) {
    clockid_t clock = 0;
    timespec time{};
    if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &time) == 0) {
        return to_nanos(time);
    }
    return cpu_from_stat(pid);
}

// The value in KiB of the line that begins with `name`.
std::optional<std::uint64_t> kib_line(const std::string& path, std::string_view name) {
    std::ifstream file(path);
    std::string line;
    while (std::getline(file, line)) {
        if (!line.starts_with(name)) continue;
        std::istringstream value(line.substr(name.size()));
        std::uint64_t kib = 0;
        if (value >> kib) return kib;
    }
    return std::nullopt;
}

}  // namespace

Failure ProcessProbe::check() const {
    for (const int pid : pids_) {
        if (!cpu_of(pid)) return fmt::format("--pid {}: no such process", pid);
    }
    return std::nullopt;
}

Nanos ProcessProbe::cpu() const {
    Nanos sum{0};
    for (const int pid : pids_)
        sum += cpu_of(pid).value_or(Nanos(0));
    return sum;
}

std::uint64_t ProcessProbe::rss_bytes() const {
    std::uint64_t kib = 0;
    for (const int pid : pids_) {
        // smaps_rollup is exact; VmRSS lags by what each thread has not yet added up.
        std::optional<std::uint64_t> found =
            kib_line(fmt::format("/proc/{}/smaps_rollup", pid), "Rss:");
        if (!found) found = kib_line(fmt::format("/proc/{}/status", pid), "VmRSS:");
        kib += found.value_or(0);
    }
    return kib * 1024;
}

Nanos own_cpu() noexcept {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return to_nanos(time);
}

}  // namespace quorate::bench
