// What the broker's processes cost: CPU time of all their threads, and memory in RAM.
//
// CPU time is read from the process clock (clock_getcpuclockid): the same quantity as utime + stime
// of /proc/PID/stat, which is the fallback, but in nanoseconds instead of ticks of 10 ms.
//
// Thread: any; each call reads afresh. Errors: check() tells whether a process is there; later a
// process that has ended counts as zero.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/load/client/event_loop.h"

namespace quorate::bench {

struct Usage {
    Nanos cpu{0};
    std::uint64_t rss_bytes = 0;
};

class ProcessProbe {
  public:
    explicit ProcessProbe(std::vector<int> pids) : pids_(std::move(pids)) {}

    [[nodiscard]] bool empty() const { return pids_.empty(); }
    [[nodiscard]] Failure check() const;
    // The sum over all processes. RSS is what costs time to find: a pass over the page tables.
    [[nodiscard]] Nanos cpu() const;
    [[nodiscard]] std::uint64_t rss_bytes() const;

  private:
    std::vector<int> pids_;
};

// CPU time of this process.
[[nodiscard]] Nanos own_cpu() noexcept;

}  // namespace quorate::bench
