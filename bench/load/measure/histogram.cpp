#include "bench/load/measure/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace quorate::bench {
namespace {

constexpr unsigned kSubBits = 6;
constexpr std::uint64_t kSub = 1ULL << kSubBits;
constexpr unsigned kOctaves = 44 - kSubBits;  // up to 2^44 ns, nearly five hours
constexpr std::size_t kBuckets = (kOctaves + 1) * kSub;

std::size_t bucket_of(std::uint64_t value) {
    if (value < kSub) return value;
    const auto octave = static_cast<unsigned>(std::bit_width(value)) - kSubBits - 1;
    const std::uint64_t within = (value >> octave) - kSub;
    return std::min<std::size_t>(kBuckets - 1, (octave + 1) * kSub + within);
}

std::uint64_t middle_of(std::size_t bucket) {
    if (bucket < kSub) return bucket;
    const std::size_t octave = bucket / kSub - 1;
    const std::uint64_t low = (kSub + bucket % kSub) << octave;
    return low + ((1ULL << octave) / 2);
}

}  // namespace

Histogram::Histogram() : buckets_(kBuckets) {}

void Histogram::add(Nanos value) noexcept {
    const auto count = static_cast<std::uint64_t>(std::max<Nanos::rep>(value.count(), 0));
    ++buckets_[bucket_of(count)];
    ++count_;
    max_ = std::max(max_, value);
}

void Histogram::merge(const Histogram& other) noexcept {
    for (std::size_t i = 0; i < kBuckets; ++i)
        buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
}

void Histogram::clear() noexcept {
    std::ranges::fill(buckets_, std::uint64_t{0});
    count_ = 0;
    max_ = Nanos(0);
}

Nanos Histogram::quantile(double fraction) const noexcept {
    if (count_ == 0) return Nanos(0);
    const auto wanted =
        static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
        seen += buckets_[i];
        if (seen < std::max<std::uint64_t>(wanted, 1)) continue;
        return std::min(max_, Nanos(static_cast<Nanos::rep>(middle_of(i))));
    }
    return max_;
}

}  // namespace quorate::bench
