// How full the disk under the data directory is, so that growth is refused before a write fails.
//
// From the first mark on (90 %) commands that grow the state are refused, from the second (97 %)
// nothing is written; what frees space passes until then. Checked at most once per `kPeriod`, by
// whoever asks.
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

// In percent of the volume.
struct DiskMarks {
    uint32_t full = 90;
    uint32_t stop = 97;
};

// The file system's own figures of the volume that holds `path`; zeros when it does not answer.
[[nodiscard]] DiskUse disk_use(const std::string& path);

// *Thread*: any. *Owner*: the group host.
// *Errors*: a volume that does not answer counts as Ample: the write itself will tell.
class DiskWatch {
  public:
    using Probe = std::function<DiskUse()>;
    static constexpr std::chrono::milliseconds kPeriod{250};

    explicit DiskWatch(Probe probe, DiskMarks marks = {}) : probe_(std::move(probe)) {
        set_marks(marks);
    }

    // From the next check on.
    void set_marks(DiskMarks marks) {
        full_percent_.store(marks.full, std::memory_order_relaxed);
        stop_percent_.store(marks.stop, std::memory_order_relaxed);
    }

    // `now` is monotonic. Cheap: one atomic load, except once per period.
    [[nodiscard]] DiskState state(std::chrono::nanoseconds now);

  private:
    [[nodiscard]] DiskState state_of(const DiskUse& use) const;

    Probe probe_;
    std::atomic<uint32_t> full_percent_;
    std::atomic<uint32_t> stop_percent_;
    std::atomic<int64_t> next_probe_ns_{0};
    std::atomic<DiskState> state_{DiskState::Ample};
};

}  // namespace quorate::storage
