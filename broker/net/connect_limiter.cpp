#include "broker/net/connect_limiter.h"

#include <algorithm>

#include "proto/base/hash.h"

namespace quorate::broker {

bool TokenBucket::ready(uint32_t rate, std::chrono::nanoseconds now,
                        std::chrono::nanoseconds period) const {
    // A full bucket is one period of debt; the last token is there as long as it fits.
    return std::max(used_until_, now) + period / rate <= now + period;
}

bool TokenBucket::take(uint32_t rate, std::chrono::nanoseconds now,
                       std::chrono::nanoseconds period) {
    if (!ready(rate, now, period)) return false;
    used_until_ = std::max(used_until_, now) + period / rate;
    return true;
}

ConnectLimiter::ConnectLimiter(ConnectLimits limits, uint64_t seed) : limits_(limits), seed_(seed) {
    if (limits_.per_address > 0) addresses_.resize(kAddressBuckets);
}

void ConnectLimiter::set_limits(ConnectLimits limits) {
    limits_ = limits;
    if (limits_.per_address > 0 && addresses_.empty()) addresses_.resize(kAddressBuckets);
}

bool ConnectLimiter::loop_ready(std::chrono::nanoseconds now) const {
    return limits_.per_loop == 0 || loop_.ready(limits_.per_loop, now, limits_.loop_period);
}

void ConnectLimiter::count_loop(std::chrono::nanoseconds now) {
    if (limits_.per_loop > 0)
        static_cast<void>(loop_.take(limits_.per_loop, now, limits_.loop_period));
}

bool ConnectLimiter::admit(const PeerAddress& peer, std::chrono::nanoseconds now) {
    std::size_t significant = 0;
    switch (peer.family) {
        case PeerAddress::Family::V4:
            significant = 4;
            break;
        case PeerAddress::Family::V6:
            significant = 8;  // one customer has a /64
            break;
        case PeerAddress::Family::Unix:
        case PeerAddress::Family::Unknown:
            return true;
    }
    if (limits_.per_address == 0) return true;
    std::string_view key(reinterpret_cast<const char*>(peer.bytes.data()), significant);
    return addresses_[hash64(key, seed_) % kAddressBuckets].take(limits_.per_address, now,
                                                                 limits_.address_period);
}

}  // namespace quorate::broker
