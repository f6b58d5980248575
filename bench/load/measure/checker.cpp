#include "bench/load/measure/checker.h"

#include <algorithm>

namespace quorate::bench {

Verdict StreamChecker::accept(std::uint64_t sequence) {
    if (sequence < next_) return fill(sequence);
    if (sequence > next_) {
        if (gaps_.size() == kGapsMax) {
            closed_as_lost_ += gaps_.front().end - gaps_.front().begin;
            gaps_.erase(gaps_.begin());
        }
        gaps_.push_back(Gap{next_, sequence});
    }
    next_ = sequence + 1;
    return Verdict::next;
}

Verdict StreamChecker::fill(std::uint64_t sequence) {
    // The first gap that ends after the number.
    const auto gap = std::ranges::upper_bound(gaps_, sequence, {}, &Gap::end);
    if (gap == gaps_.end() || gap->begin > sequence) return Verdict::duplicate;
    if (gap->begin == sequence) {
        ++gap->begin;
        if (gap->begin == gap->end) gaps_.erase(gap);
    } else if (gap->end == sequence + 1) {
        --gap->end;
    } else {
        const Gap lower{gap->begin, sequence};
        gap->begin = sequence + 1;
        gaps_.insert(gap, lower);
    }
    return Verdict::late;
}

std::uint64_t StreamChecker::missing(std::uint64_t owed) const {
    std::uint64_t missing = closed_as_lost_;
    for (const Gap& gap : gaps_) {
        if (gap.begin < owed) missing += std::min(gap.end, owed) - gap.begin;
    }
    if (owed > next_) missing += owed - next_;
    return missing;
}

}  // namespace quorate::bench
