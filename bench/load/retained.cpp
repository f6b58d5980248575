#include "bench/load/retained.h"

#include <algorithm>

#include <fmt/format.h>

#include "bench/load/feed.h"

namespace quorate::bench {
namespace {

class Retained final : public Feed {
  public:
    Retained(const Options& options, const ProcessProbe& probe)
        : Feed(options),
          probe_(probe),
          seen_(options.subscribers, std::vector<bool>(options.clients, false)) {}

    Result run() {
        Result result;
        if (Failure failure = run_steps(result)) result.failure = *failure;
        result.findings = findings_;
        return result;
    }

  private:
    [[nodiscard]] std::string topic(std::uint64_t number) const {
        return fmt::format("{}/r/{}", options_.topic_root(), number);
    }

    Failure run_steps(Result& result) {
        if (Failure failure = connect_publisher()) return failure;
        result.broker_rss_before = probe_.rss_bytes();
        const Nanos write_cpu = probe_.cpu();
        const Nanos write_begin = monotonic_now();
        if (Failure failure = publish_all(options_.clients, [this](std::uint64_t number) {
                return FeedMessage{topic(number), Stamp{0, number, {}}, true, false};
            })) {
            return failure;
        }
        const double write_s = std::chrono::duration<double>(monotonic_now() - write_begin).count();
        const auto written = static_cast<double>(options_.clients);
        result.sent = options_.clients;
        result.acknowledged = acknowledged_;
        result.extra.emplace_back("written_per_s", written / write_s);
        if (!probe_.empty()) {
            const auto cpu = static_cast<double>((probe_.cpu() - write_cpu).count());
            result.extra.emplace_back("cpu_us_per_written", cpu / 1000.0 / written);
        }
        if (options_.qos == 0) {
            if (Failure failure = settle()) return failure;
        }
        if (Failure failure = read(result)) return failure;
        return publish_all(options_.clients, [this](std::uint64_t number) {
            return FeedMessage{topic(number), Stamp{0, number, {}}, true, true};
        });
    }

    // Nobody says when a message of QoS 0 is stored: a reader that is not measured takes each of
    // them, retained or as it is passed on. Otherwise readers could come before the last ones.
    Failure settle() {
        std::vector<DialPlan> plans = {plan("w", 0)};
        plans[0].role = Role::subscriber;
        plans[0].filters = {options_.topic_root() + "/r/#"};
        settled_.assign(options_.clients, false);
        settling_ = true;
        last_message_ = monotonic_now();
        Dialer dialer(loop_, *this, DialLimits{.timeout = options_.timeout});
        if (Failure failure = dialer.run(plans)) return failure;
        wait_until([this] {
            return std::find(settled_.begin(), settled_.end(), false) == settled_.end();
        });
        settling_ = false;
        for (const Dialed& dialed : dialer.dialed())
            disconnect(*dialed.connection, true);
        return std::nullopt;
    }

    Failure read(Result& result) {
        std::vector<DialPlan> plans;
        for (std::uint32_t i = 0; i < options_.subscribers; ++i) {
            plans.push_back(plan("s", i));
            plans.back().role = Role::subscriber;
            plans.back().filters = {options_.topic_root() + "/r/#"};
        }
        const std::uint64_t owed =
            static_cast<std::uint64_t>(options_.clients) * options_.subscribers;
        const Nanos cpu = probe_.cpu();
        const Nanos own = own_cpu();
        const Nanos begin = monotonic_now();
        last_message_ = begin;
        Dialer dialer(
            loop_, *this,
            DialLimits{.timeout = options_.timeout, .connects_per_s = options_.connects_per_s});
        if (Failure failure = dialer.run(plans)) return failure;
        wait_until([this, owed] { return distinct_ == owed; });
        result.measured_s = std::chrono::duration<double>(last_message_ - begin).count();
        result.delivered = distinct_;
        result.broker_cpu_us = static_cast<double>((probe_.cpu() - cpu).count()) / 1000.0;
        result.own_cpu_us = static_cast<double>((own_cpu() - own).count()) / 1000.0;
        result.broker_rss_after = probe_.rss_bytes();
        findings_.lost += owed - distinct_;
        if (distinct_ < owed)
            findings_.note(fmt::format("{} retained messages missing", owed - distinct_));
        for (const Dialed& dialed : dialer.dialed())
            disconnect(*dialed.connection, true);
        return std::nullopt;
    }

    void on_message(Connection& reader, const Publish& publish, Nanos now) override {
        last_message_ = now;
        if (settling_) {
            const std::optional<Stamp> early = read_stamp(publish.payload, options_.run_id);
            if (early && early->sequence < options_.clients) settled_[early->sequence] = true;
            return;
        }
        const std::optional<Stamp> stamp = read_stamp(publish.payload, options_.run_id);
        if (!stamp || publish.payload.size() != options_.payload_bytes) {
            ++findings_.corrupted;
            findings_.note(fmt::format("damaged payload on '{}'", publish.topic));
            return;
        }
        if (reader.role != Role::subscriber || stamp->sequence >= options_.clients ||
            publish.topic != topic(stamp->sequence) || !publish.retain ||
            publish.qos != options_.qos) {
            ++findings_.misrouted;
            findings_.note(fmt::format("got retained message {} on '{}', QoS {}, RETAIN {}",
                                       stamp->sequence, publish.topic, publish.qos,
                                       publish.retain));
            return;
        }
        if (seen_[reader.index][stamp->sequence]) {
            ++findings_.duplicated;
            findings_.note(fmt::format("'{}' came twice", publish.topic));
            return;
        }
        seen_[reader.index][stamp->sequence] = true;
        ++distinct_;
    }

    const ProcessProbe& probe_;
    std::vector<std::vector<bool>> seen_;  // by reader and topic
    std::vector<bool> settled_;            // by topic: the broker has it
    bool settling_ = false;
    std::uint64_t distinct_ = 0;
    Nanos last_message_{0};
};

}  // namespace

Result run_retained(const Options& options, const ProcessProbe& probe) {
    return Retained(options, probe).run();
}

}  // namespace quorate::bench
