// What a leader reads: it decides nothing here, so the leader's clock may hide what has expired.
#include <algorithm>

#include "cluster/shard/shard_impl.h"
#include "cluster/topics/state_key.h"
#include "proto/base/assert.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {

// Remaining seconds, rounded up: never early (G8).
std::optional<uint32_t> remaining(ClusterTime expires_at, ClusterTime now) {
    if (expires_at.value() == 0) return std::nullopt;
    if (expires_at <= now) return 0;
    return static_cast<uint32_t>((expires_at.value() - now.value() + 999) / 1000);
}

// Reads entries of one queue that left memory: single ones by key, runs of them by a cursor.
class EntryReader {
  public:
    EntryReader(const storage::StateStore& store, SessionId session)
        : store_(store), session_(session) {}

    Result<std::string_view> read(MessageNumber number) {
        const StateKey key = StateKey(Family::Entry).u64(session_.value()).u64(number.value());
        if (++reads_ <= kSingleReads) {
            const Result<bool> found = store_.get(key.view(), value_);
            if (!found.ok()) return found.error();
            if (*found) return std::string_view(value_);
            return corrupt_record("missing queue entry", key.view());
        }
        if (cursor_ == nullptr) {
            const StateKey end = StateKey(Family::Entry).u64(session_.next().value());
            cursor_ = store_.cursor(key.view(), end.view());
        } else {
            cursor_->next();
        }
        if (cursor_->valid() && cursor_->key() != key.view()) cursor_->seek(key.view());
        if (cursor_->valid() && cursor_->key() == key.view()) return cursor_->value();
        if (!cursor_->status().ok()) return cursor_->status().error();
        return corrupt_record("missing queue entry", key.view());
    }

  private:
    static constexpr int kSingleReads = 4;  // making a cursor costs as much as several reads

    const storage::StateStore& store_;
    SessionId session_;
    std::string value_;
    std::unique_ptr<storage::StateCursor> cursor_;
    int reads_ = 0;
};

SessionView view_of(const Session& session) {
    SessionView view;
    view.id = session.id;
    view.client_id = session.client_id;
    view.identity = session.identity;
    view.protocol_version = session.version;
    view.durable = session.durable != nullptr;
    view.epoch = session.epoch;
    view.expiry_s = session.expiry_s;
    view.has_will = session.will != nullptr;
    view.must_let_go = session.waiting != nullptr || session.end_on_detach;
    if (session.expires_at.value() != 0) view.expires_at = session.expires_at;
    if (session.attachment) {
        view.connection = session.attachment->connection;
        view.receive_maximum = session.attachment->receive_maximum;
    }
    if (session.durable) {
        const SessionQueue& queue = session.durable->queue;
        view.first_unacked = queue.first_unacked();
        view.next = queue.next();
        view.mark = queue.mark();
        view.queued = queue.messages();
        view.queued_bytes = queue.bytes();
        view.subscriptions = static_cast<uint32_t>(session.durable->subscriptions.size());
    }
    return view;
}

}  // namespace

Status ShardState::read_queue(SessionId id, MessageNumber from, uint32_t max_count,
                              uint64_t max_bytes, ClusterTime leader_now,
                              const std::function<bool(const QueueEntryView&)>& visit) const {
    ASSERT(impl_->store_ != nullptr, "read before load");
    const Session* session = impl_->sessions_.find(id);
    if (session == nullptr || !session->durable) return {};
    const DurableState& durable = *session->durable;
    EntryReader reader(*impl_->store_, id);
    std::string body;
    EntryRecord record;
    Status status;
    uint64_t bytes = 0;
    uint32_t count = 0;
    durable.queue.for_each(from, [&](MessageNumber number, const QueuedMessage& entry) {
        if (count == max_count || (count > 0 && bytes + entry.bytes > max_bytes)) return false;
        ++count;
        bytes += entry.bytes;
        Result<std::string_view> value = entry.record.text();
        if (entry.record.empty()) value = reader.read(number);
        if (value.ok() && !read_entry(*value, record)) {
            value = corrupt_record(
                "queue entry", StateKey(Family::Entry).u64(id.value()).u64(number.value()).view());
        }
        Result<std::string_view> flat = record.message;
        if (value.ok() && entry.body.value() != 0) {
            flat = impl_->bodies_.read(entry.body, *impl_->store_, body);
        }
        const auto message = value.ok() && flat.ok() ? mqtt::decode_message(*flat) : std::nullopt;
        if (!message) {
            status = !value.ok()  ? value.error()
                     : !flat.ok() ? flat.error()
                                  : corrupt_record("message", std::to_string(number.value()));
            return false;
        }
        QueueEntryView view;
        view.number = number;
        view.packet_id = packet_id_of(number);
        view.message = *message;
        view.message.qos = record.qos;
        view.message.retain = record.retain;
        view.subscription_ids = record.subscription_ids;
        view.remaining_expiry_s = remaining(entry.expires_at, leader_now);
        view.message.message_expiry_s = view.remaining_expiry_s;
        view.dup = number <= durable.queue.mark();
        view.pubrec_known = entry.state == QueuedState::PubrecKnown;
        view.expired = view.remaining_expiry_s == 0U && !view.dup && !view.pubrec_known;
        const auto share = durable.shares.find(entry.share);
        if (share != durable.shares.end()) view.share_filter = share->second;
        return visit(view);
    });
    return status;
}

bool ShardState::may_refuse(const Command& command) const {
    // Its number was consumed: it changes nothing, and its refusal would contradict its answer.
    const Lane& lane = command.header.lane;
    if (lane.lane_class == LaneClass::Leader) return false;
    if (command.header.number < impl_->producers_.expected(lane)) return false;
    const CommandBody& body = command.body;
    // Hand-overs of an outbox and replays were accepted elsewhere.
    if (const auto* enqueue = std::get_if<Enqueue>(&body)) {
        return !enqueue->source && !enqueue->only;
    }
    if (const auto* enqueue = std::get_if<EnqueueGroup>(&body)) return !enqueue->source;
    // Who is owed something must be able to take it; Session Expiry 0 leaves with its connection.
    if (const auto* attach = std::get_if<Attach>(&body)) {
        return attach->session_expiry_s != 0 && !session(attach->client_id);
    }
    // A PUBLISH that was taken before has its PUBREC again: refused, its packet identifier would
    // count as free at one end only.
    if (const auto* put = std::get_if<OutboxPut>(&body)) {
        return !has_received(put->session, put->packet_id);
    }
    return std::holds_alternative<Subscribe>(body);
}

uint64_t ShardState::session_count() const {
    return impl_->sessions_.size();
}

std::optional<SessionView> ShardState::session(SessionId id) const {
    const Session* session = impl_->sessions_.find(id);
    if (session == nullptr) return std::nullopt;
    return view_of(*session);
}

std::optional<SessionView> ShardState::session(std::string_view client_id) const {
    const Session* session = impl_->sessions_.find(client_id);
    if (session == nullptr) return std::nullopt;
    return view_of(*session);
}

bool ShardState::has_received(SessionId session, PacketId packet_id) const {
    const Session* found = impl_->sessions_.find(session);
    return found != nullptr && found->durable &&
           std::ranges::binary_search(found->durable->received, packet_id.value());
}

std::vector<SessionView> ShardState::sessions(SessionId after, uint32_t max) const {
    std::vector<SessionView> out;
    for (const Session* session : impl_->sessions_.ordered(after, max)) {
        out.push_back(view_of(*session));
    }
    return out;
}

std::vector<SubscriptionView> ShardState::subscriptions(SessionId id) const {
    std::vector<SubscriptionView> out;
    const Session* session = impl_->sessions_.find(id);
    if (session == nullptr || !session->durable) return out;
    for (const auto& [filter, subscription] : session->durable->subscriptions) {
        SubscriptionView view;
        view.filter = filter;
        view.qos = subscription.qos;
        view.no_local = subscription.no_local;
        view.retain_as_published = subscription.retain_as_published;
        view.retain_handling = subscription.retain_handling;
        view.subscription_id = subscription.id;
        const SessionId member = subscription.share == 0 ? SessionId() : id;
        const OwedRoute route = impl_->subscriptions_.route({filter, member});
        view.wanted = route.wanted;
        view.made = route.made;
        const auto replay = session->durable->replays.find(filter);
        if (replay != session->durable->replays.end()) view.replay = replay->second;
        out.push_back(std::move(view));
    }
    return out;
}

void ShardState::match(std::string_view topic, uint64_t publisher,
                       const std::function<void(const MatchedSession&)>& visit) const {
    std::vector<Hit> hits;
    impl_->subscriptions_.match(topic, hits);
    std::vector<uint32_t> ids;
    for (std::size_t from = 0; from < hits.size();) {
        const Session* session = hits[from].session;
        MatchedSession match;
        ids.clear();
        bool any = false;
        for (; from < hits.size() && hits[from].session == session; ++from) {
            const Subscription& subscription = hits[from].subscription;
            if (subscription.no_local && publisher == session->publisher) continue;
            any = true;
            match.qos = std::max(match.qos, subscription.qos);
            match.retain_as_published =
                match.retain_as_published || subscription.retain_as_published;
            if (subscription.id != 0) ids.push_back(subscription.id);
        }
        match.away = !session->attached();
        if (!any || (match.away && !impl_->options_.queue_qos0)) continue;
        match.session = session->id;
        match.epoch = session->epoch;
        if (!match.away) match.connection = session->attachment->connection;
        match.subscription_ids = ids;
        visit(match);
    }
}

// What is owed.

void ShardState::let_gos(std::vector<LetGo>& out) const {
    for (const Session* session : impl_->sessions_.ordered(SessionId(), impl_->sessions_.size())) {
        const bool asked = session->waiting || session->end_on_detach;
        if (!asked || !session->attached()) continue;
        out.push_back({session->attachment->connection, session->id, session->epoch});
    }
}

std::vector<Incarnation> ShardState::attached_incarnations() const {
    std::vector<Incarnation> out = impl_->sessions_.incarnations();
    const auto add = [&out](const std::vector<Incarnation>& more) {
        out.insert(out.end(), more.begin(), more.end());
    };
    add(impl_->outbox_.nodes());
    add(impl_->routes_.nodes());
    add(impl_->producers_.incarnations());
    add(impl_->repeats_.publishers());
    for (const auto& [name, group] : impl_->groups_.all()) {
        for (const GroupMember& member : group.members) {
            if (!member.durable()) out.push_back(member.member.node);
        }
    }
    std::ranges::sort(out);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

std::vector<WantedRoute> ShardState::wanted_routes(RouteSerial after, uint32_t max) const {
    std::vector<WantedRoute> out;
    const ShardLayout& layout = impl_->identity_.layout;
    const ShardId here = impl_->identity_.shard;
    impl_->subscriptions_.owed(after, [&](const RouteKey& key, const OwedRoute& owed) {
        if (out.size() == max) return false;
        WantedRoute wanted;
        wanted.member = key.member;
        wanted.made_filter = key.filter;
        wanted.route.filter = key.filter;
        wanted.route.best_qos = owed.best_qos;
        wanted.route.remove = !owed.present;
        wanted.route.serial = owed.wanted;
        const auto group = shared_group_of(key.filter);
        if (group && key.member.value() != 0) {
            wanted.shard = shard_of_group(*group, layout);
            wanted.route.destination = Destination::to_session(here, key.member);
            out.push_back(std::move(wanted));
            return true;
        }
        wanted.route.destination = Destination::to_shard(here);
        if (group) {
            wanted.route.destination = Destination::to_group(here, *group);
            wanted.route.filter.remove_prefix(key.filter.size() - filter_of_group(*group).size());
        }
        const auto owner = shard_of_filter(wanted.route.filter, layout);
        wanted.at = owner ? WantedRoute::At::Shard : WantedRoute::At::Wildcards;
        wanted.shard = owner.value_or(ShardId());
        out.push_back(std::move(wanted));
        return true;
    });
    return out;
}

std::vector<OutboxTarget> ShardState::outbox_targets() const {
    return impl_->outbox_.targets();
}

Status ShardState::outbox_window(const OutboxTarget& target, OutboxNumber after, uint32_t max,
                                 ClusterTime leader_now,
                                 const std::function<void(const OutboxEntryView&)>& visit) const {
    ASSERT(impl_->store_ != nullptr, "read before load");
    Status status;
    std::string scratch;
    impl_->outbox_.window(target, after, max, [&](OutboxSource source, const OutboxEntry& entry) {
        const auto flat = impl_->bodies_.read(entry.body, *impl_->store_, scratch);
        const auto message = flat.ok() ? mqtt::decode_message(*flat) : std::nullopt;
        if (!message) {
            status = flat.ok() ? corrupt_record("message", *flat) : flat.error();
            return false;
        }
        OutboxEntryView view;
        view.source = std::move(source);
        view.message = *message;
        view.message.message_expiry_s = remaining(entry.expires_at, leader_now);
        view.expired = view.message.message_expiry_s == 0U;
        view.group = entry.group;
        view.member = entry.member;
        visit(view);
        return true;
    });
    return status;
}

// Topics and groups.

Result<bool> ShardState::retained_get(std::string_view topic, ClusterTime leader_now,
                                      const std::function<void(const RetainedView&)>& visit) const {
    ASSERT(impl_->store_ != nullptr, "read before load");
    return impl_->retained_.get(topic, leader_now, *impl_->store_,
                                [&visit](const mqtt::MessageView& message) {
                                    visit({message});
                                    return true;
                                });
}

Result<std::optional<std::string>> ShardState::retained_scan(
    std::string_view filter, std::string_view cursor, uint32_t steps, ClusterTime leader_now,
    const std::function<bool(const RetainedView&)>& visit) const {
    ASSERT(impl_->store_ != nullptr, "read before load");
    return impl_->retained_.scan(
        filter, cursor, steps, leader_now, *impl_->store_,
        [&visit](const mqtt::MessageView& message) { return visit({message}); });
}

std::optional<ShardState::GroupView> ShardState::group(std::string_view name) const {
    const SharedGroup* group = impl_->groups_.find(name);
    if (group == nullptr) return std::nullopt;
    GroupView view;
    view.group = group->name;
    view.members = group->members;
    view.any_durable = group->any_durable();
    view.next = group->next;
    view.first = group->messages.empty() ? group->next : group->messages.begin()->first;
    view.queued = group->messages.size();
    return view;
}

std::vector<std::string> ShardState::groups() const {
    std::vector<std::string> out;
    for (const auto& [name, group] : impl_->groups_.all())
        out.push_back(name);
    return out;
}

Status ShardState::read_group(
    std::string_view name, MessageNumber from, uint32_t max_count, ClusterTime leader_now,
    const std::function<bool(MessageNumber, const mqtt::MessageView&)>& visit) const {
    ASSERT(impl_->store_ != nullptr, "read before load");
    const SharedGroup* group = impl_->groups_.find(name);
    if (group == nullptr) return {};
    std::string scratch;
    uint32_t count = 0;
    for (auto at = group->messages.lower_bound(from); at != group->messages.end(); ++at) {
        const GroupMessage& queued = at->second;
        if (queued.expires_at.value() != 0 && queued.expires_at <= leader_now) continue;
        if (count++ == max_count) break;
        const auto flat = impl_->bodies_.read(queued.body, *impl_->store_, scratch);
        if (!flat.ok()) return flat.error();
        auto message = mqtt::decode_message(*flat);
        if (!message) return corrupt_record("message", *flat);
        message->message_expiry_s = remaining(queued.expires_at, leader_now);
        if (!visit(at->first, *message)) break;
    }
    return {};
}

}  // namespace quorate::cluster
