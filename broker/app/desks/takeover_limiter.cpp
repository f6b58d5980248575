#include "broker/app/desks/takeover_limiter.h"

#include <algorithm>

namespace quorate::broker {

bool TakeoverLimiter::take(uint64_t client, uint32_t count, Time period, Time now) {
    if (count == 0) return true;
    Part& part = parts_[client % kParts];
    const std::lock_guard lock(part.mutex);
    if (part.whole_at.size() >= kPartMax) {
        std::erase_if(part.whole_at, [now](const auto& entry) { return entry.second <= now; });
        if (part.whole_at.size() >= kPartMax) part.whole_at.clear();
    }
    Time& whole_at = part.whole_at[client];
    const Time each = period / count;
    whole_at = std::max(whole_at, now);
    if (whole_at + each > now + period) return false;
    whole_at += each;
    return true;
}

}  // namespace quorate::broker
