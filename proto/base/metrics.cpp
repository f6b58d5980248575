#include "proto/base/metrics.h"

#include "proto/base/assert.h"

namespace quorate {
namespace {

using metric_detail::kFirstCell;

#define QUORATE_METRIC_ROW(id, kind, unit, name, label, help)             \
    MetricRow{MetricKind::kind,      MetricUnit::unit,        name, help, \
              LabelInfo<label>::key, LabelInfo<label>::values},
constexpr auto kRows = std::to_array<MetricRow>({QUORATE_METRICS(QUORATE_METRIC_ROW)});
#undef QUORATE_METRIC_ROW

const MetricRow& row_of(Metric metric) {
    return kRows[static_cast<size_t>(metric)];
}

// The index of the first cell of a label value.
size_t cell_of(Metric metric, size_t label) {
    const MetricRow& row = row_of(metric);
    ASSERT(label < row.label_values.size(), "a label value of another metric");
    return kFirstCell[static_cast<size_t>(metric)] +
           label * metric_detail::cells_of(row.kind, row.unit);
}

}  // namespace

std::span<const MetricRow> metric_rows() {
    return kRows;
}

MetricsShard& Metrics::make_shard() {
    const std::lock_guard lock(mutex_);
    shards_.push_back(std::make_unique<MetricsShard>());
    return *shards_.back();
}

uint64_t Metrics::sum_cells(size_t index) const {
    uint64_t sum = 0;
    for (const auto& shard : shards_)
        sum += shard->cells_[index].load(std::memory_order_relaxed);
    return sum;
}

uint64_t Metrics::value(Metric metric, size_t label) const {
    const MetricRow& row = row_of(metric);
    ASSERT(row.kind != MetricKind::Histogram, "value() of a histogram");
    const std::lock_guard lock(mutex_);
    const uint64_t sum = sum_cells(cell_of(metric, label));
    if (row.kind == MetricKind::Gauge && static_cast<int64_t>(sum) < 0) return 0;
    return sum;
}

uint64_t Metrics::total(Metric metric) const {
    uint64_t sum = 0;
    for (size_t label = 0; label < row_of(metric).label_values.size(); ++label) {
        sum += value(metric, label);
    }
    return sum;
}

HistogramValue Metrics::histogram(Metric metric, size_t label) const {
    const MetricRow& row = row_of(metric);
    ASSERT(row.kind == MetricKind::Histogram, "histogram() of a number");
    HistogramValue out;
    out.bounds = row.unit == MetricUnit::Items ? std::span<const uint64_t>(kItemsBounds)
                                               : std::span<const uint64_t>(kSecondsBounds);
    const size_t first = cell_of(metric, label);
    const std::lock_guard lock(mutex_);
    for (size_t bucket = 0; bucket <= out.bounds.size(); ++bucket) {
        out.buckets.push_back(sum_cells(first + bucket));
    }
    out.sum = sum_cells(first + out.bounds.size() + 1);
    return out;
}

}  // namespace quorate
