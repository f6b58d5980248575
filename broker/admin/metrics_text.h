// The page of /metrics: what the shards counted and what the process is.
//
// Thread: one at a time, the endpoint's; reads /proc, never blocks on a loop. Owner: the broker.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "proto/base/log.h"
#include "proto/base/metrics.h"

namespace quorate::broker {

struct BuildInfo {
    std::string version;
    std::string revision;  // empty: unknown
    std::string compiler;
};

class MetricsText {
  public:
    // `data_dir`: its file system is measured; empty: none. `refresh` may set further values into
    // the shard it is given, just before a scrape is written.
    MetricsText(Metrics& metrics, const Logger& logger, BuildInfo build, std::string data_dir,
                std::function<void(MetricsShard&)> refresh = {});

    // Prometheus text format 0.0.4, every row and label value, rows in the order of the list.
    [[nodiscard]] std::string page();

  private:
    void refresh_process();
    void refresh_log();
    void refresh_disk();

    Metrics& metrics_;
    const Logger& logger_;
    BuildInfo build_;
    std::string data_dir_;
    std::function<void(MetricsShard&)> refresh_;
    MetricsShard& shard_;
    std::chrono::system_clock::time_point started_;
};

}  // namespace quorate::broker
