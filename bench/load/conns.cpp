#include "bench/load/conns.h"

#include <algorithm>

#include <fmt/format.h>

#include "bench/load/feed.h"

namespace quorate::bench {
namespace {

constexpr std::uint32_t kConnectionsPerSource = 4000;

class Conns final : public Feed {
  public:
    Conns(const Options& options, const ProcessProbe& probe) : Feed(options), probe_(probe) {}

    Result run() {
        Result result;
        result.broker_rss_before = probe_.rss_bytes();
        const Nanos cpu_before = probe_.cpu();
        const Nanos own_before = own_cpu();
        const Nanos begin = monotonic_now();
        const std::vector<DialPlan> plans = make_plans();
        Dialer dialer(loop_, *this,
                      DialLimits{.timeout = options_.timeout,
                                 .failures_allowed = true,
                                 .connects_per_s = options_.connects_per_s});
        if (Failure failure = dialer.run(plans)) result.failure = *failure;
        const Nanos up = monotonic_now();
        const auto connect_cpu_us =
            static_cast<double>((probe_.cpu() - cpu_before).count()) / 1000.0;
        hold(up + options_.hold);
        result.broker_rss_after = probe_.rss_bytes();
        result.broker_cpu_us = static_cast<double>((probe_.cpu() - cpu_before).count()) / 1000.0;
        result.own_cpu_us = static_cast<double>((own_cpu() - own_before).count()) / 1000.0;
        result.measured_s = std::chrono::duration<double>(up - begin).count();
        const auto made = static_cast<double>(plans.size() - dialer.failed());
        result.extra = {{"connections", made},
                        {"failed", static_cast<double>(dialer.failed())},
                        {"connects_per_s", made / result.measured_s},
                        {"held_to_the_end", static_cast<double>(loop_.open_count())}};
        if (!probe_.empty() && made > 0) {
            const auto grown = static_cast<double>(result.broker_rss_after) -
                               static_cast<double>(result.broker_rss_before);
            result.extra.emplace_back("cpu_us_per_connect", connect_cpu_us / made);
            result.extra.emplace_back("rss_bytes_per_connection", grown / made);
        }
        if (dialer.failed() > 0) {
            findings_.refused += dialer.failed();
            findings_.note(dialer.first_failure());
        }
        for (const Dialed& dialed : dialer.dialed()) {
            if (dialed.connection != nullptr) disconnect(*dialed.connection, true);
        }
        result.findings = findings_;
        return result;
    }

  private:
    std::vector<DialPlan> make_plans() const {
        std::vector<DialPlan> plans;
        plans.reserve(options_.clients);
        for (std::uint32_t i = 0; i < options_.clients; ++i) {
            plans.push_back(plan("c", i));
            DialPlan& made = plans.back();
            if (made.endpoint->loopback_v4()) made.source_host = 1 + i / kConnectionsPerSource;
            if (options_.subscribe)
                made.filters = {fmt::format("{}/c/{}", options_.topic_root(), i)};
            made.fields.clean = !options_.persistent;
            made.fields.session_expiry_s = options_.persistent ? 3600 : 0;
        }
        return plans;
    }

    void hold(Nanos end) {
        for (Nanos now = monotonic_now(); now < end; now = monotonic_now()) {
            loop_.turn(std::min<Nanos>(end - now, std::chrono::seconds(1)), *this);
        }
    }

    void on_message(Connection&, const Publish&, Nanos) override { ++findings_.misrouted; }

    const ProcessProbe& probe_;
};

}  // namespace

Result run_conns(const Options& options, const ProcessProbe& probe) {
    return Conns(options, probe).run();
}

}  // namespace quorate::bench
