#include "broker/admin/metrics_text.h"

#include <array>
#include <cstdio>
#include <memory>
#include <vector>

#include <dirent.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace quorate::broker {
namespace {

constexpr double kNanosecondsPerSecond = 1e9;

double exported(MetricUnit unit, uint64_t value) {
    const auto number = static_cast<double>(value);
    return unit == MetricUnit::Seconds ? number / kNanosecondsPerSecond : number;
}

prometheus::MetricType type_of(MetricKind kind) {
    switch (kind) {
        case MetricKind::Counter:
        case MetricKind::CounterSet:
            return prometheus::MetricType::Counter;
        case MetricKind::Gauge:
        case MetricKind::GaugeSet:
            return prometheus::MetricType::Gauge;
        case MetricKind::Histogram:
            return prometheus::MetricType::Histogram;
    }
    return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric::Histogram histogram_of(MetricUnit unit, const HistogramValue& value) {
    prometheus::ClientMetric::Histogram out;
    uint64_t cumulative = 0;
    for (size_t i = 0; i < value.bounds.size(); ++i) {
        cumulative += value.buckets[i];
        out.bucket.push_back({cumulative, exported(unit, value.bounds[i])});
    }
    out.sample_count = cumulative + value.buckets.back();
    out.sample_sum = exported(unit, value.sum);
    return out;
}

prometheus::MetricFamily family_of(const Metrics& metrics, Metric metric, const MetricRow& row) {
    prometheus::MetricFamily family;
    family.name = row.name;
    family.help = row.help;
    family.type = type_of(row.kind);
    for (size_t label = 0; label < row.label_values.size(); ++label) {
        prometheus::ClientMetric sample;
        if (!row.label_key.empty()) {
            sample.label.push_back(
                {std::string(row.label_key), std::string(row.label_values[label])});
        }
        if (row.kind == MetricKind::Histogram) {
            sample.histogram = histogram_of(row.unit, metrics.histogram(metric, label));
        } else {
            const double value = exported(row.unit, metrics.value(metric, label));
            sample.counter.value = value;
            sample.gauge.value = value;
        }
        family.metric.push_back(std::move(sample));
    }
    return family;
}

prometheus::MetricFamily build_family(const BuildInfo& build) {
    prometheus::MetricFamily family;
    family.name = "quorate_build_info";
    family.help = "1, with the build as labels.";
    family.type = prometheus::MetricType::Gauge;
    prometheus::ClientMetric sample;
    sample.label = {
        {"version", build.version}, {"revision", build.revision}, {"compiler", build.compiler}};
    sample.gauge.value = 1;
    family.metric.push_back(std::move(sample));
    return family;
}

// The first two numbers of /proc/self/statm, in pages: virtual and resident memory.
std::array<uint64_t, 2> memory_pages() {
    std::array<unsigned long, 2> pages{};
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/self/statm", "re"),
                                                     &std::fclose);
    if (!file || std::fscanf(file.get(), "%lu %lu", &pages[0], &pages[1]) != 2) return {0, 0};
    return {pages[0], pages[1]};
}

uint64_t open_descriptors() {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc/self/fd"), &::closedir);
    if (!directory) return 0;
    uint64_t entries = 0;
    while (::readdir(directory.get()) != nullptr)
        ++entries;
    return entries > 3 ? entries - 3 : 0;  // ".", ".." and the directory's own descriptor
}

uint64_t nanoseconds(const timeval& time) {
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<uint64_t>(time.tv_usec) * 1000;
}

uint64_t since_epoch(std::chrono::system_clock::time_point time) {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

}  // namespace

MetricsText::MetricsText(Metrics& metrics, const Logger& logger, BuildInfo build,
                         std::string data_dir, std::function<void(MetricsShard&)> refresh)
    : metrics_(metrics),
      logger_(logger),
      build_(std::move(build)),
      data_dir_(std::move(data_dir)),
      refresh_(std::move(refresh)),
      shard_(metrics.make_shard()),
      started_(std::chrono::system_clock::now()) {}

std::string MetricsText::page() {
    refresh_process();
    refresh_log();
    refresh_disk();
    if (refresh_) refresh_(shard_);
    std::vector<prometheus::MetricFamily> families;
    families.push_back(build_family(build_));
    const auto rows = metric_rows();
    for (size_t i = 0; i < rows.size(); ++i) {
        families.push_back(family_of(metrics_, static_cast<Metric>(i), rows[i]));
    }
    return prometheus::TextSerializer().Serialize(families);
}

void MetricsText::refresh_process() {
    shard_.set<Metric::StartTime>(since_epoch(started_));
    shard_.set<Metric::ProcessStartTime>(since_epoch(started_));
    rusage usage{};
    if (::getrusage(RUSAGE_SELF, &usage) == 0) {
        shard_.set<Metric::ProcessCpu>(nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime));
    }
    const auto page_bytes = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    const auto [virtual_pages, resident_pages] = memory_pages();
    shard_.set<Metric::ProcessVirtual>(virtual_pages * page_bytes);
    shard_.set<Metric::ProcessResident>(resident_pages * page_bytes);
    shard_.set<Metric::ProcessOpenFds>(open_descriptors());
    rlimit descriptors{};
    if (::getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
        shard_.set<Metric::ProcessMaxFds>(descriptors.rlim_cur);
    }
}

void MetricsText::refresh_log() {
    shard_.set<Metric::LogMessages>(LogLevelLabel::Error, logger_.lines(LogLevel::Error));
    shard_.set<Metric::LogMessages>(LogLevelLabel::Warn, logger_.lines(LogLevel::Warn));
    shard_.set<Metric::LogMessages>(LogLevelLabel::Info, logger_.lines(LogLevel::Info));
    shard_.set<Metric::LogMessages>(LogLevelLabel::Debug, logger_.lines(LogLevel::Debug));
    shard_.set<Metric::LogSuppressed>(logger_.suppressed_lines());
    shard_.set<Metric::LogLost>(logger_.lost_lines());
}

void MetricsText::refresh_disk() {
    struct statvfs disk {};
    if (data_dir_.empty() || ::statvfs(data_dir_.c_str(), &disk) != 0) return;
    const uint64_t block = disk.f_frsize;
    shard_.set<Metric::DiskFree>(block * disk.f_bavail);
    shard_.set<Metric::DiskUsed>(block * (disk.f_blocks - disk.f_bfree));
}

}  // namespace quorate::broker
