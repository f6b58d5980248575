#include "broker/app/auth_failures.h"

#include <algorithm>

#include "proto/base/hash.h"

namespace quorate::broker {

void AuthFailures::set_rate(uint64_t count, Time period) {
    const int64_t whole = std::max<int64_t>(1, period.count());
    const int64_t most =
        static_cast<int64_t>(std::min<uint64_t>(count, static_cast<uint64_t>(whole)));
    cost_ms_.store(count == 0 ? 0 : whole / most, std::memory_order_relaxed);
    period_ms_.store(whole, std::memory_order_relaxed);
}

std::size_t AuthFailures::place(std::string_view user, const PeerAddress& peer) const {
    const std::size_t significant = peer.family == PeerAddress::Family::V6
                                        ? 8  // one customer has a /64
                                        : peer.bytes.size();
    const std::string_view address(reinterpret_cast<const char*>(peer.bytes.data()), significant);
    return (hash64(user, seed_) ^ hash64(address, ~seed_)) % kPlaces;
}

bool AuthFailures::banned(std::string_view user, const PeerAddress& peer, Time now) const {
    const int64_t cost = cost_ms_.load(std::memory_order_relaxed);
    if (cost == 0) return false;
    const int64_t whole_at = whole_at_ms_[place(user, peer)].load(std::memory_order_relaxed);
    return std::max(whole_at, now.count()) + cost >
           now.count() + period_ms_.load(std::memory_order_relaxed);
}

void AuthFailures::failed(std::string_view user, const PeerAddress& peer, Time now) {
    const int64_t cost = cost_ms_.load(std::memory_order_relaxed);
    if (cost == 0) return;
    std::atomic<int64_t>& place_of = whole_at_ms_[place(user, peer)];
    int64_t seen = place_of.load(std::memory_order_relaxed);
    while (!place_of.compare_exchange_weak(seen, std::max(seen, now.count()) + cost,
                                           std::memory_order_relaxed)) {
    }
}

}  // namespace quorate::broker
