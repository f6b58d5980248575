#include "cluster/stream/credit.h"

#include <algorithm>

#include "cluster/mutants.h"

namespace quorate::cluster {

namespace {

uint64_t minus(uint64_t from, uint64_t what) {
    return from > what ? from - what : 0;
}

}  // namespace

void CreditPurse::granted(const CreditAmount& total) {
    granted_.items = std::max(granted_.items, total.items);
    granted_.bytes = std::max(granted_.bytes, total.bytes);
}

bool CreditPurse::take(uint64_t bytes) {
    const bool alone = unanswered() == 0 && used_.bytes < granted_.bytes;
    const bool fits = used_.bytes + bytes <= granted_.bytes || alone;
    const bool allowed = used_.items < granted_.items && fits;
    if (!allowed && !mutated(RuleMutant::CreditUnbounded)) return false;
    ++used_.items;
    used_.bytes += bytes;
    return true;
}

bool CreditPurse::answered(uint64_t bytes) {
    if (unanswered() == 0 || unanswered_bytes() < bytes) return false;
    ++answered_.items;
    answered_.bytes += bytes;
    return true;
}

CreditAmount CreditPurse::give_back(const CreditAmount& keep) {
    const CreditAmount back{minus(minus(granted_.items, used_.items), keep.items),
                            minus(minus(granted_.bytes, used_.bytes), keep.bytes)};
    used_.items += back.items;
    used_.bytes += back.bytes;
    answered_.items += back.items;
    answered_.bytes += back.bytes;
    return back;
}

CreditPool::Link CreditPool::join() {
    loops_[++last_] = {};
    ++joined_;
    return last_;
}

void CreditPool::leave(Link link) {
    const auto found = loops_.find(link);
    if (found == loops_.end() || found->second.left) return;
    Loop& loop = found->second;
    loop.left = true;
    --joined_;
    outstanding_.items -= loop.granted.items - loop.used.items;
    outstanding_.bytes -= loop.granted.bytes - loop.used.bytes;
    loop.granted = loop.used;
    finish(found, {});
}

bool CreditPool::used(Link link, uint64_t bytes) {
    const auto found = loops_.find(link);
    if (found == loops_.end() || found->second.left) return false;
    Loop& loop = found->second;
    const bool alone = loop.used == loop.done && loop.used.bytes < loop.granted.bytes;
    const bool allowed = loop.used.items < loop.granted.items &&
                         (loop.used.bytes + bytes <= loop.granted.bytes || alone);
    if (!allowed && !mutated(RuleMutant::CreditUnbounded)) return false;
    ++loop.used.items;
    loop.used.bytes += bytes;
    // A large item alone takes more than it was given.
    const CreditAmount more{minus(loop.used.items, loop.granted.items),
                            minus(loop.used.bytes, loop.granted.bytes)};
    loop.granted.items += more.items;
    loop.granted.bytes += more.bytes;
    outstanding_.items += more.items;
    outstanding_.bytes += more.bytes;
    return true;
}

void CreditPool::done(Link link, uint64_t bytes) {
    const auto found = loops_.find(link);
    if (found == loops_.end()) return;
    finish(found, {1, bytes});
}

void CreditPool::given_back(Link link, const CreditAmount& amount) {
    const auto found = loops_.find(link);
    if (found == loops_.end() || found->second.left) return;
    Loop& loop = found->second;
    const CreditAmount back{std::min(amount.items, loop.granted.items - loop.used.items),
                            std::min(amount.bytes, loop.granted.bytes - loop.used.bytes)};
    loop.used.items += back.items;
    loop.used.bytes += back.bytes;
    finish(found, back);
}

void CreditPool::finish(std::map<Link, Loop>::iterator at, const CreditAmount& amount) {
    Loop& loop = at->second;
    const CreditAmount less{std::min(amount.items, loop.used.items - loop.done.items),
                            std::min(amount.bytes, loop.used.bytes - loop.done.bytes)};
    loop.done.items += less.items;
    loop.done.bytes += less.bytes;
    outstanding_.items -= less.items;
    outstanding_.bytes -= less.bytes;
    if (loop.left && loop.done.items == loop.used.items) {
        outstanding_.bytes -= loop.used.bytes - loop.done.bytes;
        loops_.erase(at);
    }
}

CreditAmount CreditPool::share() const {
    const uint64_t among = std::max<uint64_t>(1, joined_);
    return {std::max<uint64_t>(1, bound_.items / among),
            std::max<uint64_t>(1, bound_.bytes / among)};
}

bool CreditPool::holds_more(Link link) const {
    const auto found = loops_.find(link);
    if (found == loops_.end()) return false;
    const Loop& loop = found->second;
    return loop.granted.items - loop.done.items > share().items ||
           loop.granted.bytes - loop.done.bytes > share().bytes;
}

std::optional<CreditAmount> CreditPool::grant(Link link) {
    const auto found = loops_.find(link);
    if (found == loops_.end() || found->second.left) return std::nullopt;
    Loop& loop = found->second;
    const CreditAmount fair = share();
    const CreditAmount more{std::min(minus(fair.items, loop.granted.items - loop.done.items),
                                     minus(bound_.items, outstanding_.items)),
                            std::min(minus(fair.bytes, loop.granted.bytes - loop.done.bytes),
                                     minus(bound_.bytes, outstanding_.bytes))};
    loop.granted.items += more.items;
    loop.granted.bytes += more.bytes;
    outstanding_.items += more.items;
    outstanding_.bytes += more.bytes;
    if (loop.granted == loop.told) return std::nullopt;
    loop.told = loop.granted;
    return loop.granted;
}

}  // namespace quorate::cluster
