// Counters, gauges and histograms without contention: each thread writes cells of its own, a scrape
// adds them up. The metrics themselves are the rows of metric_list.h.
//
//     shard.add<Metric::Connects>(ConnectResult::Accepted);
//     shard.add<Metric::SocketReads>();
//     shard.observe<Metric::RaftFsync>(elapsed);
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "proto/base/metric_list.h"

namespace quorate {

enum class MetricKind : uint8_t { Counter, CounterSet, Gauge, GaugeSet, Histogram };
enum class MetricUnit : uint8_t { None, Seconds, Bytes, Items };

// The labels: an enum class each, its key and the texts of its values.
template <typename Label>
struct LabelInfo;

#define QUORATE_LABEL_ENUMERATOR(name, text) name,
#define QUORATE_LABEL_TEXT(name, text) std::string_view(text),
#define QUORATE_DEFINE_LABEL(type, label_key, list)                               \
    enum class type : uint8_t { list(QUORATE_LABEL_ENUMERATOR) };                 \
    template <>                                                                   \
    struct LabelInfo<type> {                                                      \
        static constexpr std::string_view key = label_key;                        \
        static constexpr auto values = std::to_array({list(QUORATE_LABEL_TEXT)}); \
    };
QUORATE_METRIC_LABELS(QUORATE_DEFINE_LABEL)
#undef QUORATE_DEFINE_LABEL
#undef QUORATE_LABEL_TEXT
#undef QUORATE_LABEL_ENUMERATOR

#define QUORATE_METRIC_ENUMERATOR(id, kind, unit, name, label, help) id,
enum class Metric : uint16_t { QUORATE_METRICS(QUORATE_METRIC_ENUMERATOR) };
#undef QUORATE_METRIC_ENUMERATOR

// One row of the list, for the exporter and for tests.
struct MetricRow {
    MetricKind kind;
    MetricUnit unit;
    std::string_view name;
    std::string_view help;
    std::string_view label_key;  // empty: no label
    std::span<const std::string_view> label_values;
};

// All rows, in the order of the enum.
[[nodiscard]] std::span<const MetricRow> metric_rows();

// Upper bounds of the buckets of a histogram, in the recorded unit (nanoseconds or items); one more
// bucket without bound follows.
inline constexpr std::array<uint64_t, 21> kSecondsBounds = {
    1'000,         5'000,         10'000,        25'000,      50'000,      100'000,
    250'000,       500'000,       1'000'000,     2'500'000,   5'000'000,   10'000'000,
    25'000'000,    50'000'000,    100'000'000,   250'000'000, 500'000'000, 1'000'000'000,
    2'500'000'000, 5'000'000'000, 10'000'000'000};
inline constexpr std::array<uint64_t, 15> kItemsBounds = {
    0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1'000, 2'000, 5'000, 10'000, 100'000};

namespace metric_detail {

template <Metric M>
struct Traits;

// Cells of one label value: one for a number; buckets, the unbounded one and the sum for a
// histogram.
constexpr size_t cells_of(MetricKind kind, MetricUnit unit) {
    if (kind != MetricKind::Histogram) return 1;
    return (unit == MetricUnit::Items ? kItemsBounds.size() : kSecondsBounds.size()) + 2;
}

#define QUORATE_METRIC_TRAITS(id, metric_kind, metric_unit, name, label, help)   \
    template <>                                                                  \
    struct Traits<Metric::id> {                                                  \
        using Label = label;                                                     \
        static constexpr MetricKind kind = MetricKind::metric_kind;              \
        static constexpr MetricUnit unit = MetricUnit::metric_unit;              \
        static constexpr size_t width = cells_of(kind, unit);                    \
        static constexpr size_t cells = LabelInfo<label>::values.size() * width; \
    };
QUORATE_METRICS(QUORATE_METRIC_TRAITS)
#undef QUORATE_METRIC_TRAITS

#define QUORATE_METRIC_CELLS(id, kind, unit, name, label, help) Traits<Metric::id>::cells,
inline constexpr auto kCells = std::to_array<size_t>({QUORATE_METRICS(QUORATE_METRIC_CELLS)});
#undef QUORATE_METRIC_CELLS

constexpr std::array<size_t, kCells.size() + 1> first_cells() {
    std::array<size_t, kCells.size() + 1> first{};
    for (size_t i = 0; i < kCells.size(); ++i)
        first[i + 1] = first[i] + kCells[i];
    return first;
}
inline constexpr auto kFirstCell = first_cells();
inline constexpr size_t kCellCount = kFirstCell.back();

}  // namespace metric_detail

// The cells of one thread.
//
// Thread: written by one thread, which is why an increment is a plain load, add and store (some
// nanoseconds, no locked instruction); read by whoever scrapes. Owner: Metrics.
class alignas(64) MetricsShard {
  public:
    MetricsShard() = default;
    MetricsShard(const MetricsShard&) = delete;
    MetricsShard& operator=(const MetricsShard&) = delete;

    // Raises a counter or gauge.
    template <Metric M>
    void add(typename metric_detail::Traits<M>::Label label, uint64_t amount = 1) {
        static_assert(is_counter<M> || is_gauge<M>);
        bump(cell<M>(label), amount);
    }
    template <Metric M>
    void add(uint64_t amount = 1) {
        static_assert(is_plain<M>, "this metric has a label");
        add<M>(NoLabel::Only, amount);
    }

    // Lowers a gauge. The cell of one shard may go below zero; the sum of all shards counts.
    template <Metric M>
    void sub(typename metric_detail::Traits<M>::Label label, uint64_t amount = 1) {
        static_assert(is_gauge<M>, "only a gauge may fall");
        bump(cell<M>(label), uint64_t{0} - amount);
    }
    template <Metric M>
    void sub(uint64_t amount = 1) {
        static_assert(is_plain<M>, "this metric has a label");
        sub<M>(NoLabel::Only, amount);
    }

    // Writes a gauge (this shard's part of it), or a counter kept elsewhere.
    template <Metric M>
    void set(typename metric_detail::Traits<M>::Label label, uint64_t value) {
        static_assert(metric_detail::Traits<M>::kind != MetricKind::Histogram &&
                      metric_detail::Traits<M>::kind != MetricKind::Counter);
        cells_[cell<M>(label)].store(value, std::memory_order_relaxed);
    }
    template <Metric M>
    void set(uint64_t value) {
        static_assert(is_plain<M>, "this metric has a label");
        set<M>(NoLabel::Only, value);
    }

    // Records one value of a histogram of Items.
    template <Metric M>
    void observe(typename metric_detail::Traits<M>::Label label, uint64_t value) {
        static_assert(metric_detail::Traits<M>::kind == MetricKind::Histogram);
        if constexpr (metric_detail::Traits<M>::unit == MetricUnit::Items) {
            record(cell<M>(label), kItemsBounds, value);
        } else {
            record(cell<M>(label), kSecondsBounds, value);
        }
    }
    template <Metric M>
    void observe(uint64_t value) {
        static_assert(is_plain<M>, "this metric has a label");
        static_assert(metric_detail::Traits<M>::unit == MetricUnit::Items);
        observe<M>(NoLabel::Only, value);
    }

    // Records one duration; a negative one counts as zero.
    template <Metric M>
    void observe(typename metric_detail::Traits<M>::Label label, std::chrono::nanoseconds value) {
        static_assert(metric_detail::Traits<M>::unit == MetricUnit::Seconds);
        observe<M>(label, value.count() < 0 ? uint64_t{0} : static_cast<uint64_t>(value.count()));
    }
    template <Metric M>
    void observe(std::chrono::nanoseconds value) {
        static_assert(is_plain<M>, "this metric has a label");
        observe<M>(NoLabel::Only, value);
    }

  private:
    friend class Metrics;

    template <Metric M>
    static constexpr bool is_plain =
        std::is_same_v<typename metric_detail::Traits<M>::Label, NoLabel>;
    template <Metric M>
    static constexpr bool is_counter = metric_detail::Traits<M>::kind == MetricKind::Counter;
    template <Metric M>
    static constexpr bool is_gauge = metric_detail::Traits<M>::kind == MetricKind::Gauge;

    template <Metric M>
    static size_t cell(typename metric_detail::Traits<M>::Label label) {
        return metric_detail::kFirstCell[static_cast<size_t>(M)] +
               static_cast<size_t>(label) * metric_detail::Traits<M>::width;
    }
    void bump(size_t index, uint64_t amount) {
        std::atomic<uint64_t>& value = cells_[index];
        value.store(value.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
    void record(size_t first, std::span<const uint64_t> bounds, uint64_t value) {
        size_t bucket = 0;
        while (bucket < bounds.size() && value > bounds[bucket])
            ++bucket;
        bump(first + bucket, 1);
        bump(first + bounds.size() + 1, value);
    }

    std::array<std::atomic<uint64_t>, metric_detail::kCellCount> cells_{};
};

// Counts of a histogram: a count per bucket (not cumulative; the last has no bound) and the sum.
struct HistogramValue {
    std::span<const uint64_t> bounds;
    std::vector<uint64_t> buckets;
    uint64_t sum = 0;
};

// All metrics of one process: hands out shards and adds them up.
//
// Thread: every method from every thread. Owner: the program; it outlives all users of its shards.
class Metrics {
  public:
    Metrics() = default;
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    // Cells for one more thread; they live as long as this object, so that no count is lost when a
    // thread ends. Call it once a thread, at its start.
    [[nodiscard]] MetricsShard& make_shard();

    // Sum over all shards of one label value, in the recorded unit. A gauge below zero (a shard was
    // read before its counterpart) reads as 0. Requires: not a histogram; label below the row's
    // number of values.
    [[nodiscard]] uint64_t value(Metric metric, size_t label = 0) const;
    template <Metric M>
    [[nodiscard]] uint64_t value(typename metric_detail::Traits<M>::Label label) const {
        return value(M, static_cast<size_t>(label));
    }
    // Sum over all label values.
    [[nodiscard]] uint64_t total(Metric metric) const;
    // Requires: a histogram; label as above.
    [[nodiscard]] HistogramValue histogram(Metric metric, size_t label = 0) const;

  private:
    [[nodiscard]] uint64_t sum_cells(size_t index) const;

    mutable std::mutex mutex_;  // guards the list; cells are atomic
    std::vector<std::unique_ptr<MetricsShard>> shards_;
};

}  // namespace quorate
