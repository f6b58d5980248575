// Counts latencies in buckets of equal relative width: 64 for each doubling, so that a quantile is
// right to 1.6 per cent from 1 ns to hours, at a fixed size and a few nanoseconds for each value.
//
// Thread: one; those of several threads are merged after they have ended.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/load/client/payload.h"

namespace quorate::bench {

class Histogram {
  public:
    Histogram();

    void add(Nanos value) noexcept;
    void merge(const Histogram& other) noexcept;
    void clear() noexcept;

    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] Nanos max() const { return max_; }
    // The middle of the bucket that holds the value below which `fraction` of all lie; 0 when
    // empty.
    [[nodiscard]] Nanos quantile(double fraction) const noexcept;

  private:
    std::vector<std::uint64_t> buckets_;
    std::uint64_t count_ = 0;
    Nanos max_{0};
};

}  // namespace quorate::bench
