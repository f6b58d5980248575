#include "broker/admin/metrics_text.h"

#include <sstream>

#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

struct Fixture {
    Metrics metrics;
    std::unique_ptr<Logger> logger = Logger::open({.to_stderr = true}).value();
    MetricsText text{metrics, *logger, {"1.2.3", "abc", "gcc"}, "/tmp"};
};

bool has_line(const std::string& page, const std::string& line) {
    return ("\n" + page).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("every row is exported from the start with each label value at 0", "[metrics]") {
    Fixture f;
    const std::string page = f.text.page();
    for (const MetricRow& row : metric_rows()) {
        INFO(row.name);
        const std::string name(row.name);
        CHECK(page.find("# HELP " + name + " ") != std::string::npos);
        CHECK(page.find("# TYPE " + name + " ") != std::string::npos);
        const std::string count = row.kind == MetricKind::Histogram ? "_count" : "";
        for (const std::string_view value : row.label_values) {
            const std::string label =
                row.label_key.empty()
                    ? ""
                    : "{" + std::string(row.label_key) + "=\"" + std::string(value) + "\"}";
            CHECK(page.find("\n" + name + count + label + " ") != std::string::npos);
        }
    }
    CHECK(has_line(page, "quorate_disconnects_total{reason=\"slow_reader\"} 0"));
}

TEST_CASE("values are exported in base units", "[metrics]") {
    Fixture f;
    MetricsShard& shard = f.metrics.make_shard();
    shard.add<Metric::PublishReceived>(QosLabel::Qos1, 3);
    shard.observe<Metric::RaftFsync>(std::chrono::milliseconds(500));
    shard.observe<Metric::RoutingFanout>(5);
    const std::string page = f.text.page();
    CHECK(has_line(page, "quorate_publish_received_total{qos=\"1\"} 3"));
    CHECK(has_line(page, "quorate_raft_fsync_seconds_sum 0.5"));
    CHECK(has_line(page, "quorate_raft_fsync_seconds_bucket{le=\"0.25\"} 0"));
    CHECK(has_line(page, "quorate_raft_fsync_seconds_bucket{le=\"0.5\"} 1"));
    CHECK(has_line(page, "quorate_raft_fsync_seconds_bucket{le=\"+Inf\"} 1"));
    CHECK(has_line(page, "quorate_routing_fanout_bucket{le=\"5\"} 1"));
}

TEST_CASE("the process, the log and the disk are measured at each scrape", "[metrics]") {
    Fixture f;
    Log(*f.logger, "test").warn("a line for the metric");
    const std::string page = f.text.page();
    CHECK(has_line(page,
                   "quorate_build_info{version=\"1.2.3\",revision=\"abc\",compiler=\"gcc\"} 1"));
    CHECK(has_line(page, "quorate_log_messages_total{level=\"warn\"} 1"));
    CHECK_FALSE(has_line(page, "process_resident_memory_bytes 0"));
    CHECK_FALSE(has_line(page, "process_open_fds 0"));
    CHECK_FALSE(has_line(page, "process_max_fds 0"));
    CHECK_FALSE(has_line(page, "quorate_start_time_seconds 0"));
    CHECK_FALSE(has_line(page, "quorate_disk_free_bytes 0"));
}

TEST_CASE("the program may add values just before a scrape is written", "[metrics]") {
    Metrics metrics;
    const auto logger = Logger::open({.to_stderr = true}).value();
    MetricsText text(metrics, *logger, {}, "",
                     [](MetricsShard& shard) { shard.set<Metric::Ready>(1); });
    CHECK(has_line(text.page(), "quorate_ready 1"));
}

}  // namespace quorate::broker
