#include "cluster/lease/table_holder.h"

#include <algorithm>

#include "cluster/mutants.h"

namespace quorate::cluster {

void TableHolder::shown(LogIndex index) {
    shown_ = std::max(shown_, index);
}

std::optional<LeaseRequest> TableHolder::request(BootTime now) {
    const BootTime last = asked_[last_id_ % kRemembered].at;
    if (last_id_ != 0 && shown_ == told_ && now < last + BootTime(times_.renew)) {
        return std::nullopt;
    }
    ++last_id_;
    asked_[last_id_ % kRemembered] = {last_id_, now};
    told_ = shown_;
    return LeaseRequest{self_, last_id_, shown_};
}

void TableHolder::answer(const LeaseAnswer& answer, BootTime now) {
    if (answer.holder != self_ || answer.id == 0) return;
    const Asked& asked = asked_[answer.id % kRemembered];
    if (asked.id != answer.id) return;
    if (answer.verdict == LeaseVerdict::Fenced) {
        fenced_ = true;
        until_ = BootTime(0);
        return;
    }
    if (answer.id >= answered_) {
        answered_ = answer.id;
        suspended_ = answer.verdict == LeaseVerdict::Suspended;
    }
    // A refusal takes no lease back: its granter counts until it has run out.
    if (answer.verdict != LeaseVerdict::Granted || fenced_) return;
    const BootTime from = mutated(RuleMutant::LeaseFromGrant) ? now : asked.at;
    until_ = std::max(until_, from + times_.held());
}

}  // namespace quorate::cluster
