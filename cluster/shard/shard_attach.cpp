// CONNECT and the end of connections and sessions: R-7, MQTT 5 §3.1.2.4, §3.1.2.5, §3.14.
#include <algorithm>
#include <utility>

#include "cluster/mutants.h"
#include "cluster/shard/shard_impl.h"
#include "cluster/topics/route_records.h"
#include "cluster/topics/state_key.h"
#include "storage/state_store.h"

namespace quorate::cluster {

// Timers may be due that no Tick has run yet: what they would have done comes first.
Session* ShardState::Impl::bring_up_to_now(Session* session) {
    if (session == nullptr || session->attached()) return session;
    const auto due = [this](ClusterTime at) { return at.value() != 0 && at <= now_; };
    if (due(session->will_due_at)) publish_will(*session);
    if (!due(session->expires_at)) return session;
    ++counters_.sessions_expired;
    end_session(*session, SessionEndCause::Expired);
    return nullptr;
}

WaitingAttach ShardState::Impl::request_of(const Attach& body, const mqtt::MessageView* will) {
    WaitingAttach asked;
    asked.lane_incarnation = header_->lane.incarnation;
    asked.lane_producer = header_->lane.producer;
    asked.lane_class = static_cast<uint8_t>(header_->lane.lane_class);
    asked.number = header_->number;
    asked.token = header_->token;
    asked.version = body.protocol_version;
    asked.clean_start = body.clean_start;
    asked.expiry_s = body.session_expiry_s;
    asked.receive_maximum = body.receive_maximum;
    asked.connection = body.connection;
    if (will == nullptr) return asked;
    Will kept;
    kept.body = bodies_.add(body.will->message, *batch_);
    kept.bytes = static_cast<uint32_t>(body.will->message.size());
    kept.delay_s = body.will->delay_s;
    kept.target = shard_of_topic(will->topic, identity_.layout);
    kept.expiry_s = will->message_expiry_s;
    kept.qos = static_cast<uint8_t>(will->qos);
    asked.will = kept;
    return asked;
}

void ShardState::Impl::on(const Attach& body) {
    std::optional<mqtt::MessageView> will;
    if (body.will) will = decode(body.will->message);
    const bool numbered = header_->lane.lane_class != LaneClass::Leader;
    if (body.client_id.empty() || (body.will && !will) || !numbered) {
        answer(AnswerCode::Malformed);
        return;
    }
    Session* session = bring_up_to_now(sessions_.find(body.client_id));
    const bool stranger = session != nullptr && session->identity != body.identity;
    if (stranger || (session == nullptr && body.no_new)) {
        AttachResult refused;
        refused.code = stranger ? mqtt::ReasonCode::NotAuthorized : mqtt::ReasonCode::QuotaExceeded;
        refused.connection = body.connection;
        answer(AnswerCode::Applied, refused);
        return;
    }
    WaitingAttach asked = request_of(body, will ? &*will : nullptr);
    if (session != nullptr && session->attached() && mutated(RuleMutant::AttachAtOnce)) {
        detach(*session, DetachHow::TakenOver, std::nullopt, std::nullopt);
        session = sessions_.find(body.client_id);
    }
    if (session != nullptr && session->attached()) {
        wait_for_holder(*session, std::move(asked));
        return;
    }
    complete_attach(session, std::string(body.client_id), std::string(body.identity), asked);
}

void ShardState::Impl::wait_for_holder(Session& session, WaitingAttach asked) {
    if (session.waiting) drop_waiting(session, mqtt::ReasonCode::SessionTakenOver);
    ++counters_.takeovers;
    asked.deadline = ClusterTime(now_.value() + options_.takeover_wait_ms);
    timers_.set(session.takeover_at, asked.deadline, TimerKind::Takeover, session.id.value());
    session.waiting = std::make_unique<WaitingAttach>(std::move(asked));
    sessions_.mark(session, SessionTable::kRecord);
    actions_->let_go.push_back({session.attachment->connection, session.id, session.epoch});
}

void ShardState::Impl::drop_waiting(Session& session, mqtt::ReasonCode code) {
    const auto waiting = std::move(session.waiting);
    timers_.set(session.takeover_at, ClusterTime(), TimerKind::Takeover, session.id.value());
    sessions_.mark(session, SessionTable::kRecord);
    if (waiting->will) bodies_.release(waiting->will->body);
    AttachResult result;
    result.code = code;
    result.connection = waiting->connection;
    answer_attach(*waiting, AnswerCode::Applied, result);
}

void ShardState::Impl::complete_attach(Session* session, const std::string& client_id,
                                       const std::string& identity, const WaitingAttach& asked) {
    if (session != nullptr && asked.clean_start) {
        end_session(*session, SessionEndCause::CleanStart);
        session = nullptr;
    }
    AttachResult result;
    result.connection = asked.connection;
    result.session_present = session != nullptr;
    if (session == nullptr && sessions_.size() >= options_.sessions_max) {
        if (asked.will) bodies_.release(asked.will->body);
        result.code = mqtt::ReasonCode::QuotaExceeded;
        answer_attach(asked, AnswerCode::Applied, result);
        return;
    }
    if (session == nullptr) {
        session = &sessions_.create(client_id, identity, asked.expiry_s > 0);
        ++counters_.sessions_created;
    } else if (session->will) {
        // Resumed within the delay [MQTT-3.1.3-9].
        ++counters_.wills_cancelled;
        remove_will(*session);
    }
    timers_.set(session->expires_at, ClusterTime(), TimerKind::Expiry, session->id.value());
    ++session->epoch;
    session->version = asked.version;
    session->expiry_s = asked.expiry_s;
    set_will(*session, asked.will);
    sessions_.attach(
        *session, {asked.connection, asked.token, result.session_present, asked.receive_maximum});
    if (session->durable) {
        SessionQueue& queue = session->durable->queue;
        purge_queue(*session, queue.span());
        queue.attach(asked.receive_maximum);
        sessions_.mark(*session, SessionTable::kCursor);
        if (queue.messages() > 0) actions_->new_messages.push_back(session->id);
        if (!session->durable->shares.empty()) actions_->presence.push_back(session->id);
    }
    describe(*session, result);
    answer_attach(asked, AnswerCode::Applied, result);
}

void ShardState::Impl::on(const Detached& body) {
    Session* session = sessions_.find(body.session);
    const bool current = session != nullptr && session->attached() && session->epoch == body.epoch;
    if (!current || (mutated(RuleMutant::DetachedRefused) && session->waiting)) {
        answer(AnswerCode::StaleEpoch);
        return;
    }
    const uint64_t ended = actions_->ended.size();
    detach(*session, body.how, body.new_expiry_s, body.highest_written);
    answer(AnswerCode::Applied, DetachedResult{actions_->ended.size() > ended});
}

void ShardState::Impl::detach(Session& session, DetachHow how, std::optional<uint32_t> new_expiry_s,
                              std::optional<MessageNumber> highest_written) {
    if (new_expiry_s && session.durable) session.expiry_s = *new_expiry_s;
    sessions_.detach(session);
    if (session.durable) {
        if (highest_written) {
            session.durable->queue.detach(*highest_written);
        } else {
            session.durable->queue.detach_unknown();
        }
        sessions_.mark(session, SessionTable::kCursor);
    }
    if (how == DetachHow::Normal && session.will) remove_will(session);
    const auto waiting = std::move(session.waiting);
    timers_.set(session.takeover_at, ClusterTime(), TimerKind::Takeover, session.id.value());
    const std::string client_id = session.client_id;
    const std::string identity = session.identity;
    Session* left = &session;
    if (session.end_on_detach) {
        end_session(session, SessionEndCause::Administrator);
        left = nullptr;
    } else if (!session.durable || session.expiry_s == 0) {
        end_session(session, SessionEndCause::Disconnected);
        left = nullptr;
    } else {
        go_away(session);
    }
    if (!waiting) return;
    if (producers_.down(waiting->connection.incarnation)) {
        // It ended while it waited: attached now, nobody would ever detach it.
        if (waiting->will) bodies_.release(waiting->will->body);
        return;
    }
    complete_attach(left, client_id, identity, *waiting);
}

// A durable session without connection: will delay and expiry begin.
void ShardState::Impl::go_away(Session& session) {
    const uint64_t id = session.id.value();
    if (session.will && session.will->delay_s == 0) {
        publish_will(session);
    } else if (session.will) {
        const uint32_t delay = std::min(session.will->delay_s, session.expiry_s);
        timers_.set(session.will_due_at, after_seconds(delay), TimerKind::Will, id);
        ++wills_pending_;
    }
    if (session.expiry_s != kNeverExpires) {
        timers_.set(session.expires_at, after_seconds(session.expiry_s), TimerKind::Expiry, id);
    }
    if (!session.durable->shares.empty()) actions_->presence.push_back(session.id);
    if (options_.shared_handover_on_disconnect) return_shared(session, 0);
    arm_purge(session, session.durable->queue.next_expiry());
}

void ShardState::Impl::end_session(Session& session, SessionEndCause cause) {
    const uint64_t id = session.id.value();
    if (session.will) publish_will(session);
    if (session.waiting) drop_waiting(session, mqtt::ReasonCode::ServerUnavailable);
    timers_.set(session.expires_at, ClusterTime(), TimerKind::Expiry, id);
    timers_.set(session.purge_at, ClusterTime(), TimerKind::QueuePurge, id);
    if (session.durable) {
        DurableState& durable = *session.durable;
        return_shared(session, 0);
        counters_.session_ended += durable.queue.messages();
        queued_messages_ -= durable.queue.messages();
        queued_bytes_ -= durable.queue.bytes();
        durable.queue.for_each(MessageNumber(), [this](MessageNumber, const QueuedMessage& entry) {
            if (entry.body.value() != 0) bodies_.release(entry.body);
            return true;
        });
        subscription_count_ -= durable.subscriptions.size();
        for (const auto& [filter, subscription] : durable.subscriptions) {
            remove_from_index(session, filter, subscription);
        }
    }
    actions_->ended.push_back({session.id, session.client_id, cause});
    sessions_.erase(session, *batch_);
}

void ShardState::Impl::set_will(Session& session, const std::optional<Will>& will) {
    session.will = will ? std::make_unique<Will>(*will) : nullptr;
    sessions_.mark(session, SessionTable::kRecord);
}

void ShardState::Impl::remove_will(Session& session) {
    if (session.will_due_at.value() != 0) --wills_pending_;
    timers_.set(session.will_due_at, ClusterTime(), TimerKind::Will, session.id.value());
    bodies_.release(session.will->body);
    set_will(session, std::nullopt);
}

void ShardState::Impl::publish_will(Session& session) {
    const Will will = *session.will;
    bodies_.hold(will.body);
    remove_will(session);
    if (outbox_.full(will.bytes)) {
        ++counters_.wills_dropped;
        bodies_.release(will.body);
        return;
    }
    ++counters_.wills_published;
    OutboxEntry entry;
    entry.body = will.body;
    entry.bytes = will.bytes;
    entry.expires_at = expiry_of(will.expiry_s);
    entry.qos = will.qos;
    put_outbox({OutboxTargetKind::Topic, will.target, Incarnation()}, std::move(entry));
}

void ShardState::Impl::on(const EndSession& body) {
    Session* session = sessions_.find(body.client_id);
    if (session == nullptr) {
        answer(AnswerCode::NotFound);
        return;
    }
    if (session->attached()) {
        session->end_on_detach = true;
        sessions_.mark(*session, SessionTable::kRecord);
        actions_->let_go.push_back({session->attachment->connection, session->id, session->epoch});
    } else {
        end_session(*session, SessionEndCause::Administrator);
    }
    answer(AnswerCode::Applied);
}

// Loss of a node, and time.

void ShardState::Impl::on(const NodeDown& body) {
    producers_.node_down(body.incarnation, *batch_);
    repeats_.forget_publishers(body.incarnation, batch_);
    uint32_t budget = options_.step_limit;
    for (const SessionId id : sessions_.held_by(body.incarnation, budget)) {
        --budget;
        Session& session = *sessions_.find(id);
        // Who waited for it may have ended as well: the leader looks again.
        if (session.waiting) actions_->work_left = true;
        detach(session, DetachHow::Lost, std::nullopt, std::nullopt);
    }
    if (budget > 0) budget = node_down_topics(body.incarnation, budget);
    if (budget > 0) budget = node_down_groups(body.incarnation, budget);
    if (budget == 0) actions_->work_left = true;
    answer(AnswerCode::Applied);
}

uint32_t ShardState::Impl::node_down_topics(Incarnation incarnation, uint32_t budget) {
    const Incarnation first = make_incarnation(node_of(incarnation), 0);
    for (const Incarnation node : routes_.nodes()) {
        if (node < first || node > incarnation) continue;
        uint32_t removed = 0;
        (void)routes_.remove_node(node, budget,
                                  [&](std::string_view filter, const RouteEntry& route) {
                                      remove_route(*batch_, filter, route.destination);
                                      ++removed;
                                  });
        actions_->topics_changed = actions_->topics_changed || removed > 0;
        budget -= std::min(budget, removed);
        if (budget == 0) return 0;
    }
    auto at = retain_streams_.lower_bound({first, LoopId()});
    while (at != retain_streams_.end() && at->first.incarnation <= incarnation) {
        const StateKey key = StateKey(Family::RetainStream)
                                 .u64(at->first.incarnation.value())
                                 .u16(at->first.loop.value());
        batch_->remove(key.view());
        at = retain_streams_.erase(at);
    }
    return budget;
}

uint32_t ShardState::Impl::node_down_groups(Incarnation incarnation, uint32_t budget) {
    const Incarnation first = make_incarnation(node_of(incarnation), 0);
    for (const std::string& name : groups_.with_node(incarnation, budget)) {
        --budget;
        SharedGroup* group = groups_.find(name);
        groups_.remove_node(*group, incarnation);
        group_changed(*group);
    }
    for (const Incarnation node : outbox_.nodes()) {
        if (node < first || node > incarnation) continue;
        while (budget > 0) {
            const auto entries = outbox_.take_node(node, budget, *batch_);
            if (entries.empty()) break;
            budget -= static_cast<uint32_t>(entries.size());
            for (const OutboxEntry& entry : entries) {
                // Handing over may have begun, so QoS 2 ends with its receiver [MQTT-4.8.2-5].
                if (entry.qos < 2) {
                    return_to_queue(entry);
                } else {
                    ++counters_.session_ended;
                    bodies_.release(entry.body);
                }
            }
        }
    }
    return budget;
}

void ShardState::Impl::on(const Tick&) {
    if (mutated(RuleMutant::ReceivedIdDropped)) {
        for (const Session* each : sessions_.ordered(SessionId(), sessions_.size())) {
            if (each->durable) sessions_.find(each->id)->durable->received.clear();
        }
    }
    uint32_t budget = options_.step_limit;
    while (budget > 0) {
        const auto timer = timers_.due(now_);
        if (!timer) break;
        --budget;
        run_timer(*timer);
    }
    budget -= retained_.purge(now_, budget, *batch_);
    const auto next = next_deadline();
    if (next && *next <= now_) actions_->work_left = true;
    answer(AnswerCode::Applied);
}

void ShardState::Impl::run_timer(const Timer& timer) {
    constexpr std::size_t kPurgeStep = 1024;
    if (timer.kind == TimerKind::GroupPurge) {
        purge_group(*groups_.find(timer.id));
        return;
    }
    Session& session = *sessions_.find(SessionId(timer.id));
    switch (timer.kind) {
        case TimerKind::Will:
            publish_will(session);
            return;
        case TimerKind::Expiry:
            ++counters_.sessions_expired;
            end_session(session, SessionEndCause::Expired);
            return;
        case TimerKind::Takeover:
            drop_waiting(session, mqtt::ReasonCode::ServerUnavailable);
            return;
        case TimerKind::QueuePurge:
            purge_queue(session, kPurgeStep);
            return;
        case TimerKind::GroupPurge:
            return;
    }
}

}  // namespace quorate::cluster
