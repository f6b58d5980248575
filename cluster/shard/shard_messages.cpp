// Messages into queues and acknowledgements out of them: R-6, MQTT 5 §3.3.4, §4.3, §4.4.
#include <algorithm>
#include <array>
#include <utility>

#include "cluster/shard/shard_impl.h"
#include "cluster/topics/state_key.h"
#include "proto/mqtt/topic.h"
#include "storage/state_store.h"

namespace quorate::cluster {

std::optional<mqtt::MessageView> ShardState::Impl::decode(std::string_view flat) const {
    auto view = mqtt::decode_message(flat);
    if (!view || !mqtt::valid_topic_name(view->topic)) return std::nullopt;
    return view;
}

bool ShardState::Impl::take_from_outbox(const std::optional<OutboxSource>& source,
                                        const CommandResult& repeat) {
    if (!source) return true;
    const OutboxTarget& stream = source->stream.target;
    if (stream.kind == OutboxTargetKind::Publisher && producers_.down(stream.node)) {
        // Its loop cannot be answered any more, and what was taken of it is forgotten.
        ++counters_.commands_stale;
        answer(AnswerCode::Applied, repeat);
        return false;
    }
    switch (repeats_.take(*source)) {
        case RepeatVerdict::First:
            return true;
        case RepeatVerdict::Repeat:
            ++counters_.outbox_repeats;
            answer(AnswerCode::Applied, repeat);
            return false;
        case RepeatVerdict::Refused:
            answer(AnswerCode::LimitExceeded);
            return false;
    }
    return false;
}

void ShardState::Impl::on(const Enqueue& body) {
    const auto view = decode(body.message);
    if (!view) {
        answer(AnswerCode::Malformed);
        return;
    }
    EnqueueResult repeat;
    repeat.repeat = true;
    if (!take_from_outbox(body.source, repeat)) return;
    const Incoming incoming{body.message, *view, expiry_of(view->message_expiry_s)};
    EnqueueResult result;
    deliveries_.clear();
    ids_.clear();
    if (body.only) {
        const bool from_group =
            body.source && body.source->stream.target.kind == OutboxTargetKind::Session;
        restrict_to(incoming, *body.only, from_group);
    } else {
        match(incoming, result);
    }
    deliver(incoming, result);
    if (result.rejected > 0) producers_.note_refused(*header_);
    answer(AnswerCode::Applied, result);
}

void ShardState::Impl::match(const Incoming& incoming, EnqueueResult& result) {
    hits_.clear();
    subscriptions_.match(incoming.view.topic, hits_);
    for (std::size_t from = 0; from < hits_.size();) {
        std::size_t to = from + 1;
        while (to < hits_.size() && hits_[to].session == hits_[from].session)
            ++to;
        match_session(incoming, from, to, result);
        from = to;
    }
}

// One copy for all matching subscriptions of a session, at their best QoS and with all their
// Subscription Identifiers, an equal one as often as it matches [MQTT-3.3.4-2] to -5.
void ShardState::Impl::match_session(const Incoming& incoming, std::size_t from, std::size_t to,
                                     EnqueueResult& result) {
    Delivery delivery;
    delivery.session = hits_[from].session;
    delivery.first_id = ids_.size();
    bool any = false;
    for (std::size_t i = from; i < to; ++i) {
        const Subscription& subscription = hits_[i].subscription;
        if (subscription.no_local && incoming.view.publisher == delivery.session->publisher) {
            continue;
        }
        any = true;
        delivery.qos = std::max(delivery.qos, subscription.qos);
        delivery.retain = delivery.retain || subscription.retain_as_published;
        if (subscription.id != 0) ids_.push_back(subscription.id);
    }
    if (!any) {
        ++result.no_local;
        return;
    }
    delivery.id_count = ids_.size() - delivery.first_id;
    delivery.qos = std::min(delivery.qos, incoming.view.qos);
    delivery.retain = delivery.retain && incoming.view.retain;
    deliveries_.push_back(delivery);
}

void ShardState::Impl::restrict_to(const Incoming& incoming, const Restriction& only,
                                   bool from_group) {
    for (const SessionId id : only.sessions) {
        Session* session = sessions_.find(id);
        const Subscription* subscription = nullptr;
        if (session != nullptr && session->durable) {
            const auto found = session->durable->subscriptions.find(only.filter);
            if (found != session->durable->subscriptions.end()) subscription = &found->second;
        }
        if (subscription == nullptr) {
            // The member went while the message was on its way: it goes to another one. QoS 2 too,
            // since its delivery has not begun [MQTT-4.8.2-5].
            const bool back = from_group && incoming.view.qos != mqtt::QoS::AtMostOnce &&
                              shared_group_of(only.filter).has_value();
            if (!back) {
                ++counters_.session_ended;
                continue;
            }
            OutboxEntry entry;
            entry.body = bodies_.add(incoming.flat, *batch_);
            entry.bytes = static_cast<uint32_t>(incoming.flat.size());
            entry.expires_at = incoming.expires_at;
            entry.qos = static_cast<uint8_t>(incoming.view.qos);
            return_to_group(only.filter, std::move(entry));
            continue;
        }
        Delivery delivery;
        delivery.session = session;
        delivery.qos = std::min(subscription->qos, incoming.view.qos);
        delivery.retain = subscription->retain_as_published && incoming.view.retain;
        delivery.share = subscription->share;
        delivery.first_id = ids_.size();
        if (subscription->id != 0) ids_.push_back(subscription->id);
        delivery.id_count = ids_.size() - delivery.first_id;
        deliveries_.push_back(delivery);
    }
}

void ShardState::Impl::deliver(const Incoming& incoming, EnqueueResult& result) {
    std::size_t queued = 0;
    bool shared = false;
    for (const Delivery& delivery : deliveries_) {
        const bool kept = delivery.qos != mqtt::QoS::AtMostOnce;
        queued += kept ? 1 : 0;
        shared = shared || delivery.share != 0;
        if (!kept) live_copy(incoming, delivery, result);
    }
    if (queued == 0) return;
    // A copy that may have to go back to its group needs a body of its own: apply reads nothing.
    const BodyId body = queued > 1 || shared ? bodies_.add(incoming.flat, *batch_) : BodyId();
    for (const Delivery& delivery : deliveries_) {
        if (delivery.qos != mqtt::QoS::AtMostOnce) push(incoming, delivery, body, result);
    }
    if (body.value() != 0) bodies_.release(body);
}

void ShardState::Impl::live_copy(const Incoming& incoming, const Delivery& delivery,
                                 EnqueueResult& result) {
    const bool away = !delivery.session->attached();
    if (away && !options_.queue_qos0) {
        ++result.offline_qos0;
        ++counters_.offline_qos0;
        return;
    }
    if (result.live_qos0 == 0) {
        actions_->messages.emplace_back(as_bytes(incoming.flat));
    }
    ++result.live_qos0;
    LiveCopy copy;
    if (!away) copy.connection = delivery.session->attachment->connection;
    copy.session = delivery.session->id;
    copy.epoch = delivery.session->epoch;
    copy.retain = delivery.retain;
    copy.message = static_cast<uint32_t>(actions_->messages.size() - 1);
    const auto* first = ids_.data() + delivery.first_id;
    copy.subscription_ids.assign(first, first + delivery.id_count);
    actions_->live.push_back(std::move(copy));
}

void ShardState::Impl::push(const Incoming& incoming, const Delivery& delivery, BodyId body,
                            EnqueueResult& result) {
    Session& session = *delivery.session;
    SessionQueue& queue = session.durable->queue;
    const auto bytes = static_cast<uint32_t>(incoming.flat.size());
    if (!make_room(session, bytes, result)) {
        ++counters_.queue_full;
        if (options_.queue_full == QueuePolicy::Reject) {
            ++result.rejected;
        } else {
            ++result.dropped_full;
        }
        return;
    }
    EntryRecord entry;
    entry.qos = delivery.qos;
    entry.retain = delivery.retain;
    entry.share = delivery.share;
    entry.expires_at = incoming.expires_at;
    entry.bytes = bytes;
    entry.body = body;
    if (delivery.id_count > 0) {
        const auto* first = ids_.data() + delivery.first_id;
        entry.subscription_ids.assign(first, first + delivery.id_count);
    }
    record_.clear();
    RecordWriter out(record_);
    write_entry_head(out, entry);

    QueuedMessage message;
    message.body = body;
    message.record =
        SharedBytes(as_bytes(record_), body.value() == 0 ? as_bytes(incoming.flat) : ByteView{});
    message.expires_at = entry.expires_at;
    message.bytes = bytes;
    message.share = delivery.share;
    message.qos = delivery.qos;
    const std::string_view record = message.record.text();
    if (body.value() != 0) bodies_.hold(body);
    const MessageNumber number = queue.push(std::move(message));
    batch_->put(StateKey(Family::Entry).u64(session.id.value()).u64(number.value()).view(), record);
    ++queued_messages_;
    queued_bytes_ += bytes;
    ++result.queued;
    sessions_.mark(session, SessionTable::kCursor);
    arm_purge(session, entry.expires_at);
    tail_.added(session.id, number, record.size(), sessions_);
    auto& fresh = actions_->new_messages;
    if (session.attached() && (fresh.empty() || fresh.back() != session.id)) {
        fresh.push_back(session.id);
    }
}

// A client that leaves its oldest message open while newer ones are dropped behind it makes the
// span of numbers grow: from some point on the newest are dropped instead.
uint64_t ShardState::Impl::span_max() const {
    return std::min(SessionQueue::kSpanMax,
                    uint64_t{options_.queue_messages_max} * 4 + options_.queue_span_slack);
}

bool ShardState::Impl::make_room(Session& session, uint64_t bytes, EnqueueResult& result) {
    SessionQueue& queue = session.durable->queue;
    if (bytes > options_.queue_bytes_max) return false;
    if (queue.span() >= span_max()) return false;
    while (queue.messages() >= options_.queue_messages_max ||
           queue.bytes() + bytes > options_.queue_bytes_max) {
        if (options_.queue_full != QueuePolicy::DropOldest) return false;
        const auto oldest = queue.oldest_droppable();
        if (!oldest) return false;
        settle(session, *oldest);
        ++counters_.queue_full;
        ++result.dropped_full;
        queue.advance();
    }
    return true;
}

QueuedMessage ShardState::Impl::take_entry(Session& session, MessageNumber number) {
    QueuedMessage entry = session.durable->queue.settle(number);
    --queued_messages_;
    queued_bytes_ -= entry.bytes;
    sessions_.mark(session, SessionTable::kCursor);
    return entry;
}

void ShardState::Impl::settle(Session& session, MessageNumber number) {
    const QueuedMessage entry = take_entry(session, number);
    if (entry.body.value() != 0) bodies_.release(entry.body);
}

void ShardState::Impl::on(const Ack& body) {
    Session* session = attached_session(body.session, body.epoch);
    if (session == nullptr) return;
    AckResult result;
    for (const AckItem& item : body.items) {
        if (!acknowledge(*session, item)) ++result.ignored;
    }
    SessionQueue& queue = session->durable->queue;
    queue.advance();
    tail_.trim(sessions_);
    result.first_unacked = queue.first_unacked();
    result.next = queue.next();
    answer(AnswerCode::Applied, result);
}

bool ShardState::Impl::acknowledge(Session& session, const AckItem& item) {
    SessionQueue& queue = session.durable->queue;
    const QueuedMessage* entry = queue.find(item.number);
    if (entry == nullptr || item.number > queue.sent_mark()) return false;
    const bool exactly_once = entry->qos == mqtt::QoS::ExactlyOnce;
    const bool open = entry->state == QueuedState::Open;
    switch (item.kind) {
        case AckKind::Puback:
            if (exactly_once) return false;
            break;
        case AckKind::PubrecOk:
            if (exactly_once && !open) return true;  // said before
            if (!queue.pubrec(item.number)) return false;
            sessions_.mark(session, SessionTable::kCursor);
            return true;
        case AckKind::PubrecError:
            // Of QoS 1 it is a PUBACK with a failure: done as well.
            if (!open) return false;
            break;
        case AckKind::Pubcomp:
            if (!exactly_once || open) return false;
            break;
        case AckKind::TooLarge:
            if (!open) return false;
            ++counters_.too_large;
            break;
        case AckKind::Denied:
            if (!open) return false;
            ++counters_.denied;
            break;
        case AckKind::Expired:
            if (!open) return false;
            ++counters_.expired;
            break;
    }
    settle(session, item.number);
    return true;
}

void ShardState::Impl::purge_queue(Session& session, std::size_t max) {
    SessionQueue& queue = session.durable->queue;
    for (const MessageNumber number : queue.expired(now_, max)) {
        settle(session, number);
        ++counters_.expired;
    }
    queue.advance();
    // The window may have moved over what is gone.
    if (session.attached() && queue.messages() > 0) actions_->new_messages.push_back(session.id);
    timers_.set(session.purge_at, ClusterTime(), TimerKind::QueuePurge, session.id.value());
    sessions_.mark(session, SessionTable::kCursor);
    arm_purge(session, queue.next_expiry());
}

// Reads hide what has expired, so purging only frees room: once per period and session is enough.
void ShardState::Impl::arm_purge(Session& session, ClusterTime expires_at) {
    constexpr uint64_t kPurgePeriodMs = 5000;
    if (expires_at.value() == 0) return;
    const ClusterTime at = std::max(expires_at, ClusterTime(now_.value() + kPurgePeriodMs));
    if (session.purge_at.value() != 0 && session.purge_at <= at) return;
    timers_.set(session.purge_at, at, TimerKind::QueuePurge, session.id.value());
    sessions_.mark(session, SessionTable::kCursor);
}

void ShardState::Impl::return_shared(Session& session, uint16_t share) {
    DurableState& durable = *session.durable;
    const MessageNumber sent = durable.queue.sent_mark();
    std::vector<std::pair<MessageNumber, uint16_t>> back;
    durable.queue.for_each(MessageNumber(), [&](MessageNumber number, const QueuedMessage& entry) {
        const bool wanted = entry.share != 0 && (share == 0 || entry.share == share);
        const bool begun = entry.qos == mqtt::QoS::ExactlyOnce && number <= sent;
        if (wanted && !begun) back.emplace_back(number, entry.share);
        return true;
    });
    for (const auto& [number, from] : back) {
        const QueuedMessage message = take_entry(session, number);
        OutboxEntry entry;
        entry.body = message.body;
        entry.bytes = message.bytes;
        entry.expires_at = message.expires_at;
        entry.qos = static_cast<uint8_t>(message.qos);
        return_to_group(durable.shares.at(from), std::move(entry));
    }
    durable.queue.advance();
}

}  // namespace quorate::cluster
