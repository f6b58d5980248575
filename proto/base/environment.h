// The doors to the world that simulations own: time and randomness. Pure code never opens them;
// it is handed a time or a seeded generator.
#pragma once

#include <chrono>
#include <cstdint>

namespace quorate {

// Thread: any; implementations are stateless or synchronised.
class Clock {
  public:
    virtual ~Clock() = default;
    // Monotonic, counts suspended time too (CLOCK_BOOTTIME): leases, timers, cluster time.
    [[nodiscard]] virtual std::chrono::nanoseconds now() const = 0;
    // Wall clock since the Unix epoch: for people (logs, $SYS), never for a decision.
    [[nodiscard]] virtual std::chrono::milliseconds wall() const = 0;
};

class SystemClock final : public Clock {
  public:
    [[nodiscard]] std::chrono::nanoseconds now() const override;
    [[nodiscard]] std::chrono::milliseconds wall() const override;
};

// A small deterministic generator (SplitMix64). Thread: its owner's.
class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed) {}
    [[nodiscard]] uint64_t next();
    // Uniform in [0, bound). Requires: bound > 0.
    [[nodiscard]] uint64_t below(uint64_t bound);
    // True with probability numerator / denominator. Requires: denominator > 0.
    [[nodiscard]] bool chance(uint64_t numerator, uint64_t denominator) {
        return below(denominator) < numerator;
    }

  private:
    uint64_t state_;
};

// A seed from the operating system: for the edge, never for pure code.
[[nodiscard]] uint64_t system_seed();

}  // namespace quorate
