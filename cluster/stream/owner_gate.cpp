#include "cluster/stream/owner_gate.h"

#include "cluster/mutants.h"

namespace quorate::cluster {

void OwnerGate::lead(Term term) {
    follow();
    term_ = term;
    leading_ = true;
}

void OwnerGate::first_entry_applied(Term term) {
    if (leading_ && term == term_) ready_ = true;
}

void OwnerGate::follow() {
    leading_ = ready_ = false;
    open_.clear();
    wanted_ = 0;
    round_.reset();
}

bool OwnerGate::may_act(const ActGate& tables, BootTime meta, BootTime wildcards,
                        BootTime now) const {
    return tables.check(meta, wildcards, now).has_value() && leading_ && ready_;
}

bool OwnerGate::open(uint64_t token) {
    if (!leading_ || !ready_ || open_.size() >= open_max_) return false;
    Open entry;
    // The mutant lets a publish join the round that was under way when it was read.
    if (mutated(RuleMutant::OldConfirmation) && round_) entry.confirmation = Confirmation::Begun;
    if (mutated(RuleMutant::AnswerUnconfirmed)) entry.confirmation = Confirmation::Done;
    if (!open_.emplace(token, entry).second) return false;
    if (entry.confirmation == Confirmation::Wanted) ++wanted_;
    return true;
}

void OwnerGate::answer_if_done(std::map<uint64_t, Open>::iterator at,
                               std::vector<uint64_t>& answers) {
    const bool complete = at->second.complete || mutated(RuleMutant::AnswerIncomplete);
    if (!complete || at->second.confirmation != Confirmation::Done) return;
    answers.push_back(at->first);
    open_.erase(at);
}

void OwnerGate::complete(uint64_t token, std::vector<uint64_t>& answers) {
    const auto found = open_.find(token);
    if (found == open_.end()) return;
    found->second.complete = true;
    answer_if_done(found, answers);
}

void OwnerGate::stale() {
    follow();
}

bool OwnerGate::wants_round() const {
    return leading_ && ready_ && !round_ && wanted_ > 0;
}

void OwnerGate::round_begun(uint64_t id) {
    round_ = id;
    for (auto& [token, entry] : open_) {
        if (entry.confirmation == Confirmation::Wanted) entry.confirmation = Confirmation::Begun;
    }
    wanted_ = 0;
}

void OwnerGate::round_confirmed(uint64_t id, std::vector<uint64_t>& answers) {
    if (!round_ || *round_ != id) return;
    round_.reset();
    for (auto at = open_.begin(); at != open_.end();) {
        const auto next = std::next(at);
        if (at->second.confirmation == Confirmation::Begun) {
            at->second.confirmation = Confirmation::Done;
            answer_if_done(at, answers);
        }
        at = next;
    }
}

void OwnerGate::round_failed(uint64_t id) {
    if (!round_ || *round_ != id) return;
    round_.reset();
    for (auto& [token, entry] : open_) {
        if (entry.confirmation != Confirmation::Begun) continue;
        entry.confirmation = Confirmation::Wanted;
        ++wanted_;
    }
}

}  // namespace quorate::cluster
