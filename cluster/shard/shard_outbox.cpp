// What is owed to other shards, and the queues of shared groups: R-5, rules "Shared groups", MQTT 5
// §4.3.3, §4.8.2; retained messages of this shard's topics, MQTT 5 §3.3.1.3.
#include <algorithm>
#include <utility>

#include "cluster/mutants.h"
#include "cluster/shard/shard_impl.h"
#include "cluster/topics/state_key.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {

bool holds(const std::vector<uint16_t>& received, PacketId id) {
    return std::ranges::binary_search(received, id.value());
}

}  // namespace

void ShardState::Impl::put_outbox(const OutboxTarget& target, OutboxEntry entry) {
    outbox_.put(target, std::move(entry), *batch_);
    actions_->outbox_ready = true;
}

void ShardState::Impl::on(const OutboxPut& body) {
    Session* session = attached_session(body.session, body.epoch);
    if (session == nullptr) return;
    const auto view = decode(body.message);
    if (!view || body.packet_id.value() == 0) {
        answer(AnswerCode::Malformed);
        return;
    }
    OutboxPutResult result;
    auto& received = session->durable->received;
    if (holds(received, body.packet_id)) {
        result.already_received = true;
        answer(AnswerCode::Applied, result);
        return;
    }
    if (outbox_.full(body.message.size()) || received.size() >= options_.received_ids_max) {
        result.code = mqtt::ReasonCode::QuotaExceeded;
        answer(AnswerCode::LimitExceeded, result);
        return;
    }
    received.insert(std::ranges::upper_bound(received, body.packet_id.value()),
                    body.packet_id.value());
    sessions_.mark(*session, SessionTable::kReceived);
    OutboxEntry entry;
    entry.body = bodies_.add(body.message, *batch_);
    entry.bytes = static_cast<uint32_t>(body.message.size());
    entry.expires_at = expiry_of(view->message_expiry_s);
    entry.qos = static_cast<uint8_t>(view->qos);
    const ShardId shard = shard_of_topic(view->topic, identity_.layout);
    put_outbox({OutboxTargetKind::Topic, shard, Incarnation()}, std::move(entry));
    answer(AnswerCode::Applied, result);
}

void ShardState::Impl::on(const Release& body) {
    Session* session = attached_session(body.session, body.epoch);
    if (session == nullptr) return;
    auto& received = session->durable->received;
    const auto found = std::ranges::lower_bound(received, body.packet_id.value());
    ReleaseResult result;
    result.found = found != received.end() && *found == body.packet_id.value();
    if (result.found && !mutated(RuleMutant::ReceivedIdKept)) {
        received.erase(found);
        sessions_.mark(*session, SessionTable::kReceived);
    }
    answer(AnswerCode::Applied, result);
}

void ShardState::Impl::on(const OutboxDone& body) {
    for (const OutboxNumber number : body.numbers) {
        const auto entry = outbox_.done(body.target, number, *batch_);
        if (entry) bodies_.release(entry->body);
    }
    // The window moved.
    if (!body.numbers.empty()) actions_->outbox_ready = true;
    answer(AnswerCode::Applied);
}

void ShardState::Impl::on(const Retain& body) {
    const auto view = decode(body.message);
    if (!view) {
        answer(AnswerCode::Malformed);
        return;
    }
    RetainResult result;
    if (body.stream_number != 0) {
        uint64_t& last = retain_streams_[body.stream];
        // A repeat after a change of owner: written before, and perhaps overwritten since.
        if (body.stream_number <= last && !mutated(RuleMutant::RetainedTwice)) {
            answer(AnswerCode::Applied, result);
            return;
        }
        last = std::max(last, body.stream_number);
        const StateKey key = StateKey(Family::RetainStream)
                                 .u64(body.stream.incarnation.value())
                                 .u16(body.stream.loop.value());
        batch_->put_with(key.view(), [last](RecordWriter& out) {
            out.u8(1);
            out.u64(last);
        });
    }
    if (view->payload.empty()) {
        retained_.remove(view->topic, *batch_);
    } else if (!retained_.put(now_, body.message, *view, *batch_)) {
        result.code = mqtt::ReasonCode::QuotaExceeded;
    }
    const bool written = result.code == mqtt::ReasonCode::Success;
    actions_->retained_changed = actions_->retained_changed || written;
    answer(written ? AnswerCode::Applied : AnswerCode::LimitExceeded, result);
}

// Shared groups.

void ShardState::Impl::on(const EnqueueGroup& body) {
    const auto view = decode(body.message);
    if (!view) {
        answer(AnswerCode::Malformed);
        return;
    }
    EnqueueGroupResult result;
    SharedGroup* group = groups_.find(body.group);
    // What a member gave back was admitted before: it waits whoever is left, and needs no room.
    const bool returned = body.source && body.source->stream.target.kind == OutboxTargetKind::Group;
    // Not counted as taken from the outbox: the leader forwards it and keeps its own filter.
    if (!returned && (group == nullptr || !group->any_durable())) {
        result.repeat = body.source && repeats_.taken(*body.source);
        answer(AnswerCode::Applied, result);
        return;
    }
    EnqueueGroupResult repeat;
    repeat.repeat = true;
    if (!take_from_outbox(body.source, repeat)) return;
    if (group == nullptr) {
        ++counters_.session_ended;
        answer(AnswerCode::Applied, repeat);
        return;
    }
    const uint64_t bytes = body.message.size();
    const bool full = group->messages.size() >= options_.group_messages_max ||
                      (group->bytes > 0 && group->bytes + bytes > options_.group_bytes_max);
    if (full && !returned) {
        ++counters_.group_full;
        answer(AnswerCode::LimitExceeded, result);
        return;
    }
    result.queued = true;
    result.number = group->next;
    push_group(*group, {bodies_.add(body.message, *batch_), static_cast<uint32_t>(bytes),
                        expiry_of(view->message_expiry_s), static_cast<uint8_t>(view->qos)});
    answer(AnswerCode::Applied, result);
}

void ShardState::Impl::push_group(SharedGroup& group, const GroupMessage& message) {
    groups_.push(group, message, *batch_);
    actions_->group_messages.push_back(group.name);
    const ClusterTime at = message.expires_at;
    if (at.value() != 0 && (group.purge_at.value() == 0 || at < group.purge_at)) {
        timers_.set(group.purge_at, at, TimerKind::GroupPurge, group.id);
    }
}

void ShardState::Impl::purge_group(SharedGroup& group) {
    constexpr uint64_t kPurgePeriodMs = 5000;
    ClusterTime earliest;
    std::vector<MessageNumber> gone;
    for (const auto& [number, message] : group.messages) {
        const ClusterTime at = message.expires_at;
        if (at.value() == 0) continue;
        if (at <= now_) {
            gone.push_back(number);
        } else if (earliest.value() == 0 || at < earliest) {
            earliest = at;
        }
    }
    for (const MessageNumber number : gone) {
        bodies_.release(groups_.take(group, number, *batch_)->body);
        ++counters_.expired;
    }
    if (earliest.value() != 0) {
        earliest = std::max(earliest, ClusterTime(now_.value() + kPurgePeriodMs));
    }
    timers_.set(group.purge_at, earliest, TimerKind::GroupPurge, group.id);
    groups_.mark(group);
}

void ShardState::Impl::drop_group_messages(SharedGroup& group) {
    while (!group.messages.empty()) {
        bodies_.release(groups_.take(group, group.messages.begin()->first, *batch_)->body);
        ++counters_.session_ended;
    }
    timers_.set(group.purge_at, ClusterTime(), TimerKind::GroupPurge, group.id);
}

void ShardState::Impl::on(const GroupPick& body) {
    SharedGroup* group = groups_.find(body.group);
    const bool there = group != nullptr && group->find(body.member) != nullptr &&
                       group->messages.contains(body.number);
    if (!there) {
        answer(AnswerCode::NotFound);
        return;
    }
    if (outbox_.full(group->messages.at(body.number).bytes)) {
        answer(AnswerCode::LimitExceeded);
        return;
    }
    const GroupMessage message = *groups_.take(*group, body.number, *batch_);
    OutboxEntry entry;
    entry.body = message.body;
    entry.bytes = message.bytes;
    entry.expires_at = message.expires_at;
    entry.qos = message.qos;
    entry.group = group->name;
    entry.member = body.member;
    OutboxTarget target;
    if (body.member.kind == DestinationKind::Session) {
        target = {OutboxTargetKind::Session, body.member.shard, Incarnation()};
    } else {
        target = {OutboxTargetKind::Node, ShardId(), body.member.node};
    }
    put_outbox(target, std::move(entry));
    answer(AnswerCode::Applied);
}

void ShardState::Impl::on(const OutboxReturn& body) {
    if (body.target.kind != OutboxTargetKind::Node) {
        answer(AnswerCode::Malformed);
        return;
    }
    for (const OutboxNumber number : body.numbers) {
        const auto entry = outbox_.done(body.target, number, *batch_);
        if (entry) return_to_queue(*entry);
    }
    if (!body.numbers.empty()) actions_->outbox_ready = true;
    answer(AnswerCode::Applied);
}

void ShardState::Impl::return_to_queue(const OutboxEntry& entry) {
    SharedGroup* group = groups_.find(entry.group);
    if (group == nullptr) {
        ++counters_.session_ended;
        bodies_.release(entry.body);
        return;
    }
    push_group(*group, {entry.body, entry.bytes, entry.expires_at, entry.qos});
}

// Promised before, so it goes in even when the outbox is full; the queue it comes from was limited.
void ShardState::Impl::return_to_group(std::string_view share_filter, OutboxEntry entry) {
    const std::string_view group = *shared_group_of(share_filter);
    entry.group = group;
    put_outbox({OutboxTargetKind::Group, shard_of_group(group, identity_.layout), Incarnation()},
               std::move(entry));
}

}  // namespace quorate::cluster
