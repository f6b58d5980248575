#include "bench/load/sessions.h"

#include <fmt/format.h>

#include "bench/load/feed.h"
#include "bench/load/measure/checker.h"

namespace quorate::bench {
namespace {

constexpr std::uint32_t kSessionExpiry_s = 3600;

class Sessions final : public Feed {
  public:
    Sessions(const Options& options, const ProcessProbe& probe)
        : Feed(options), probe_(probe), streams_(options.clients) {
        for (std::uint32_t i = 0; i < options.clients; ++i) {
            plans_.push_back(plan("d", i));
            DialPlan& made = plans_.back();
            made.role = Role::subscriber;
            made.filters = {topic(i)};
            made.fields.clean = false;
            made.fields.session_expiry_s = kSessionExpiry_s;
        }
    }

    Result run() {
        Result result;
        if (Failure failure = run_steps(result)) result.failure = *failure;
        result.findings = findings_;
        return result;
    }

  private:
    [[nodiscard]] std::string topic(std::uint64_t session) const {
        return fmt::format("{}/d/{}", options_.topic_root(), session);
    }

    Failure run_steps(Result& result) {
        result.broker_rss_before = probe_.rss_bytes();
        Dialer first(
            loop_, *this,
            DialLimits{.timeout = options_.timeout, .connects_per_s = options_.connects_per_s});
        if (Failure failure = first.run(plans_)) return failure;
        for (const Dialed& dialed : first.dialed())
            disconnect(*dialed.connection, false);

        if (Failure failure = connect_publisher()) return failure;
        const std::uint64_t count =
            static_cast<std::uint64_t>(options_.clients) * options_.messages;
        const Nanos cpu = probe_.cpu();
        const Nanos begin = monotonic_now();
        if (Failure failure = publish_all(count, [this](std::uint64_t number) {
                const auto session = static_cast<std::uint32_t>(number % options_.clients);
                return FeedMessage{topic(session), Stamp{session, number / options_.clients, {}}};
            })) {
            return failure;
        }
        const double store_s = std::chrono::duration<double>(monotonic_now() - begin).count();
        result.sent = count;
        result.acknowledged = acknowledged_;
        result.extra.emplace_back("stored_per_s", static_cast<double>(count) / store_s);
        if (!probe_.empty()) {
            const auto micros = static_cast<double>((probe_.cpu() - cpu).count()) / 1000.0;
            result.extra.emplace_back("cpu_us_per_stored", micros / static_cast<double>(count));
        }
        result.broker_rss_after = probe_.rss_bytes();
        return resume(result, count);
    }

    Failure resume(Result& result, std::uint64_t count) {
        for (DialPlan& plan : plans_)
            plan.filters.clear();
        const Nanos cpu = probe_.cpu();
        const Nanos own = own_cpu();
        const Nanos begin = monotonic_now();
        last_message_ = begin;
        Dialer again(
            loop_, *this,
            DialLimits{.timeout = options_.timeout, .connects_per_s = options_.connects_per_s});
        if (Failure failure = again.run(plans_)) return failure;
        for (const Dialed& dialed : again.dialed()) {
            if (dialed.connack.session_present) continue;
            ++findings_.misrouted;
            findings_.note("a session was not there any more");
        }
        wait_until([this, count] { return received_ >= count; });
        result.measured_s = std::chrono::duration<double>(last_message_ - begin).count();
        result.delivered = received_;
        result.broker_cpu_us = static_cast<double>((probe_.cpu() - cpu).count()) / 1000.0;
        result.own_cpu_us = static_cast<double>((own_cpu() - own).count()) / 1000.0;
        for (std::uint32_t i = 0; i < options_.clients; ++i) {
            const std::uint64_t missing = streams_[i].missing(options_.messages);
            findings_.lost += missing;
            if (missing > 0)
                findings_.note(fmt::format("session {}: {} messages missing", i, missing));
        }
        for (const Dialed& dialed : again.dialed())
            disconnect(*dialed.connection, true);
        remove_sessions();
        return std::nullopt;
    }

    // Version 5 has ended them with DISCONNECT; before, it takes a connection with Clean Session.
    void remove_sessions() {
        if (options_.version == Version::v5) return;
        for (DialPlan& plan : plans_)
            plan.fields.clean = true;
        Dialer last(loop_, *this,
                    DialLimits{.timeout = options_.timeout,
                               .failures_allowed = true,
                               .connects_per_s = options_.connects_per_s});
        if (last.run(plans_)) return;
        for (const Dialed& dialed : last.dialed()) {
            if (dialed.connection != nullptr) disconnect(*dialed.connection, true);
        }
    }

    void on_message(Connection& reader, const Publish& publish, Nanos now) override {
        last_message_ = now;
        const std::optional<Stamp> stamp = read_stamp(publish.payload, options_.run_id);
        if (!stamp || publish.payload.size() != options_.payload_bytes) {
            ++findings_.corrupted;
            findings_.note(fmt::format("damaged payload on '{}'", publish.topic));
            return;
        }
        if (reader.role != Role::subscriber || stamp->publisher != reader.index ||
            stamp->sequence >= options_.messages || publish.topic != topic(reader.index) ||
            publish.qos != options_.qos || publish.retain) {
            ++findings_.misrouted;
            findings_.note(fmt::format("session {}: got message {} on '{}', QoS {}", reader.index,
                                       stamp->sequence, publish.topic, publish.qos));
            return;
        }
        const std::uint64_t expected = streams_[reader.index].next();
        switch (streams_[reader.index].accept(stamp->sequence)) {
            case Verdict::next:
                ++received_;
                return;
            case Verdict::late:
                ++received_;
                ++findings_.reordered;
                findings_.note(fmt::format("session {}: message {} when {} was next", reader.index,
                                           stamp->sequence, expected));
                return;
            case Verdict::duplicate:
                ++findings_.duplicated;
                findings_.note(
                    fmt::format("session {}: message {} again", reader.index, stamp->sequence));
                return;
        }
    }

    const ProcessProbe& probe_;
    std::vector<StreamChecker> streams_;
    std::vector<DialPlan> plans_;
    std::uint64_t received_ = 0;
    Nanos last_message_{0};
};

}  // namespace

Result run_sessions(const Options& options, const ProcessProbe& probe) {
    return Sessions(options, probe).run();
}

}  // namespace quorate::bench
