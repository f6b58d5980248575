// How full the disk under the data directory is, so that growth is refused before a write fails.
//
// At 90 % commands that grow the state are refused, at 97 % all of them; what frees space passes
// until then. Checked at most once per `kPeriod`, by whoever asks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace quorate::storage {

enum class DiskState : uint8_t { Ample, Full, Stop };

struct DiskUse {
    uint64_t bytes_total = 0;
    uint64_t bytes_used = 0;  // of what this user could ever use
};

// The file system's own figures of the volume that holds `path`; zeros when it does not answer.
[[nodiscard]] DiskUse disk_use(const std::string& path);

// *Thread*: any. *Owner*: the group host.
// *Errors*: a volume that does not answer counts as Ample: the write itself will tell.
class DiskWatch {
  public:
    using Probe = std::function<DiskUse()>;
    static constexpr std::chrono::milliseconds kPeriod{250};

    explicit DiskWatch(Probe probe) : probe_(std::move(probe)) {}

    // `now` is monotonic. Cheap: one atomic load, except once per period.
    [[nodiscard]] DiskState state(std::chrono::nanoseconds now);

  private:
    Probe probe_;
    std::atomic<int64_t> next_probe_ns_{0};
    std::atomic<DiskState> state_{DiskState::Ample};
};

}  // namespace quorate::storage
