// How fast new connections are let in: token buckets for the loop and for each address.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "broker/net/address.h"

namespace quorate::broker {

// Connections in a period; 0: no limit. A bucket holds one period's worth.
struct ConnectLimits {
    uint32_t per_loop = 1'000;
    uint32_t per_address = 100;  // of a /32 or a /64; ignored behind PROXY protocol and for Unix
    std::chrono::milliseconds loop_period{1'000};
    std::chrono::milliseconds address_period{1'000};
};

// A bucket that fills with time. Thread: its owner's.
class TokenBucket {
  public:
    static constexpr std::chrono::nanoseconds kSecond = std::chrono::seconds(1);

    // True when a token was there. `rate` per period, > 0; the bucket holds `rate` tokens.
    [[nodiscard]] bool take(uint32_t rate, std::chrono::nanoseconds now,
                            std::chrono::nanoseconds period = kSecond);
    // True when take() would succeed.
    [[nodiscard]] bool ready(uint32_t rate, std::chrono::nanoseconds now,
                             std::chrono::nanoseconds period = kSecond) const;

  private:
    // The time at which the bucket was (or will be) empty of debt: a whole bucket in eight bytes.
    std::chrono::nanoseconds used_until_{0};
};

// The buckets of one loop's listener. Addresses share a fixed table by a seeded hash, so that its
// memory does not grow with the number of attackers; two addresses in one place share a bucket.
//
// Thread: its loop's. Owner: Listener.
class ConnectLimiter {
  public:
    ConnectLimiter(ConnectLimits limits, uint64_t seed);

    // For connections from now on.
    void set_limits(ConnectLimits limits);

    // Whether a connection may be accepted now, whoever it comes from.
    [[nodiscard]] bool loop_ready(std::chrono::nanoseconds now) const;
    // Counts an accepted connection against the loop.
    void count_loop(std::chrono::nanoseconds now);
    // Counts it against its address; false: refuse it.
    [[nodiscard]] bool admit(const PeerAddress& peer, std::chrono::nanoseconds now);

  private:
    static constexpr std::size_t kAddressBuckets = 4'096;

    ConnectLimits limits_;
    uint64_t seed_;
    TokenBucket loop_;
    std::vector<TokenBucket> addresses_;  // empty when there is no limit per address
};

}  // namespace quorate::broker
