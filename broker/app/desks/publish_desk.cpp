#include "broker/app/desks/publish_desk.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <optional>

#include "broker/app/client.h"
#include "broker/app/front_end.h"
#include "proto/base/assert.h"

namespace quorate::broker {
namespace {

// From so many receivers on a message is encoded once for all of them.
constexpr std::size_t kShareFrom = 2;
// A buffer that one large message has grown beyond this is given back.
constexpr std::size_t kKeepBytes = 64 << 10;

}  // namespace

PublishDesk::PublishDesk(FrontEnd& front_end, cluster::LoopPort& port, LocalSubscriptions& local)
    : front_end_(front_end),
      port_(port),
      among_others_(port.owner_distributes()),
      cache_(local, port) {}

PublishVerdict PublishDesk::publish(Client& from, const InboundPublish& publish) {
    if (among_others_) return in_stream(&from, publish);
    const std::string_view topic = publish.message.topic;
    if (publish.message.retain || (!held_.empty() && held_.contains(std::string(topic)))) {
        return by_owner(&from, publish);
    }
    return route(from, publish, plan_for(topic));
}

const RoutePlan& PublishDesk::plan_for(std::string_view topic) {
    constexpr uint32_t kSampleMask = 63;
    if ((++planned_ & kSampleMask) != 0) [[likely]]
        return cache_.plan(topic);
    const auto started = std::chrono::steady_clock::now();
    const RoutePlan& plan = cache_.plan(topic);
    front_end_.note_match(std::chrono::steady_clock::now() - started,
                          plan.local.size() + plan.remote.shards.size() +
                              plan.remote.groups.size() +
                              static_cast<std::size_t>(std::popcount(plan.remote.loops)));
    return plan;
}

PublishVerdict PublishDesk::route(Client& from, const InboundPublish& publish,
                                  const RoutePlan& plan) {
    const mqtt::MessageView& message = publish.message;
    const bool answered = message.qos != mqtt::QoS::AtMostOnce;
    if (plan.cut_off) {
        front_end_.note_cut_off();
        // Success would be a promise to subscribers that were not looked for.
        if (answered) return {PublishVerdict::Kind::Done, mqtt::ReasonCode::QuotaExceeded};
    }
    const bool to_owner = answered && plan.commits;
    const bool to_others = plan.remote.loops != 0 || plan.remote.replicated();
    if (answered && plan.remote.loops != 0 && !port_.loops_ready(plan.remote.loops)) {
        return {PublishVerdict::Kind::Busy, {}};
    }
    cluster::Ticket ticket = 0;
    if (answered && to_others) ticket = open(&from, publish);
    uint32_t awaited = 0;
    // What can be refused comes first: a refused publish has gone nowhere.
    if (to_owner) {
        if (!port_.publish_to_owner(ticket, message, true)) {
            close(ticket);
            return {PublishVerdict::Kind::Busy, {}};
        }
        ++awaited;
    } else {
        bool first = true;
        for (const cluster::GroupRoute& group : plan.remote.groups) {
            if (port_.publish_to_group(group, ticket, message)) {
                if (answered) ++awaited;
            } else if (first) {
                close(ticket);
                return {PublishVerdict::Kind::Busy, {}};
            } else {
                // Some groups have it: the client's resend would repeat it there, a refusal not.
                find(ticket)->code = mqtt::ReasonCode::QuotaExceeded;
            }
            first = false;
        }
        for (const cluster::ShardRoute& shard : plan.remote.shards) {
            port_.publish_to_shard(shard.shard, message);
        }
    }
    const uint32_t receivers = offer_local(plan, message);
    for (uint64_t loops = plan.remote.loops; loops != 0; loops &= loops - 1) {
        const LoopId loop(static_cast<uint16_t>(std::countr_zero(loops)));
        port_.publish_to_loop(loop, ticket, message);
        if (answered) ++awaited;
    }
    if (awaited > 0) {
        Waiting& waiting = *find(ticket);
        waiting.awaited = awaited;
        waiting.receivers = receivers;
        return {PublishVerdict::Kind::Pending, {}};
    }
    if (ticket != 0) close(ticket);
    if (receivers > 0 || to_others) return {PublishVerdict::Kind::Done, mqtt::ReasonCode::Success};
    ++unmatched_;
    return {PublishVerdict::Kind::Done, mqtt::ReasonCode::NoMatchingSubscribers};
}

PublishVerdict PublishDesk::by_owner(Client* from, const InboundPublish& publish) {
    const bool answered = publish.message.qos != mqtt::QoS::AtMostOnce;
    const cluster::Ticket ticket = open(answered ? from : nullptr, publish);
    if (!port_.publish_to_owner(ticket, publish.message, false)) {
        close(ticket);
        return {PublishVerdict::Kind::Busy, {}};
    }
    Waiting& waiting = *find(ticket);
    waiting.awaited = 1;
    waiting.held = true;
    waiting.topic = publish.message.topic;
    ++held_[waiting.topic];
    return {answered ? PublishVerdict::Kind::Pending : PublishVerdict::Kind::Done, {}};
}

PublishVerdict PublishDesk::in_stream(Client* from, const InboundPublish& publish) {
    const bool answered = publish.message.qos != mqtt::QoS::AtMostOnce;
    const cluster::Ticket ticket = answered ? open(from, publish) : 0;
    if (!port_.publish_to_owner(ticket, publish.message, false)) {
        if (answered) close(ticket);
        return {PublishVerdict::Kind::Busy, {}};
    }
    if (!answered) return {PublishVerdict::Kind::Done, {}};
    find(ticket)->awaited = 1;
    return {PublishVerdict::Kind::Pending, {}};
}

void PublishDesk::publish_own(const mqtt::MessageView& message) {
    InboundPublish publish;
    publish.message = message;
    (void)(among_others_ ? in_stream(nullptr, publish) : by_owner(nullptr, publish));
}

void PublishDesk::gone(const Client& client) {
    if (among_others_) port_.publisher_gone(client.publisher());
}

uint32_t PublishDesk::offer_local(const RoutePlan& plan, const mqtt::MessageView& message) {
    if (plan.local.empty()) return 0;
    const LoopTime now = front_end_.now();
    Offer offer;
    offer.message = &message;
    SharedBytes shared;
    if (plan.local.size() >= kShareFrom) {
        encoded_.begin(message);
        offer.cache = &encoded_;
        if (message.qos != mqtt::QoS::AtMostOnce) {
            flat_.clear();
            mqtt::encode_message(flat_, message);
            shared = SharedBytes(as_bytes(flat_));
            offer.shared = &shared;
            if (flat_.capacity() > kKeepBytes) std::string().swap(flat_);
        }
    }
    uint32_t receivers = 0;
    for (const LocalTarget& target : plan.local) {
        Client* client = front_end_.client(target.client);
        if (client == nullptr) continue;
        const bool own = message.publisher == client->publisher();
        if (own && !target.own) continue;
        offer.qos = std::min(message.qos, own ? target.own_qos : target.qos);
        offer.retain =
            message.retain && (own ? target.own_retain_as_published : target.retain_as_published);
        offer.subscription_ids = {plan.subscription_ids.data() + target.ids_begin,
                                  own ? target.own_ids_count : target.ids_count};
        client->channel().offer(now, offer);
        ++receivers;
    }
    return receivers;
}

void PublishDesk::on_publishes(const cluster::PublishBatch& batch) {
    batch.for_each([&](cluster::Ticket ticket, uint8_t, const mqtt::MessageView& message) {
        const uint32_t receivers = offer_local(cache_.local_plan(message.topic), message);
        if (ticket != 0) {
            port_.taken(batch.from, {ticket, receivers, mqtt::ReasonCode::Success});
        }
    });
}

void PublishDesk::on_taken(const cluster::TakenBatch& batch) {
    for (const auto& taken : batch.taken)
        arrived(taken.ticket, taken.receivers, taken.code);
}

void PublishDesk::arrived(cluster::Ticket ticket, uint32_t receivers, mqtt::ReasonCode code) {
    Waiting* waiting = find(ticket);
    if (waiting == nullptr) return;
    waiting->receivers += receivers;
    if (code != mqtt::ReasonCode::Success) waiting->code = code;
    if (--waiting->awaited > 0) return;
    answer(*waiting);
    close(ticket);
}

void PublishDesk::answer(Waiting& waiting) {
    if (waiting.client_generation == 0) return;
    Client* client = front_end_.client(waiting.client);
    if (client == nullptr || client->generation() != waiting.client_generation) return;
    mqtt::ReasonCode code = waiting.code;
    if (code == mqtt::ReasonCode::Success && waiting.receivers == 0) {
        code = mqtt::ReasonCode::NoMatchingSubscribers;
        ++unmatched_;
    }
    front_end_.note_ack(waiting.qos, waiting.since);
    client->channel().on_published(waiting.channel_ticket, code);
    front_end_.after_event(*client);
}

void PublishDesk::sweep(LoopTime now, LoopTime limit) {
    for (std::size_t i = 0; i < tickets_.size(); ++i) {
        Waiting& waiting = tickets_[i];
        if (!waiting.in_use || waiting.client_generation == 0 || now - waiting.since < limit) {
            continue;
        }
        waiting.code = mqtt::ReasonCode::QuotaExceeded;
        answer(waiting);
        // Its place stays taken until the answer that is still owed comes, so that a late one
        // cannot be mistaken for that of a newer publish, and its topic stays held.
        tickets_[i].client_generation = 0;
    }
}

cluster::Ticket PublishDesk::open(Client* from, const InboundPublish& publish) {
    uint32_t index = 0;
    if (free_.empty()) {
        index = static_cast<uint32_t>(tickets_.size());
        tickets_.emplace_back();
    } else {
        index = free_.back();
        free_.pop_back();
    }
    Waiting& waiting = tickets_[index];
    waiting.in_use = true;
    waiting.client = from == nullptr ? 0 : from->slot();
    waiting.client_generation = from == nullptr ? 0 : from->generation();
    waiting.channel_ticket = publish.ticket;
    waiting.qos = publish.message.qos;
    waiting.awaited = 0;
    waiting.receivers = 0;
    waiting.code = mqtt::ReasonCode::Success;
    waiting.held = false;
    waiting.since = front_end_.now();
    return (static_cast<uint64_t>(waiting.generation) << 32) | (uint64_t{index} + 1);
}

PublishDesk::Waiting* PublishDesk::find(cluster::Ticket ticket) {
    const uint64_t index = (ticket & 0xFFFFFFFFU) - 1;
    if (ticket == 0 || index >= tickets_.size()) return nullptr;
    Waiting& waiting = tickets_[index];
    if (!waiting.in_use || waiting.generation != ticket >> 32) return nullptr;
    return &waiting;
}

void PublishDesk::close(cluster::Ticket ticket) {
    Waiting* waiting = find(ticket);
    if (waiting == nullptr) return;
    if (waiting->held) {
        const auto held = held_.find(waiting->topic);
        ASSERT(held != held_.end(), "a held topic is in the table");
        if (--held->second == 0) held_.erase(held);
        waiting->topic.clear();
    }
    waiting->in_use = false;
    ++waiting->generation;
    free_.push_back(static_cast<uint32_t>((ticket & 0xFFFFFFFFU) - 1));
}

}  // namespace quorate::broker
