#include "storage/disk_watch.h"

#include <sys/statvfs.h>

namespace quorate::storage {
DiskUse disk_use(const std::string& path) {
    struct statvfs volume {};
    if (::statvfs(path.c_str(), &volume) != 0) return {};
    // Without the blocks reserved for root: this user never gets them.
    const uint64_t used = volume.f_blocks - volume.f_bfree;
    return DiskUse{(used + volume.f_bavail) * volume.f_frsize, used * volume.f_frsize};
}

DiskState DiskWatch::state_of(const DiskUse& use) const {
    if (use.bytes_total == 0) return DiskState::Ample;
    const uint64_t percent = use.bytes_used * 100 / use.bytes_total;
    if (percent >= stop_percent_.load(std::memory_order_relaxed)) return DiskState::Stop;
    return percent >= full_percent_.load(std::memory_order_relaxed) ? DiskState::Full
                                                                    : DiskState::Ample;
}

DiskState DiskWatch::state(std::chrono::nanoseconds now) {
    int64_t due = next_probe_ns_.load(std::memory_order_relaxed);
    const int64_t next = (now + kPeriod).count();
    if (now.count() >= due &&
        next_probe_ns_.compare_exchange_strong(due, next, std::memory_order_relaxed)) {
        state_.store(state_of(probe_()), std::memory_order_relaxed);
    }
    return state_.load(std::memory_order_relaxed);
}

}  // namespace quorate::storage
