#include "cluster/router/leader/session_feed.h"

#include <algorithm>
#include <utility>

namespace quorate::cluster {

void SessionFeed::want(const Want& want) {
    Feed& feed = feeds_[want.session];
    if (want.epoch < feed.epoch) return;
    // The loop counts from what it has received; what is on its way to it is not asked for again.
    if (want.epoch > feed.epoch || want.again) {
        feed = {want.epoch,   want.next,     want.next,
                want.credit,  want.received, want.received + want.room,
                feed.touched, feed.at_window};
    } else {
        feed.allowed = want.received + want.room;
        const uint64_t end = want.next.value() + want.credit;
        feed.next = std::max(feed.next, want.next);
        feed.credit = end > feed.next.value() ? static_cast<uint32_t>(end - feed.next.value()) : 0;
    }
    touch(want.session);
}

void SessionFeed::touch(SessionId session) {
    const auto found = feeds_.find(session);
    if (found == feeds_.end() || found->second.touched) return;
    found->second.touched = true;
    touched_.push_back(session);
}

void SessionFeed::windows_moved() {
    std::vector<SessionId> waiting;
    waiting.swap(at_window_);
    for (const SessionId session : waiting) {
        const auto found = feeds_.find(session);
        if (found == feeds_.end()) continue;
        found->second.at_window = false;
        touch(session);
    }
}

void SessionFeed::send(const ShardState& state, ClusterTime leader_now,
                       std::vector<Expired>& expired) {
    std::vector<SessionId> sessions;
    sessions.swap(touched_);
    for (const SessionId session : sessions) {
        const auto found = feeds_.find(session);
        if (found == feeds_.end()) continue;
        found->second.touched = false;
        send_one(state, session, found->second, leader_now, expired);
    }
}

void SessionFeed::send_one(const ShardState& state, SessionId id, Feed& feed,
                           ClusterTime leader_now, std::vector<Expired>& expired) {
    const auto session = state.session(id);
    if (!session || !session->connection || session->epoch != feed.epoch ||
        !router_.reachable(session->connection->incarnation)) {
        if (!session || session->epoch > feed.epoch) feeds_.erase(id);
        return;
    }
    // Numbers that are settled or dropped are passed over; they take nothing from the credit.
    feed.next = std::max(feed.next, session->first_unacked);
    const uint64_t window_end = session->first_unacked.value() + session->receive_maximum;
    const uint64_t end = std::min(window_end, feed.next.value() + feed.credit);
    DeliveryBatch& batch = router_.outbound().at(*session->connection).deliveries;
    uint32_t read = 0;
    bool more = false;
    bool held = false;  // something waits that may not be sent yet
    const Status status = state.read_queue(
        id, feed.next, kPageEntries, kPageBytes, leader_now, [&](const QueueEntryView& entry) {
            if (feed.sent >= feed.allowed) return false;  // it asks again when it has room
            if (entry.number.value() >= end) {
                held = true;
                return false;
            }
            if (entry.expired) {
                expired.push_back({id, feed.epoch, entry.number});
            } else {
                DeliveryView delivery;
                delivery.connection = *session->connection;
                delivery.session = id;
                delivery.epoch = feed.epoch;
                delivery.number = entry.number;
                delivery.from = std::exchange(feed.told, entry.number.next());
                delivery.dup = entry.dup;
                delivery.pubrec_known = entry.pubrec_known;
                delivery.retain = entry.message.retain;
                delivery.qos = entry.message.qos;
                delivery.message = entry.message;
                delivery.message.message_expiry_s = entry.remaining_expiry_s;
                delivery.subscription_ids = entry.subscription_ids;
                feed.sent += delivery_bytes(delivery);
                batch.add(delivery);
            }
            const uint64_t passed = entry.number.value() + 1 - feed.next.value();
            feed.credit -= static_cast<uint32_t>(std::min<uint64_t>(passed, feed.credit));
            feed.next = entry.number.next();
            more = ++read == kPageEntries;
            return true;
        });
    if (!status.ok()) {
        log_.error("a session's queue cannot be read; its deliveries stop",
                   {{"shard", shard_.value()},
                    {"session", id.value()},
                    {"error", status.error().message}});
        feeds_.erase(id);
        return;
    }
    // With credit left nobody asks again: behind numbers that were dropped or have expired a
    // message may stand beyond the window although the window is not full.
    const bool waits = feed.next.value() >= window_end || (held && feed.credit > 0);
    if (waits && !feed.at_window) {
        feed.at_window = true;
        at_window_.push_back(id);
    }
    // A full page, by count or by bytes, may have more behind it.
    const bool open = feed.next.value() < end && feed.sent < feed.allowed;
    if ((more || read > 0) && feed.next < session->next && open) touch(id);
}

}  // namespace quorate::cluster
