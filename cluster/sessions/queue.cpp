#include "cluster/sessions/queue.h"

#include <algorithm>

#include "cluster/mutants.h"
#include "proto/base/assert.h"

namespace quorate::cluster {

MessageNumber SessionQueue::sent_mark() const {
    if (!attached()) return mark_;
    return std::max(mark_, MessageNumber(first_.value() + receive_maximum_ - 1));
}

void SessionQueue::attach(uint16_t receive_maximum) {
    ASSERT(receive_maximum > 0, "a Receive Maximum of 0");
    receive_maximum_ = receive_maximum;
    drop_hint_ = first_;
}

void SessionQueue::detach(MessageNumber highest_written) {
    // Numbers that do not exist yet cannot have been written.
    const MessageNumber last(next().value() - 1);
    mark_ = std::max(mark_, std::min(highest_written, last));
    receive_maximum_ = 0;
    drop_hint_ = first_;
}

void SessionQueue::detach_unknown() {
    detach(sent_mark());
}

MessageNumber SessionQueue::push(QueuedMessage message) {
    const MessageNumber number = next();
    ++messages_;
    bytes_ += message.bytes;
    message.state = QueuedState::Open;
    ring_.push_back(std::move(message));
    return number;
}

const QueuedMessage* SessionQueue::find(MessageNumber number) const {
    if (number < first_ || number >= next()) return nullptr;
    const QueuedMessage& message = ring_[index_of(number)];
    return message.state == QueuedState::Settled ? nullptr : &message;
}

QueuedMessage* SessionQueue::find(MessageNumber number) {
    return const_cast<QueuedMessage*>(std::as_const(*this).find(number));
}

bool SessionQueue::pubrec(MessageNumber number) {
    QueuedMessage* message = find(number);
    if (message == nullptr || message->qos != mqtt::QoS::ExactlyOnce ||
        message->state != QueuedState::Open) {
        return false;
    }
    message->state = QueuedState::PubrecKnown;
    ++pubrec_known_;
    last_pubrec_ = std::max(last_pubrec_, number);
    return true;
}

QueuedMessage SessionQueue::settle(MessageNumber number) {
    QueuedMessage* message = find(number);
    ASSERT(message != nullptr, "settling what is not open");
    QueuedMessage out = std::move(*message);
    *message = QueuedMessage{};
    --messages_;
    bytes_ -= out.bytes;
    if (out.state == QueuedState::PubrecKnown) --pubrec_known_;
    if (number == first_) {
        freed_bytes_ += out.bytes;
    } else {
        holes_.emplace_back(number, out.bytes);
    }
    return out;
}

void SessionQueue::advance() {
    while (!ring_.empty() && ring_[0].state == QueuedState::Settled) {
        ring_.pop_front();
        ++first_;
    }
}

bool SessionQueue::droppable(MessageNumber number, const QueuedMessage& message) const {
    if (message.state != QueuedState::Open) return false;
    if (number > sent_mark() || mutated(RuleMutant::DropBelowMark)) return true;
    return message.qos != mqtt::QoS::ExactlyOnce && !attached();
}

std::optional<MessageNumber> SessionQueue::oldest_droppable() {
    std::optional<MessageNumber> found;
    const bool above = attached() && !mutated(RuleMutant::DropBelowMark);
    const MessageNumber from =
        above ? std::max(drop_hint_, sent_mark().next()) : std::max(drop_hint_, first_);
    for_each(from, [&](MessageNumber number, const QueuedMessage& message) {
        if (!droppable(number, message)) return true;
        found = number;
        return false;
    });
    drop_hint_ = found.value_or(next());
    return found;
}

std::vector<MessageNumber> SessionQueue::expired(ClusterTime now, std::size_t max) const {
    std::vector<MessageNumber> out;
    for_each(first_, [&](MessageNumber number, const QueuedMessage& message) {
        const bool due = message.expires_at.value() != 0 && message.expires_at <= now;
        if (due && droppable(number, message)) out.push_back(number);
        return out.size() < max;
    });
    return out;
}

ClusterTime SessionQueue::next_expiry() const {
    ClusterTime earliest;
    for_each(first_, [&earliest](MessageNumber, const QueuedMessage& message) {
        const ClusterTime at = message.expires_at;
        if (at.value() != 0 && (earliest.value() == 0 || at < earliest)) earliest = at;
        return true;
    });
    return earliest;
}

std::vector<MessageNumber> SessionQueue::take_holes() {
    std::vector<MessageNumber> out;
    for (const auto& [number, bytes] : holes_) {
        if (number < first_) {
            freed_bytes_ += bytes;
        } else {
            out.push_back(number);
        }
    }
    holes_.clear();
    return out;
}

std::optional<std::pair<MessageNumber, MessageNumber>> SessionQueue::take_freed(bool now) {
    if (freed_to_ == first_) return std::nullopt;
    const uint64_t count = first_.value() - freed_to_.value();
    if (!now && count < kFreeMessages && freed_bytes_ < kFreeBytes) return std::nullopt;
    const auto range = std::make_pair(freed_to_, first_);
    freed_to_ = first_;
    freed_bytes_ = 0;
    return range;
}

void SessionQueue::write(RecordWriter& out) const {
    out.id(first_);
    out.id(next());
    out.id(mark_);
    out.id(freed_to_);
    std::vector<std::pair<MessageNumber, uint32_t>> runs;
    // They stand inside the window, so this is not a walk through the queue.
    for_each(first_, [&](MessageNumber number, const QueuedMessage& message) {
        if (pubrec_known_ == 0 || number > last_pubrec_) return false;
        if (message.state != QueuedState::PubrecKnown) return true;
        const bool follows =
            !runs.empty() && runs.back().first.value() + runs.back().second == number.value();
        if (follows) ++runs.back().second;
        if (!follows) runs.emplace_back(number, 1U);
        return true;
    });
    out.u32(static_cast<uint32_t>(runs.size()));
    for (const auto& [number, length] : runs) {
        out.id(number);
        out.u32(length);
    }
}

bool SessionQueue::read(RecordReader& in) {
    first_ = in.id<MessageNumber>();
    const auto next = in.id<MessageNumber>();
    mark_ = in.id<MessageNumber>();
    if (mutated(RuleMutant::MarkNotLoaded)) mark_ = MessageNumber();
    freed_to_ = in.id<MessageNumber>();
    const uint32_t runs = in.u32();
    for (uint32_t i = 0; i < runs && !in.failed(); ++i) {
        const auto number = in.id<MessageNumber>();
        const uint32_t length = in.u32();
        pubrec_runs_.emplace_back(number, length);
        const bool inside = number >= first_ && number < next &&
                            length <= next.value() - number.value() && length > 0;
        if (!inside) return false;
    }
    const bool sane = !in.failed() && first_.value() > 0 && first_ <= next && mark_ < next &&
                      freed_to_.value() > 0 && freed_to_ <= first_ &&
                      next.value() - first_.value() <= kSpanMax;
    if (!sane) return false;
    drop_hint_ = first_;
    for (MessageNumber number = first_; number < next; ++number)
        ring_.push_back(QueuedMessage{});
    return true;
}

bool SessionQueue::restore(MessageNumber number, QueuedMessage message) {
    // Below first_unacked: settled, and its range is not yet removed.
    if (number >= next()) return false;
    if (number < first_) {
        freed_bytes_ += message.bytes;
        return true;
    }
    QueuedMessage& slot = ring_[index_of(number)];
    if (slot.state != QueuedState::Settled) return false;
    ++messages_;
    bytes_ += message.bytes;
    message.state = QueuedState::Open;
    slot = std::move(message);
    return true;
}

void SessionQueue::finish_restore() {
    if (mutated(RuleMutant::PubrecNotLoaded)) pubrec_runs_.clear();
    for (const auto& [number, length] : pubrec_runs_) {
        for (uint32_t i = 0; i < length; ++i)
            (void)pubrec(MessageNumber(number.value() + i));
    }
    pubrec_runs_.clear();
    advance();
}

}  // namespace quorate::cluster
