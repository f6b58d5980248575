// Subscriptions, the routes they make, the retained messages that follow, and membership in shared
// groups: R-4, MQTT 5 §3.8, §3.10, §3.3.1.3, §4.8.2.
#include <algorithm>
#include <set>

#include "cluster/mutants.h"
#include "cluster/shard/shard_impl.h"
#include "cluster/topics/route_records.h"
#include "cluster/topics/state_key.h"
#include "proto/mqtt/topic.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {

std::string share_filter_of(std::string_view group) {
    return std::string("$share/").append(group);
}

// A free number for a shared subscription; 0 when the session has as many as there are numbers.
uint16_t take_share_number(DurableState& durable, std::string_view filter) {
    for (const auto& [number, name] : durable.shares) {
        if (name == filter) return number;
    }
    constexpr std::size_t kSharesMax = 60'000;
    if (durable.shares.size() >= kSharesMax) return 0;
    while (durable.next_share == 0 || durable.shares.contains(durable.next_share)) {
        ++durable.next_share;
    }
    const uint16_t number = durable.next_share;
    durable.next_share = static_cast<uint16_t>(number == 65'535 ? 1 : number + 1);
    durable.shares.emplace(number, filter);
    return number;
}

// Numbers whose subscription is gone stay while entries may still name them.
void forget_unused_shares(DurableState& durable) {
    const auto subscribed = [&durable](const auto& share) {
        return durable.subscriptions.contains(share.second);
    };
    if (std::ranges::all_of(durable.shares, subscribed)) return;
    std::set<uint16_t> used;
    durable.queue.for_each(MessageNumber(), [&used](MessageNumber, const QueuedMessage& entry) {
        if (entry.share != 0) used.insert(entry.share);
        return true;
    });
    std::erase_if(durable.shares, [&](const auto& share) {
        return !subscribed(share) && !used.contains(share.first);
    });
}

}  // namespace

void ShardState::Impl::on(const Subscribe& body) {
    Session* session = attached_session(body.session, body.epoch);
    if (session == nullptr) return;
    SubscribeResult result;
    result.filters.reserve(body.requests.size());
    for (const SubscriptionRequest& request : body.requests) {
        result.filters.push_back(subscribe(*session, request, body.shared_max));
        if (result.filters.back().wait_for.value() != 0) actions_->routes_wanted = true;
    }
    answer(AnswerCode::Applied, std::move(result));
}

RequestedSubscription ShardState::Impl::subscribe(Session& session,
                                                  const SubscriptionRequest& request,
                                                  uint32_t shared_max) {
    RequestedSubscription result;
    const auto parsed = mqtt::parse_filter(request.filter);
    if (!parsed) {
        result.code = mqtt::ReasonCode::TopicFilterInvalid;
        return result;
    }
    DurableState& durable = *session.durable;
    const auto found = durable.subscriptions.find(request.filter);
    result.is_new = found == durable.subscriptions.end();
    if (result.is_new && durable.subscriptions.size() >= options_.subscriptions_max) {
        result.code = mqtt::ReasonCode::QuotaExceeded;
        return result;
    }
    const auto is_shared = [](const auto& known) { return known.second.share != 0; };
    if (result.is_new && parsed->shared() &&
        std::ranges::count_if(durable.subscriptions, is_shared) >= int64_t{shared_max}) {
        result.code = mqtt::ReasonCode::QuotaExceeded;
        return result;
    }
    Subscription subscription;
    subscription.qos = request.qos;
    subscription.no_local = request.no_local;
    subscription.retain_as_published = request.retain_as_published;
    subscription.retain_handling = request.retain_handling;
    subscription.id = request.subscription_id;
    if (parsed->shared()) {
        result = subscribe_shared(session, request, subscription);
        if (mqtt::is_failure(result.code)) return result;
        subscription.share = take_share_number(durable, request.filter);
    } else {
        const RouteSerial before = subscriptions_.last_serial();
        const OwedRoute& route = subscriptions_.add(session, request.filter, subscription, *batch_);
        result.code = static_cast<mqtt::ReasonCode>(request.qos);
        result.wait_for = route.wait_for();
        const bool early = mutated(RuleMutant::SubackEarly) && route.wanted <= before;
        if (early) result.wait_for = RouteSerial();
    }
    if (result.is_new) ++subscription_count_;
    durable.subscriptions[std::string(request.filter)] = subscription;
    batch_->put_with(
        StateKey(Family::Subscription).u64(session.id.value()).last_text(request.filter).view(),
        [&](RecordWriter& out) { write_subscription(out, subscription); });
    const bool wanted =
        request.retain_handling == mqtt::RetainHandling::Send ||
        (request.retain_handling == mqtt::RetainHandling::SendIfNew && result.is_new);
    // Without a new one the rest of an earlier one is still owed.
    if (request.replay && wanted && !parsed->shared()) {
        result.replay = {session.epoch, header_->number};
        const auto shard = shard_of_filter(request.filter, identity_.layout);
        set_replay(session, request.filter,
                   PendingReplay{result.replay, shard.value_or(ShardId()), {}});
    }
    return result;
}

void ShardState::Impl::set_replay(Session& session, std::string_view filter,
                                  std::optional<PendingReplay> replay) {
    auto& replays = session.durable->replays;
    const StateKey key = StateKey(Family::Replay).u64(session.id.value()).last_text(filter);
    const auto found = replays.find(filter);
    if (!replay) {
        if (found == replays.end()) return;
        batch_->remove(key.view());
        replays.erase(found);
        return;
    }
    if (found != replays.end() && found->second == *replay) return;
    batch_->put_with(key.view(), [&](RecordWriter& out) { write_replay(out, *replay); });
    replays.insert_or_assign(std::string(filter), std::move(*replay));
}

RequestedSubscription ShardState::Impl::subscribe_shared(Session& session,
                                                         const SubscriptionRequest& request,
                                                         Subscription subscription) {
    RequestedSubscription result;
    result.shared = true;
    result.member = session.id;
    DurableState& durable = *session.durable;
    result.is_new = !durable.subscriptions.contains(request.filter);
    forget_unused_shares(durable);
    if (take_share_number(durable, request.filter) == 0) {
        result.code = mqtt::ReasonCode::QuotaExceeded;
        return result;
    }
    sessions_.mark(session, SessionTable::kCursor);
    const OwedRoute route = subscriptions_.set_shared({std::string(request.filter), session.id},
                                                      true, subscription.qos, *batch_);
    result.code = static_cast<mqtt::ReasonCode>(subscription.qos);
    result.wait_for = route.wait_for();
    return result;
}

void ShardState::Impl::on(const Unsubscribe& body) {
    Session* session = attached_session(body.session, body.epoch);
    if (session == nullptr) return;
    DurableState& durable = *session->durable;
    UnsubscribeResult result;
    result.codes.reserve(body.filters.size());
    for (const std::string_view filter : body.filters) {
        const auto found = durable.subscriptions.find(filter);
        if (found == durable.subscriptions.end()) {
            result.codes.push_back(mqtt::ReasonCode::NoSubscriptionExisted);
            continue;
        }
        if (found->second.share != 0) return_shared(*session, found->second.share);
        remove_from_index(*session, filter, found->second);
        batch_->remove(
            StateKey(Family::Subscription).u64(session->id.value()).last_text(filter).view());
        set_replay(*session, filter, std::nullopt);
        durable.subscriptions.erase(found);
        --subscription_count_;
        result.codes.push_back(mqtt::ReasonCode::Success);
    }
    answer(AnswerCode::Applied, std::move(result));
}

void ShardState::Impl::remove_from_index(Session& session, std::string_view filter,
                                         const Subscription& subscription) {
    const OwedRoute route = subscription.share != 0
                                ? subscriptions_.set_shared({std::string(filter), session.id},
                                                            false, mqtt::QoS::AtMostOnce, *batch_)
                                : subscriptions_.remove(session, filter, *batch_);
    if (route.wait_for().value() != 0) actions_->routes_wanted = true;
}

uint32_t ShardState::Impl::replay_room(const SessionQueue& queue) const {
    const uint32_t half = options_.queue_messages_max / 2;
    if (queue.messages() == 0) return std::max<uint32_t>(1, half);
    const bool full = queue.messages() >= half || queue.bytes() >= options_.queue_bytes_max / 2 ||
                      queue.span() >= span_max() / 2;
    return full ? 0 : half - static_cast<uint32_t>(queue.messages());
}

uint32_t ShardState::replay_room(SessionId id) const {
    constexpr uint32_t kPage = 256;
    const Session* session = impl_->sessions_.find(id);
    if (session == nullptr || !session->durable) return kPage;  // the Replay is answered NotFound
    const SessionQueue& queue = session->durable->queue;
    const uint32_t room = std::min(kPage, impl_->replay_room(queue));
    const uint32_t worth = std::min(kPage, impl_->options_.queue_messages_max / 4);
    return queue.messages() == 0 || room >= worth ? room : 0;
}

void ShardState::Impl::on(const Replay& body) {
    Session* session = sessions_.find(body.session);
    const PendingReplay* owed = nullptr;
    if (session != nullptr && session->durable) {
        const auto found = session->durable->replays.find(body.filter);
        if (found != session->durable->replays.end()) owed = &found->second;
    }
    if (owed == nullptr || owed->id != body.id) {
        answer(AnswerCode::NotFound);
        return;
    }
    ReplayResult result;
    result.left = *owed;
    if (owed->shard != body.from.shard || owed->after != body.from.after) {
        // Two connections asked for the same page; the first to come was taken.
        answer(AnswerCode::Applied, std::move(result));
        return;
    }
    const auto subscribed = session->durable->subscriptions.find(body.filter);
    ASSERT(subscribed != session->durable->subscriptions.end(), "a replay without subscription");
    result.full = !take_replayed(*session, subscribed->second, body, *result.left);
    if (!result.full && body.next) {
        result.left = PendingReplay{body.id, body.next->shard, std::string(body.next->after)};
    } else if (!result.full) {
        result.left.reset();
    }
    set_replay(*session, body.filter, result.left);
    answer(AnswerCode::Applied, std::move(result));
}

// False when there was no room for all; `left` then begins behind the last that was taken.
bool ShardState::Impl::take_replayed(Session& session, const Subscription& subscription,
                                     const Replay& body, PendingReplay& left) {
    const SessionQueue& queue = session.durable->queue;
    ids_.clear();
    if (subscription.id != 0) ids_.push_back(subscription.id);
    for (const std::string_view flat : body.messages) {
        const auto view = decode(flat);
        if (!view) continue;
        Delivery delivery;
        delivery.session = &session;
        delivery.qos = std::min(subscription.qos, view->qos);
        delivery.retain = true;
        delivery.id_count = ids_.size();
        // Of an empty queue the first message may have all.
        const bool fits =
            queue.messages() == 0 ||
            (replay_room(queue) > 0 && queue.bytes() + flat.size() <= options_.queue_bytes_max / 2);
        if (delivery.qos != mqtt::QoS::AtMostOnce && !fits) return false;
        deliveries_.assign(1, delivery);
        EnqueueResult counted;
        deliver({flat, *view, expiry_of(view->message_expiry_s)}, counted);
        left.shard = shard_of_topic(view->topic, identity_.layout);
        left.after = view->topic;
    }
    return true;
}

void ShardState::Impl::on(const Made& body) {
    for (const MadeRoute& made : body.routes) {
        const RouteKey key{std::string(made.filter), made.member};
        if (!subscriptions_.made(key, made.serial, *batch_)) continue;
        actions_->made.push_back({key.filter, key.member, made.serial});
        // The group's leader takes a new member for connected; one that has left since was unknown
        // to it when it did.
        if (made.member.value() != 0) actions_->presence.push_back(made.member);
    }
    answer(AnswerCode::Applied);
}

void ShardState::Impl::on(const Route& body) {
    const auto parsed = mqtt::parse_filter(body.filter);
    const DestinationKind kind = body.destination.kind;
    const bool member = kind == DestinationKind::Session || kind == DestinationKind::Connection;
    if (!parsed || parsed->shared() != member || body.serial.value() == 0) {
        answer(AnswerCode::Malformed);
        return;
    }
    // Late from a node that is down: it must not come back after NodeDown removed it.
    const bool of_node = kind == DestinationKind::Node || kind == DestinationKind::Connection;
    if (of_node && producers_.down(body.destination.node)) {
        answer(AnswerCode::Fenced);
        return;
    }
    if (member) {
        change_member(body);
        return;
    }
    const RouteChange change{body.filter, body.destination, body.best_qos, body.remove,
                             body.serial};
    if (routes_.change(change)) {
        actions_->topics_changed = true;
        if (body.remove) {
            remove_route(*batch_, body.filter, body.destination);
        } else {
            put_route(*batch_, body.filter, {body.destination, body.best_qos, body.serial});
        }
    }
    answer(AnswerCode::Applied, RouteResult{});
}

void ShardState::Impl::change_member(const Route& body) {
    const std::string_view name = *shared_group_of(body.filter);
    const bool known = groups_.find(name) != nullptr;
    if (known || !body.remove) {
        SharedGroup& group = groups_.get(name);
        const GroupMember member{body.destination, body.best_qos, body.serial};
        if (groups_.change_member(group, member, body.remove)) group_changed(group);
    }
    // A member counts once the group's own route is made; leaving waits for nothing.
    const OwedRoute route = subscriptions_.route({share_filter_of(name), SessionId()});
    answer(AnswerCode::Applied, RouteResult{body.remove ? RouteSerial() : route.wait_for()});
}

// The group's own route follows its members; without members it ends and its messages die.
void ShardState::Impl::group_changed(SharedGroup& group) {
    const auto best = SharedGroups::best_qos(group);
    const OwedRoute route =
        subscriptions_.set_shared({share_filter_of(group.name), SessionId()}, best.has_value(),
                                  best.value_or(mqtt::QoS::AtMostOnce), *batch_);
    if (route.wait_for().value() != 0) actions_->routes_wanted = true;
    if (best) {
        if (!group.messages.empty()) actions_->group_messages.push_back(group.name);
        return;
    }
    drop_group_messages(group);
    groups_.erase(group, *batch_);
}

}  // namespace quorate::cluster
