// Who failed to authenticate too often: a bucket of attempts for each user name and address.
//
// Names and addresses share a fixed table by a seeded hash, so that its memory does not grow with
// the number of attackers; two of them in one place share a bucket, and are banned together.
//
// Thread: any; lock-free. Owner: NodeStatus. Errors: none. Bounded: 32 KiB.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "broker/net/address.h"

namespace quorate::broker {

class AuthFailures {
  public:
    using Time = std::chrono::milliseconds;  // monotonic, the same origin for all threads

    explicit AuthFailures(uint64_t seed) : seed_(seed) {}

    // So many failures in so much time are let through; 0: no limit.
    void set_rate(uint64_t count, Time period);
    // Whether the next attempt is to be refused unseen.
    [[nodiscard]] bool banned(std::string_view user, const PeerAddress& peer, Time now) const;
    void failed(std::string_view user, const PeerAddress& peer, Time now);

  private:
    static constexpr std::size_t kPlaces = 4'096;

    [[nodiscard]] std::size_t place(std::string_view user, const PeerAddress& peer) const;

    uint64_t seed_;
    std::atomic<int64_t> cost_ms_{0};    // of one failure; 0: no limit
    std::atomic<int64_t> period_ms_{0};  // what a whole bucket holds
    // When the bucket will be whole again: all that a bucket has to remember.
    std::array<std::atomic<int64_t>, kPlaces> whole_at_ms_{};
};

}  // namespace quorate::broker
