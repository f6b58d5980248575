#include "bench/load/report.h"

#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace quorate::bench {
namespace {

using Json = nlohmann::ordered_json;

double micros(Nanos value) {
    return static_cast<double>(value.count()) / 1000.0;
}

double per(double amount, double count) {
    return count > 0 ? amount / count : 0.0;
}

// Two decimals are more than any figure here is good for.
double rounded(double value) {
    return std::round(value * 100.0) / 100.0;
}

Json latency(const Histogram& histogram) {
    return Json{{"count", histogram.count()},
                {"p50", rounded(micros(histogram.quantile(0.5)))},
                {"p99", rounded(micros(histogram.quantile(0.99)))},
                {"p999", rounded(micros(histogram.quantile(0.999)))},
                {"max", rounded(micros(histogram.max()))}};
}

bool loss_allowed(const Options& options) {
    return options.qos == 0 && options.allow_loss;
}

Json to_json(const Options& options, const Result& result) {
    const Findings& found = result.findings;
    const auto delivered = static_cast<double>(result.delivered);
    Json json;
    json["mode"] = mode_name(options.mode);
    json["mqtt"] = static_cast<unsigned>(options.version);
    json["qos"] = options.qos;
    json["payload_bytes"] = options.payload_bytes;
    json["publishers"] = options.publishers;
    json["subscribers"] = options.subscribers;
    json["clients"] = options.clients;
    json["filters"] = options.filters;
    json["seconds"] = rounded(result.measured_s);
    json["sent"] = result.sent;
    json["delivered"] = result.delivered;
    json["acknowledged"] = result.acknowledged;
    json["delivered_per_s"] = rounded(per(delivered, result.measured_s));
    json["acknowledged_per_s"] =
        rounded(per(static_cast<double>(result.acknowledged), result.measured_s));
    json["latency_us"] =
        Json{{"end_to_end", latency(result.end_to_end)}, {"ack", latency(result.ack)}};
    if (!options.pids.empty()) {
        json["broker"] =
            Json{{"cpu_us_per_delivered", rounded(per(result.broker_cpu_us, delivered))},
                 {"cpu_s", rounded(result.broker_cpu_us / 1e6)},
                 {"cores", rounded(per(result.broker_cpu_us / 1e6, result.measured_s))},
                 {"rss_bytes_before", result.broker_rss_before},
                 {"rss_bytes", result.broker_rss_after}};
    }
    json["bench"] = Json{{"cpu_us_per_delivered", rounded(per(result.own_cpu_us, delivered))},
                         {"stalls", result.stalls},
                         {"skipped", result.skipped}};
    for (const auto& [name, value] : result.extra)
        json[name] = rounded(value);
    json["verify"] = Json{{"lost", found.lost},
                          {"duplicated", found.duplicated},
                          {"reordered", found.reordered},
                          {"corrupted", found.corrupted},
                          {"misrouted", found.misrouted},
                          {"refused", found.refused},
                          {"unacknowledged", found.unacknowledged},
                          {"disconnected", found.disconnected},
                          {"protocol_errors", found.protocol_errors},
                          {"ok", result.failure.empty() && !found.any(loss_allowed(options))}};
    json["notes"] = found.notes;
    if (!result.failure.empty()) json["failure"] = result.failure;
    return json;
}

void print_latency(std::string_view name, const Histogram& histogram) {
    if (histogram.count() == 0) return;
    fmt::print("{:<22} p50 {:.0f} us, p99 {:.0f} us, p99.9 {:.0f} us, max {:.0f} us\n", name,
               micros(histogram.quantile(0.5)), micros(histogram.quantile(0.99)),
               micros(histogram.quantile(0.999)), micros(histogram.max()));
}

void print_text(const Options& options, const Result& result) {
    const auto delivered = static_cast<double>(result.delivered);
    fmt::print("{} QoS {}, {} B payload, measured for {:.2f} s\n", mode_name(options.mode),
               options.qos, options.payload_bytes, result.measured_s);
    if (options.mode != Mode::conns) {
        fmt::print("{:<22} {:.0f}/s ({} in all)\n", "delivered", per(delivered, result.measured_s),
                   result.delivered);
        fmt::print("{:<22} {:.0f}/s\n", "acknowledged",
                   per(static_cast<double>(result.acknowledged), result.measured_s));
    }
    print_latency("end-to-end latency", result.end_to_end);
    print_latency("ack latency", result.ack);
    if (!options.pids.empty()) {
        if (result.delivered > 0) {
            fmt::print("{:<22} {:.3f} us per delivered message, {:.2f} cores\n", "broker CPU",
                       per(result.broker_cpu_us, delivered),
                       per(result.broker_cpu_us / 1e6, result.measured_s));
        }
        fmt::print("{:<22} {:.1f} MiB, before the run {:.1f} MiB\n", "broker RSS",
                   static_cast<double>(result.broker_rss_after) / 1048576.0,
                   static_cast<double>(result.broker_rss_before) / 1048576.0);
    }
    if (result.delivered > 0) {
        fmt::print("{:<22} {:.3f} us per delivered message\n", "generator CPU",
                   per(result.own_cpu_us, delivered));
    }
    for (const auto& [name, value] : result.extra)
        fmt::print("{:<22} {:.2f}\n", name, value);
    const Findings& found = result.findings;
    fmt::print(
        "checked                lost {}, duplicated {}, reordered {}, corrupted {}, misrouted {}, "
        "refused {}, unacknowledged {}, disconnected {}, protocol errors {}\n",
        found.lost, found.duplicated, found.reordered, found.corrupted, found.misrouted,
        found.refused, found.unacknowledged, found.disconnected, found.protocol_errors);
    if (result.stalls > 0) fmt::print("{:<22} {}\n", "windows given up", result.stalls);
    if (result.skipped > 0) fmt::print("{:<22} {}\n", "not sent in time", result.skipped);
    for (const std::string& note : found.notes)
        fmt::print(stderr, "  {}\n", note);
}

}  // namespace

void Findings::note(std::string text) {
    if (notes.size() < kNotesMax) notes.push_back(std::move(text));
}

void Findings::merge(const Findings& other) {
    lost += other.lost;
    duplicated += other.duplicated;
    reordered += other.reordered;
    corrupted += other.corrupted;
    misrouted += other.misrouted;
    refused += other.refused;
    unacknowledged += other.unacknowledged;
    disconnected += other.disconnected;
    protocol_errors += other.protocol_errors;
    for (const std::string& text : other.notes)
        note(text);
}

bool Findings::any(bool loss_allowed) const {
    const std::uint64_t all = duplicated + reordered + corrupted + misrouted + refused +
                              unacknowledged + disconnected + protocol_errors;
    return all > 0 || (lost > 0 && !loss_allowed);
}

int print_result(const Options& options, const Result& result) {
    if (options.json) {
        fmt::print("{}\n", to_json(options, result).dump(2));
    } else if (result.failure.empty()) {
        print_text(options, result);
    }
    if (!result.failure.empty()) {
        fmt::print(stderr, "quorate-bench: {}\n", result.failure);
        return 1;
    }
    return options.verify && result.findings.any(loss_allowed(options)) ? 1 : 0;
}

}  // namespace quorate::bench
