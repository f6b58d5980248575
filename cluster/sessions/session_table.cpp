#include "cluster/sessions/session_table.h"

#include <algorithm>

#include "cluster/sessions/subscription_index.h"
#include "cluster/topics/destination.h"
#include "cluster/topics/state_key.h"
#include "proto/base/assert.h"
#include "proto/base/hash.h"
#include "proto/mqtt/message.h"
#include "storage/keys.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {

StateKey session_key(Family family, SessionId id) {
    return StateKey(family).u64(id.value());
}

StateKey entry_key(SessionId id, MessageNumber number) {
    return StateKey(Family::Entry).u64(id.value()).u64(number.value());
}

}  // namespace

Session* SessionTable::find(SessionId id) {
    return const_cast<Session*>(std::as_const(*this).find(id));
}
const Session* SessionTable::find(SessionId id) const {
    const auto found = by_id_.find(id.value());
    return found == by_id_.end() ? nullptr : found->second.get();
}
Session* SessionTable::find(std::string_view client_id) {
    return const_cast<Session*>(std::as_const(*this).find(client_id));
}
const Session* SessionTable::find(std::string_view client_id) const {
    const auto found = by_client_.find(client_id);
    return found == by_client_.end() ? nullptr : found->second;
}

Session& SessionTable::create(std::string_view client_id, std::string_view identity, bool durable) {
    auto owned = std::make_unique<Session>();
    Session& session = *owned;
    session.id = next_id_;
    ++next_id_;
    session.client_id = client_id;
    session.identity = identity;
    session.publisher = hash64(client_id);
    if (durable) {
        session.durable = std::make_unique<DurableState>(first_number_);
        ++durable_;
        mark(session, kCursor);
    }
    const bool fresh = by_client_.emplace(session.client_id, &session).second;
    ASSERT(fresh, "two sessions with one client id");
    by_id_.emplace(session.id.value(), std::move(owned));
    mark(session, kRecord);
    return session;
}

void SessionTable::erase(Session& session, storage::StateBatch& batch) {
    if (session.attached()) detach(session);
    batch.remove(session_key(Family::Session, session.id).view());
    if (session.durable) {
        const SessionId id = session.id;
        const SessionId after = id.next();
        --durable_;
        batch.remove(session_key(Family::Cursor, id).view());
        batch.remove(session_key(Family::Received, id).view());
        if (session.durable->queue.next() > first_number_) {
            batch.remove_range(entry_key(id, MessageNumber()).view(),
                               entry_key(after, MessageNumber()).view());
        }
        for (const auto& [filter, subscription] : session.durable->subscriptions) {
            batch.remove(session_key(Family::Subscription, id).last_text(filter).view());
        }
        for (const auto& [filter, replay] : session.durable->replays) {
            batch.remove(session_key(Family::Replay, id).last_text(filter).view());
        }
    }
    by_client_.erase(session.client_id);
    by_id_.erase(session.id.value());
}

void SessionTable::attach(Session& session, const Attachment& attachment) {
    ASSERT(!session.attached(), "a session with two connections");
    session.attachment = attachment;
    held_.emplace(attachment.connection.incarnation, session.id);
    ++attached_;
    mark(session, kRecord);
}

void SessionTable::detach(Session& session) {
    ASSERT(session.attached(), "detaching a session without connection");
    held_.erase({session.attachment->connection.incarnation, session.id});
    session.attachment.reset();
    --attached_;
    mark(session, kRecord);
}

std::vector<SessionId> SessionTable::held_by(Incarnation incarnation, std::size_t max) const {
    std::vector<SessionId> out;
    const Incarnation first = make_incarnation(node_of(incarnation), 0);
    for (auto at = held_.lower_bound({first, SessionId()});
         at != held_.end() && at->first <= incarnation && out.size() < max; ++at) {
        out.push_back(at->second);
    }
    return out;
}

std::vector<Incarnation> SessionTable::incarnations() const {
    std::vector<Incarnation> out;
    for (auto at = held_.begin(); at != held_.end();
         at = held_.lower_bound({out.back().next(), SessionId()})) {
        out.push_back(at->first);
    }
    return out;
}

void SessionTable::mark(Session& session, uint8_t dirty) {
    if (session.dirty == 0) dirty_.push_back(session.id);
    session.dirty = static_cast<uint8_t>(session.dirty | dirty);
}

void SessionTable::free_queue(Session& session, bool now, storage::StateBatch& batch) {
    SessionQueue& queue = session.durable->queue;
    for (const MessageNumber hole : queue.take_holes()) {
        batch.remove(entry_key(session.id, hole).view());
    }
    if (const auto freed = queue.take_freed(now)) {
        batch.remove_range(entry_key(session.id, freed->first).view(),
                           entry_key(session.id, freed->second).view());
    }
}

void SessionTable::write(Session& session, storage::StateBatch& batch) {
    const uint8_t dirty = std::exchange(session.dirty, uint8_t{0});
    if ((dirty & kRecord) != 0) {
        batch.put_with(session_key(Family::Session, session.id).view(),
                       [&](RecordWriter& out) { write_session(out, session); });
    }
    if ((dirty & kCursor) != 0 && session.durable) {
        free_queue(session, !session.attached(), batch);
        batch.put_with(session_key(Family::Cursor, session.id).view(),
                       [&](RecordWriter& out) { write_cursor(out, session); });
    }
    if ((dirty & kReceived) != 0 && session.durable) {
        batch.put_with(session_key(Family::Received, session.id).view(),
                       [&](RecordWriter& out) { write_received(out, *session.durable); });
    }
}

void SessionTable::end_entry(storage::StateBatch& batch) {
    for (const SessionId id : dirty_) {
        Session* session = find(id);
        if (session != nullptr) write(*session, batch);
    }
    dirty_.clear();
}

std::vector<const Session*> SessionTable::ordered(SessionId after, std::size_t max) const {
    std::vector<const Session*> out;
    for (const auto& [id, session] : by_id_) {
        if (session->id > after) out.push_back(session.get());
    }
    const auto by_id = [](const Session* a, const Session* b) { return a->id < b->id; };
    if (out.size() > max) {
        std::nth_element(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(max), out.end(),
                         by_id);
        out.resize(max);
    }
    std::sort(out.begin(), out.end(), by_id);
    return out;
}

uint64_t SessionTable::digest() const {
    std::string bytes;
    RecordWriter out(bytes);
    out.id(next_id_);
    for (const Session* session : ordered(SessionId(), by_id_.size())) {
        out.id(session->id);
        write_session(out, *session);
        if (!session->durable) continue;
        const DurableState& durable = *session->durable;
        write_cursor(out, *session);
        write_received(out, durable);
        for (const auto& [filter, subscription] : durable.subscriptions) {
            out.text(filter);
            write_subscription(out, subscription);
        }
        for (const auto& [filter, replay] : durable.replays) {
            out.text(filter);
            write_replay(out, replay);
        }
        durable.queue.for_each(MessageNumber(), [&](MessageNumber number, const auto& message) {
            out.id(number);
            out.id(message.body);
            out.id(message.expires_at);
            out.u32(message.bytes);
            out.u16(message.share);
            out.u8(static_cast<uint8_t>(message.qos));
            out.u8(static_cast<uint8_t>(message.state));
            return true;
        });
        out.u64(hash64(std::exchange(bytes, {})));
    }
    return hash64(bytes);
}

bool SessionTable::load_session(SessionId id, std::string_view value, MessageStore& bodies) {
    auto owned = read_session(id, value);
    if (owned == nullptr || id >= next_id_ || find(owned->client_id) != nullptr) return false;
    Session& session = *owned;
    if (session.will && !bodies.restore_reference(session.will->body)) return false;
    if (session.waiting && session.waiting->will &&
        !bodies.restore_reference(session.waiting->will->body)) {
        return false;
    }
    by_client_.emplace(session.client_id, &session);
    if (session.durable) ++durable_;
    if (session.attached()) {
        held_.emplace(session.attachment->connection.incarnation, id);
        ++attached_;
    }
    by_id_.emplace(id.value(), std::move(owned));
    return true;
}

bool SessionTable::load_entry(Session& session, uint64_t number, std::string_view value,
                              MessageStore& bodies) {
    EntryRecord record;
    if (!session.durable || !read_entry(value, record)) return false;
    SessionQueue& queue = session.durable->queue;
    if (record.body.value() == 0 && !mqtt::decode_message(record.message)) return false;
    QueuedMessage message;
    message.body = record.body;
    message.expires_at = record.expires_at;
    message.bytes = record.bytes;
    message.share = record.share;
    message.qos = record.qos;
    const MessageNumber at(number);
    // Acknowledged before, its range not yet removed: its body may be gone.
    const bool open = at >= queue.first_unacked();
    if (open && record.body.value() != 0 && !bodies.restore_reference(record.body)) return false;
    return queue.restore(at, std::move(message));
}

bool SessionTable::load_subscription(Session& session, std::string_view filter,
                                     std::string_view value, SubscriptionIndex& subscriptions) {
    const auto subscription = read_subscription(value);
    if (!session.durable || !subscription) return false;
    const bool shared = shared_group_of(filter).has_value();
    if (shared != (subscription->share != 0)) return false;
    if (!shared && !subscriptions.restore(session, filter, *subscription)) return false;
    return session.durable->subscriptions.emplace(filter, *subscription).second;
}

bool SessionTable::load_replay(Session& session, std::string_view filter, std::string_view value) {
    const auto replay = read_replay(value);
    if (!session.durable || !replay) return false;
    DurableState& durable = *session.durable;
    return durable.subscriptions.contains(filter) &&
           durable.replays.emplace(filter, *replay).second;
}

Status SessionTable::load_record(std::string_view key, std::string_view value, MessageStore& bodies,
                                 SubscriptionIndex& subscriptions) {
    storage::KeyReader in(key);
    const auto family = static_cast<Family>(in.u8());
    const SessionId id(in.u64());
    Session* session = find(id);
    bool good = false;
    if (family == Family::Session) {
        good = !in.failed() && in.rest().empty() && load_session(id, value, bodies);
    } else if (session == nullptr || in.failed()) {
        good = false;
    } else if (family == Family::Cursor) {
        good = in.rest().empty() && read_cursor(value, *session);
    } else if (family == Family::Received) {
        good = in.rest().empty() && session->durable && read_received(value, *session->durable);
    } else if (family == Family::Subscription) {
        good = load_subscription(*session, in.rest(), value, subscriptions);
    } else if (family == Family::Replay) {
        good = load_replay(*session, in.rest(), value);
    } else if (family == Family::Entry) {
        const uint64_t number = in.u64();
        good = !in.failed() && in.rest().empty() && number != 0 &&
               load_entry(*session, number, value, bodies);
    }
    if (good) return {};
    return corrupt_record("session", key);
}

Status SessionTable::load(const storage::StateStore& store, MessageStore& bodies,
                          SubscriptionIndex& subscriptions, Timers& timers) {
    for (const Family family : {Family::Session, Family::Cursor, Family::Entry, Family::Received,
                                Family::Subscription, Family::Replay}) {
        Status result;
        const Status scanned = store.scan(StateKey(family).view(), family_end(family),
                                          [&](std::string_view key, std::string_view value) {
                                              result =
                                                  load_record(key, value, bodies, subscriptions);
                                              return result.ok();
                                          });
        if (!scanned.ok()) return scanned;
        if (!result.ok()) return result;
    }
    for (auto& [id, session] : by_id_) {
        timers.restore(session->expires_at, TimerKind::Expiry, id);
        timers.restore(session->will_due_at, TimerKind::Will, id);
        timers.restore(session->takeover_at, TimerKind::Takeover, id);
        timers.restore(session->purge_at, TimerKind::QueuePurge, id);
        if (!session->durable) continue;
        SessionQueue& queue = session->durable->queue;
        queue.finish_restore();
        if (session->attached()) queue.attach(session->attachment->receive_maximum);
    }
    return {};
}

}  // namespace quorate::cluster
