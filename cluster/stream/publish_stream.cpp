#include "cluster/stream/publish_stream.h"

#include <algorithm>
#include <utility>

#include "cluster/mutants.h"

namespace quorate::cluster {

bool PublishStream::full() const {
    return items_.size() >= window_.items_max || (!items_.empty() && bytes_ >= window_.bytes_max);
}

uint64_t PublishStream::first_unanswered() const {
    return items_.empty() ? next_ : items_.begin()->first;
}

std::optional<uint64_t> PublishStream::add(Publish publish) {
    if (full()) return std::nullopt;
    const uint64_t number = next_++;
    bytes_ += publish.message.size();
    owed_[publish.connection].push_back({number, publish.silent, std::nullopt});
    Item& item = items_[number];
    item.publish = std::move(publish);
    if (open_) stage(number, item);
    return number;
}

bool PublishStream::add_qos0(const SharedBytes& message) {
    if (!open_) return false;
    out_.items.push_back({attempt_, 0, last_sent_, first_unanswered() - 1, message});
    return true;
}

void PublishStream::stage(uint64_t number, Item& item) {
    out_.items.push_back(
        {attempt_, number, last_sent_, first_unanswered() - 1, item.publish.message});
    item.sent_in = attempt_;
    last_sent_ = number;
}

void PublishStream::begin(Term term) {
    out_ = {};
    ++attempt_;
    open_ = true;
    for (auto at = items_.begin(); at != items_.end();) {
        const auto next = std::next(at);
        if (at->second.gone) forget(at);
        at = next;
    }
    out_.begin = StreamBegin{attempt_, term, first_unanswered()};
    last_sent_ = first_unanswered() - 1;
    for (auto& [number, item] : items_)
        stage(number, item);
}

bool PublishStream::refused(uint32_t attempt) {
    if (attempt != attempt_ || !open_) return false;
    open_ = false;
    return true;
}

void PublishStream::answered(uint32_t attempt, uint64_t number, mqtt::ReasonCode code,
                             uint32_t receivers) {
    const auto found = items_.find(number);
    if (found == items_.end()) return;
    Item& item = found->second;
    if (item.sent_in == 0) return;
    if (attempt != item.sent_in && !mutated(RuleMutant::OldAttemptAnswers)) return;
    Settled settled;
    settled.connection = item.publish.connection;
    settled.ticket = item.publish.ticket;
    settled.code = code;
    settled.receivers = receivers;
    settle(number, settled);
}

void PublishStream::settle(uint64_t number, const Settled& settled) {
    const auto owed = owed_.find(settled.connection);
    if (owed != owed_.end()) {
        auto& answers = owed->second;
        const auto at = std::ranges::lower_bound(answers, number, {}, &Answer::number);
        if (at != answers.end() && at->number == number) at->settled = settled;
        release(answers);
        if (answers.empty()) owed_.erase(owed);
    }
    forget(items_.find(number));
}

void PublishStream::release(std::deque<Answer>& answers) {
    while (!answers.empty() && answers.front().settled) {
        if (!answers.front().silent) settled_.push_back(*answers.front().settled);
        answers.pop_front();
    }
}

void PublishStream::forget(std::map<uint64_t, Item>::iterator at) {
    bytes_ -= at->second.publish.message.size();
    items_.erase(at);
}

void PublishStream::expire(std::chrono::nanoseconds now) {
    while (!items_.empty() && items_.begin()->second.publish.deadline <= now) {
        const auto& [number, item] = *items_.begin();
        Settled settled;
        settled.connection = item.publish.connection;
        settled.ticket = item.publish.ticket;
        settled.timed_out = true;
        settle(number, settled);
    }
}

void PublishStream::connection_gone(uint64_t connection) {
    const auto owed = owed_.find(connection);
    if (owed == owed_.end()) return;
    for (const Answer& answer : owed->second) {
        const auto item = items_.find(answer.number);
        if (item == items_.end()) continue;
        item->second.gone = true;
        if (item->second.sent_in == 0) forget(item);
    }
    owed_.erase(owed);
}

PublishStream::Output PublishStream::take() {
    return std::exchange(out_, {});
}

std::vector<PublishStream::Settled> PublishStream::take_settled() {
    return std::exchange(settled_, {});
}

}  // namespace quorate::cluster
