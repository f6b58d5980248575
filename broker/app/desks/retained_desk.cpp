#include "broker/app/desks/retained_desk.h"

#include <algorithm>
#include <string>
#include <vector>

#include "broker/app/client.h"
#include "broker/app/front_end.h"
#include "cluster/topics/destination.h"
#include "proto/base/assert.h"
#include "proto/mqtt/message.h"

namespace quorate::broker {
namespace {

constexpr uint32_t kPage = 256;  // messages

ReplaySchedule::Who who_of(const Client& client) {
    return {client.slot(), client.generation()};
}

mqtt::MessageView read(const SharedBytes& flat) {
    const auto message = mqtt::decode_message(flat.text());
    ASSERT(message.has_value(), "a retained message of this process is well formed");
    return *message;
}

}  // namespace

Client* RetainedDesk::client_of(ReplaySchedule::Who who) {
    Client* client = front_end_.client(who.slot);
    const bool there =
        client != nullptr && client->generation() == who.generation && client->attached_;
    return there ? client : nullptr;
}

void RetainedDesk::begin(Client& client, const SubscribeEntry& entry, uint32_t subscription_id) {
    ReplaySchedule::Replay replay;
    replay.entry = entry;
    replay.subscription_id = subscription_id;
    if (const auto shard = cluster::shard_of_filter(entry.filter, port_.layout())) {
        replay.todo.push_back({*shard, {}});
    } else if (among_others_) {
        // One at a time, since each may be led elsewhere; from the last on, as `todo` is taken.
        for (uint32_t s = port_.layout().shards; s > 0; --s)
            replay.todo.push_back({ShardId(s - 1), {}});
    } else {
        replay.whole_worker = true;
        // The lowest shard of each worker: the scan goes on from there over its others.
        std::vector<bool> seen(port_.workers(), false);
        for (uint32_t s = 0; s < port_.layout().shards; ++s) {
            const WorkerId worker = port_.worker_of(ShardId(s));
            if (seen[worker.value()]) continue;
            seen[worker.value()] = true;
            replay.todo.push_back({ShardId(s), {}});
        }
    }
    add(client, std::move(replay));
}

void RetainedDesk::go_on(Client& client, std::string_view filter,
                         const cluster::PendingReplay& from) {
    ReplaySchedule::Replay replay;
    replay.entry.filter = filter;
    replay.id = from.id;
    replay.noted = {from.shard, from.after};
    replay.todo.push_back({from.shard, from.after});
    add(client, std::move(replay));
}

void RetainedDesk::add(Client& client, ReplaySchedule::Replay&& replay) {
    ++begun_;
    if (schedule_.busy(pages_max_)) ++delayed_;
    schedule_.add(who_of(client), std::move(replay));
    ask_next();
}

void RetainedDesk::cancel(const Client& client, std::string_view filter) {
    schedule_.cancel(who_of(client), filter);
    ask_next();
}

void RetainedDesk::drop(const Client& client) {
    schedule_.drop(who_of(client));
}

void RetainedDesk::ask_next() {
    while (const auto who = schedule_.next(pages_max_)) {
        Client* client = client_of(*who);
        if (client == nullptr) {
            schedule_.drop(*who);
            continue;
        }
        const ReplaySchedule::Replay& replay = *schedule_.front(*who);
        const uint32_t messages = room(*client, replay.entry);
        client->replay_waits_ = messages == 0;
        if (messages == 0) {
            schedule_.wait(*who);
        } else {
            ask(*client, replay, messages);
        }
    }
}

void RetainedDesk::ask(Client& client, const ReplaySchedule::Replay& replay, uint32_t room) {
    cluster::RetainedQuery query;
    query.token = next_token_++;
    query.filter = replay.entry.filter;
    query.at = replay.todo.back();
    query.whole_worker = replay.whole_worker;
    if (client.durable_) {
        query.durable = cluster::RetainedQuery::Durable{
            client.shard_, client.session_, replay.entry.filter, replay.id, replay.noted, {}};
        if (!cluster::shard_of_filter(replay.entry.filter, port_.layout())) {
            pass_empty_shards(query);
        }
    } else {
        query.room = room;
    }
    schedule_.ask(who_of(client), query.token);
    port_.retained(query);
}

// The last page is asked for also where nothing is retained: its end has to be noted.
void RetainedDesk::pass_empty_shards(cluster::RetainedQuery& query) {
    if (among_others_) {  // what others hold is not known here
        const ShardId next = query.at.shard.next();
        if (next.value() < port_.layout().shards) query.durable->then = next;
        return;
    }
    const auto filled = port_.next_retained(query.at.shard);
    if (filled && *filled != query.at.shard) query.at = {*filled, {}};
    query.durable->then = port_.next_retained(query.at.shard.next());
}

void RetainedDesk::on_page(const cluster::RetainedPage& page) {
    ReplaySchedule::Who who;
    ReplaySchedule::Replay* replay = schedule_.arrived(page.token, who);
    if (replay != nullptr) {
        Client* client = client_of(who);
        if (client == nullptr) {
            schedule_.drop(who);
        } else {
            const Then then = take(*client, *replay, page);
            client->replay_waits_ = then == Then::Wait;
            schedule_.settle(who, then);
        }
    }
    ask_next();
}

void RetainedDesk::on_moved(ShardId shard) {
    bool any = false;
    for (const ReplaySchedule::Page& page : schedule_.under_way()) {
        const Client* client = client_of(page.who);
        const bool by_session = client != nullptr && client->durable_ && client->shard_ == shard;
        if (!by_session && page.replay->todo.back().shard != shard) continue;
        schedule_.lost(page.token);
        any = true;
    }
    if (any) ask_next();
}

RetainedDesk::Then RetainedDesk::take(Client& client, ReplaySchedule::Replay& replay,
                                      const cluster::RetainedPage& page) {
    cluster::RetainedCursor& at = replay.todo.back();
    for (const SharedBytes& flat : page.messages) {
        if (!takes(client, replay.entry, flat.size())) return Then::Wait;
        const std::string_view topic = read(flat).topic;
        at = {cluster::shard_of_topic(topic, port_.layout()), std::string(topic)};
        offer(client, replay, flat);
    }
    replay.todo.pop_back();
    if (page.next) replay.todo.push_back(*page.next);
    if (page.next && page.noted) replay.noted = *page.next;
    if (replay.todo.empty()) return Then::Done;
    return page.full ? Then::Wait : Then::GoOn;
}

void RetainedDesk::offer(Client& client, const ReplaySchedule::Replay& replay,
                         const SharedBytes& flat) {
    const mqtt::MessageView message = read(flat);
    Offer offer;
    offer.message = &message;
    offer.qos = std::min(message.qos, replay.entry.qos);
    offer.retain = true;
    offer.shared = &flat;
    if (replay.subscription_id != 0) offer.subscription_ids = {&replay.subscription_id, 1};
    client.channel().offer(front_end_.now(), offer);
}

void RetainedDesk::on_room(Client& client) {
    const ReplaySchedule::Replay* replay = schedule_.front(who_of(client));
    if (replay != nullptr && room(client, replay->entry) == 0) return;
    client.replay_waits_ = false;
    schedule_.wake(who_of(client));
    ask_next();
}

void RetainedDesk::sweep() {
    for (const ReplaySchedule::Who who : schedule_.waiting()) {
        Client* client = client_of(who);
        if (client == nullptr) {
            schedule_.drop(who);
        } else {
            on_room(*client);
        }
    }
}

uint32_t RetainedDesk::room(const Client& client, const SubscribeEntry& entry) const {
    const ChannelLimits& limits = front_end_.channel_context().limits;
    if (client.output_bytes() > limits.max_output_bytes / 4) return 0;
    if (client.durable_ || entry.qos == mqtt::QoS::AtMostOnce) return kPage;
    const Channel& channel = client.channel_;
    const uint32_t half = limits.max_queued_messages / 2;
    if (channel.queued_messages() == 0) return std::clamp<uint32_t>(half, 1, kPage);
    if (channel.queued_messages() >= half ||
        channel.queued_bytes() >= limits.max_queued_bytes / 4) {
        return 0;
    }
    // A page is worth its reading: a reader that acknowledges one by one is not asked for at each.
    const auto room = std::min(kPage, half - static_cast<uint32_t>(channel.queued_messages()));
    return room >= std::min(kPage, half / 2) ? room : 0;
}

bool RetainedDesk::takes(const Client& client, const SubscribeEntry& entry,
                         std::size_t bytes) const {
    const ChannelLimits& limits = front_end_.channel_context().limits;
    if (client.durable_ || entry.qos == mqtt::QoS::AtMostOnce) {
        return client.output_bytes() <= limits.max_output_bytes * 3 / 4;
    }
    const Channel& channel = client.channel_;
    return channel.queued_messages() == 0 ||
           (channel.queued_messages() <= limits.max_queued_messages / 2 &&
            channel.queued_bytes() + bytes <= limits.max_queued_bytes / 2);
}

}  // namespace quorate::broker
