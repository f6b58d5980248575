#include "bench/load/exchange_run.h"

#include <barrier>
#include <memory>
#include <thread>
#include <vector>

#include <sys/prctl.h>

#include "bench/load/exchange.h"

namespace quorate::bench {
namespace {

std::vector<Share> divide(const Options& options) {
    std::vector<Share> shares;
    std::uint32_t first = 0;
    for (std::uint32_t i = 0; i < options.threads; ++i) {
        const std::uint32_t left = options.publishers - first;
        const std::uint32_t count = left / (options.threads - i);
        Share share;
        share.first_publisher = first;
        share.publishers = count;
        share.subscribers = options.mode == Mode::pairs ? count : options.subscribers;
        share.holds_filters = i == 0;
        share.rate_per_s = options.rate_per_s * count / options.publishers;
        if (options.rate_per_s > 0 && share.rate_per_s == 0) share.rate_per_s = 1;
        shares.push_back(share);
        first += count;
    }
    return shares;
}

// One exchange of several that begin together.
struct Part {
    std::unique_ptr<Exchange> exchange;
    Failure failure;
};

class Runner {
  public:
    Runner(const Options& options, const ProcessProbe& probe) : options_(options), probe_(probe) {
        for (const Share& share : divide(options)) {
            parts_.push_back(Part{std::make_unique<Exchange>(options, share), std::nullopt});
        }
    }

    Result run() {
        if (!probe_.empty()) result_.broker_rss_before = probe_.rss_bytes();
        std::barrier<> all_are_up(static_cast<std::ptrdiff_t>(parts_.size()));
        std::vector<std::thread> threads;
        for (std::size_t i = 1; i < parts_.size(); ++i) {
            threads.emplace_back([this, i, &all_are_up]() noexcept { run_part(i, all_are_up); });
        }
        run_part(0, all_are_up);
        for (std::thread& thread : threads)
            thread.join();
        for (const Part& part : parts_) {
            if (part.failure && result_.failure.empty()) result_.failure = *part.failure;
            part.exchange->add_to(result_);
        }
        return std::move(result_);
    }

  private:
    void run_part(std::size_t number, std::barrier<>& all_are_up) noexcept {
        // The default slack of 50 us would be added to every wait of a paced run.
        prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
        Part& part = parts_[number];
        Exchange& exchange = *part.exchange;
        part.failure = exchange.setup();
        all_are_up.arrive_and_wait();
        for (const Part& other : parts_) {
            if (other.failure) return;
        }
        exchange.start();
        exchange.run_for(options_.warmup);
        exchange.begin_measuring();
        if (number == 0) sample(-1);
        exchange.run_for(options_.measured);
        exchange.end_measuring();
        if (number == 0) {
            sample(1);
            if (!probe_.empty()) result_.broker_rss_after = probe_.rss_bytes();
        }
        exchange.drain();
        exchange.finish();
    }

    void sample(int sign) {
        const auto micros = [sign](Nanos value) {
            return sign * static_cast<double>(value.count()) / 1000.0;
        };
        result_.measured_s += micros(monotonic_now()) / 1e6;
        result_.broker_cpu_us += micros(probe_.cpu());
        result_.own_cpu_us += micros(own_cpu());
    }

    const Options& options_;
    const ProcessProbe& probe_;
    std::vector<Part> parts_;
    Result result_;
};

}  // namespace

Result run_exchange(const Options& options, const ProcessProbe& probe) {
    return Runner(options, probe).run();
}

}  // namespace quorate::bench
