#include "proto/base/metrics.h"

#include <set>
#include <thread>
#include <vector>

#include "tests/unit/catch.h"

namespace quorate {

TEST_CASE("a counter is the sum of what each thread counted", "[metrics]") {
    Metrics metrics;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            MetricsShard& shard = metrics.make_shard();
            for (int i = 0; i < 10'000; ++i) {
                shard.add<Metric::Connects>(ConnectResult::Accepted);
                shard.add<Metric::SocketReads>(2);
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(metrics.value<Metric::Connects>(ConnectResult::Accepted) == 40'000);
    CHECK(metrics.value<Metric::Connects>(ConnectResult::Busy) == 0);
    CHECK(metrics.total(Metric::Connects) == 40'000);
    CHECK(metrics.value(Metric::SocketReads) == 80'000);
}

TEST_CASE("a gauge raised by one thread may be lowered by another", "[metrics]") {
    Metrics metrics;
    MetricsShard& one = metrics.make_shard();
    MetricsShard& two = metrics.make_shard();
    one.add<Metric::QueuedMessages>(5);
    two.sub<Metric::QueuedMessages>(3);
    CHECK(metrics.value(Metric::QueuedMessages) == 2);
    two.sub<Metric::QueuedMessages>(3);
    CHECK(metrics.value(Metric::QueuedMessages) == 0);
    one.set<Metric::Connections>(ProtocolLabel::Mqtt5, 4);
    two.set<Metric::Connections>(ProtocolLabel::Mqtt5, 6);
    CHECK(metrics.value<Metric::Connections>(ProtocolLabel::Mqtt5) == 10);
}

TEST_CASE("a histogram counts each value in the first bucket that holds it", "[metrics]") {
    Metrics metrics;
    MetricsShard& shard = metrics.make_shard();
    using std::chrono::nanoseconds;
    shard.observe<Metric::RaftFsync>(nanoseconds(1000));            // the bound itself
    shard.observe<Metric::RaftFsync>(nanoseconds(1001));            // just above
    shard.observe<Metric::RaftFsync>(nanoseconds(20'000'000'000));  // above all bounds
    shard.observe<Metric::RaftFsync>(nanoseconds(-5));              // a clock that went back
    const HistogramValue value = metrics.histogram(Metric::RaftFsync);
    CHECK(value.buckets.size() == value.bounds.size() + 1);
    CHECK(value.buckets[0] == 2);
    CHECK(value.buckets[1] == 1);
    CHECK(value.buckets.back() == 1);
    CHECK(value.sum == 20'000'002'001);
    shard.observe<Metric::RoutingFanout>(0);
    shard.observe<Metric::RoutingFanout>(7);
    CHECK(metrics.histogram(Metric::RoutingFanout).buckets[0] == 1);
    CHECK(metrics.histogram(Metric::RoutingFanout).buckets[4] == 1);
}

TEST_CASE("labels of one metric do not touch each other nor their neighbours", "[metrics]") {
    Metrics metrics;
    MetricsShard& shard = metrics.make_shard();
    shard.observe<Metric::PublishAck>(QosLabel::Qos1, std::chrono::milliseconds(1));
    CHECK(metrics.histogram(Metric::PublishAck, 0).sum == 0);
    CHECK(metrics.histogram(Metric::PublishAck, 1).sum == 1'000'000);
    CHECK(metrics.histogram(Metric::PublishAck, 2).sum == 0);
    shard.add<Metric::Disconnects>(DisconnectReason::Other);
    CHECK(metrics.total(Metric::Disconnects) == 1);
    CHECK(metrics.total(Metric::TlsHandshakeFailures) == 0);
}

TEST_CASE("every metric has a name of its own that follows the conventions", "[metrics]") {
    std::set<std::string_view> names;
    for (const MetricRow& row : metric_rows()) {
        INFO(row.name);
        CHECK(names.insert(row.name).second);
        CHECK((row.name.starts_with("quorate_") || row.name.starts_with("process_")));
        CHECK(row.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") ==
              std::string_view::npos);
        const bool counter = row.kind == MetricKind::Counter || row.kind == MetricKind::CounterSet;
        CHECK(row.name.ends_with("_total") == counter);
        CHECK(row.help.ends_with("."));
        CHECK((row.label_values.size() == 1) == row.label_key.empty());
        if (row.unit == MetricUnit::Seconds) {
            CHECK(row.name.find("_seconds") != std::string_view::npos);
        }
        if (row.unit == MetricUnit::Bytes) {
            CHECK(row.name.find("_bytes") != std::string_view::npos);
        }
    }
    CHECK(names.size() >= 70);
}

}  // namespace quorate
