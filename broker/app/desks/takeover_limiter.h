// How often each Client Identifier may be taken over: limits.takeover_rate, over all loops.
//
// Two clients that fight for one identifier come to any loop, so the count is the node's. What a
// period allows may come at once; then one is allowed each period / count.
//
// Thread: any. A takeover holds the lock of its part for a look-up; nothing else does. Owner:
// NodeStatus. Errors: none. Bounded: 65,536 identifiers that were taken over lately; beyond that a
// part of them is forgotten, and allowed anew.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace quorate::broker {

class TakeoverLimiter {
  public:
    using Time = std::chrono::milliseconds;  // monotonic, the same origin for all threads

    // `client`: hash64 of the identifier. False when it has to wait; else it is counted.
    [[nodiscard]] bool take(uint64_t client, uint32_t count, Time period, Time now);

  private:
    static constexpr std::size_t kParts = 16;
    static constexpr std::size_t kPartMax = 65'536 / kParts;

    struct Part {
        std::mutex mutex;
        std::unordered_map<uint64_t, Time> whole_at;  // when the allowance is whole again
    };
    std::array<Part, kParts> parts_;
};

}  // namespace quorate::broker
