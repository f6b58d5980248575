#include "cluster/stream/copy_link.h"

#include <algorithm>
#include <utility>

#include "cluster/mutants.h"

namespace quorate::cluster {

bool CopySender::full() const {
    return pending_.size() >= window_.copies_max ||
           (!pending_.empty() && bytes_ >= window_.bytes_max);
}

std::size_t CopySender::unanswered() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(pending_, [](const Pending& each) { return !each.answered; }));
}

bool CopySender::send(uint64_t token, Copy copy) {
    if (full()) return false;
    copy.number = next_++;
    bytes_ += copy.message.size();
    out_.push_back(copy);
    pending_.push_back({token, false, std::move(copy)});
    return true;
}

void CopySender::answered(uint64_t number, CopyVerdict verdict, std::vector<Done>& done) {
    const uint64_t first = next_ - pending_.size();
    if (number < first || number >= next_) return;
    if (verdict == CopyVerdict::Fenced) return;  // this process has to end
    if (verdict == CopyVerdict::Gap) {
        if (number > resent_) resend();
        return;
    }
    Pending& entry = pending_[number - first];
    if (entry.answered) return;
    entry.answered = true;
    done.push_back({entry.token, verdict == CopyVerdict::Stale});
    bytes_ -= entry.copy.message.size();
    entry.copy.message = {};
    while (!pending_.empty() && pending_.front().answered)
        pending_.pop_front();
}

void CopySender::resend() {
    out_.clear();
    resent_ = next_ - 1;
    for (const Pending& entry : pending_) {
        if (!entry.answered) out_.push_back(entry.copy);
    }
}

void CopySender::down(std::vector<Done>& done) {
    for (const Pending& entry : pending_) {
        if (!entry.answered) done.push_back({entry.token, false});
    }
    pending_.clear();
    out_.clear();
    bytes_ = 0;
}

std::vector<Copy> CopySender::take() {
    return std::exchange(out_, {});
}

CopyVerdict CopyReceiver::receive(const CopyProducer& producer, const Copy& copy) {
    if (!fence_.up(producer.incarnation)) return CopyVerdict::Fenced;
    const auto found = last_.find(producer);
    const uint64_t last = found == last_.end() ? 0 : found->second;
    if (copy.number > last + 1 || copy.number == 0) {
        if (!mutated(RuleMutant::GapApplied)) return CopyVerdict::Gap;
    }
    const bool current = fence_.hear(copy.fence);
    if (copy.number <= last && !mutated(RuleMutant::DuplicateApplied)) {
        // It may have been refused the first time: an older term is never told "taken".
        return current || mutated(RuleMutant::StaleRepeatSucceeds) ? CopyVerdict::Taken
                                                                   : CopyVerdict::Stale;
    }
    last_[producer] = copy.number;
    if (copy.number == 1) forget_terms_before(producer);
    if (!current) return CopyVerdict::Stale;
    if (!copy.source) return CopyVerdict::Queue;
    const OutboxTarget& stream = copy.source->stream.target;
    if (stream.kind == OutboxTargetKind::Publisher && !fence_.up(stream.node)) {
        return CopyVerdict::Taken;
    }
    // Refused is a stream with more open numbers than any driver may have: never twice, then.
    const bool first = repeats_.take(*copy.source) == RepeatVerdict::First;
    return first ? CopyVerdict::Queue : CopyVerdict::Taken;
}

// A sender begins anew with each term; what an earlier one may still send is stale.
void CopyReceiver::forget_terms_before(const CopyProducer& producer) {
    const auto first = last_.lower_bound({producer.incarnation, producer.shard, Term()});
    last_.erase(first, last_.find(producer));
}

void CopyReceiver::down(Incarnation incarnation) {
    const CopyProducer first{make_incarnation(node_of(incarnation), 0), ShardId(), Term()};
    for (auto at = last_.lower_bound(first);
         at != last_.end() && at->first.incarnation <= incarnation;) {
        at = last_.erase(at);
    }
    repeats_.forget_publishers(incarnation, nullptr);
}

}  // namespace quorate::cluster
