#include "broker/app/desks/subscription_desk.h"

#include <algorithm>
#include <utility>

#include "broker/app/client.h"
#include "broker/app/desks/retained_desk.h"
#include "broker/app/front_end.h"
#include "cluster/topics/destination.h"
#include "proto/base/hash.h"

namespace quorate::broker {
namespace {

std::string whole_filter(const std::string& share_name, const std::string& filter) {
    return share_name.empty() ? filter : "$share/" + share_name + "/" + filter;
}

mqtt::ReasonCode granted(mqtt::QoS qos) {
    return static_cast<mqtt::ReasonCode>(qos);
}

// A filter that begins with wildcards looks at every retained message there is.
bool scan_allowed(std::string_view filter, uint32_t levels_min) {
    const std::size_t wildcard = filter.find_first_of("+#");
    if (wildcard == std::string_view::npos) return true;
    return std::ranges::count(filter.substr(0, wildcard), '/') >= std::ptrdiff_t{levels_min};
}

bool applied(cluster::AnswerCode code) {
    return code == cluster::AnswerCode::Applied || code == cluster::AnswerCode::Duplicate;
}

}  // namespace

uint64_t SubscriptionDesk::next_token() {
    const uint64_t token = next_token_;
    next_token_ += 2;
    return token;
}

bool SubscriptionDesk::subscribed(const Client& client, const std::string& filter) {
    return std::ranges::find(client.filters_, filter) != client.filters_.end();
}

Client* SubscriptionDesk::client_of(uint32_t slot, uint32_t generation) {
    Client* client = front_end_.client(slot);
    return client != nullptr && client->generation() == generation ? client : nullptr;
}

SubscriptionDesk::Request& SubscriptionDesk::open(uint64_t id, const Client& client,
                                                  PacketId packet_id) {
    Request& request = requests_[id];
    request.client = client.slot();
    request.generation = client.generation();
    request.packet_id = packet_id;
    request.since = front_end_.now();
    request.awaited = 1;  // whoever opened it
    return request;
}

void SubscriptionDesk::subscribe(Client& client, SubscribeRequest&& packet) {
    const uint64_t id = next_token();
    Request& request = open(id, client, packet.packet_id);
    request.entries = std::move(packet.entries);
    request.codes.assign(request.entries.size(), mqtt::ReasonCode::QuotaExceeded);
    request.is_new.assign(request.entries.size(), false);
    request.replays.assign(request.entries.size(), {});
    request.subscription_id = packet.subscription_id;
    if (client.durable_) {
        subscribe_durable(client, id, request);
    } else {
        for (std::size_t i = 0; i < request.entries.size(); ++i) {
            if (request.entries[i].share_name.empty()) {
                subscribe_local(client, request, i);
            } else {
                join_group(client, id, request, i);
            }
        }
        // Also a second subscriber waits for the route that the first one asked for.
        if (routes_shown_ < routes_sent_) {
            request.shown = routes_sent_;
            ++request.awaited;
            waiting_for_routes_.push_back(id);
        }
    }
    arrived(id);
}

void SubscriptionDesk::subscribe_durable(Client& client, uint64_t id, Request& request) {
    cluster::Subscribe body;
    body.session = client.session_;
    body.epoch = client.epoch_;
    body.shared_max = limits_.shared_max;
    std::vector<std::string> filters;
    filters.reserve(request.entries.size());
    for (std::size_t i = 0; i < request.entries.size(); ++i) {
        const SubscribeEntry& entry = request.entries[i];
        filters.push_back(whole_filter(entry.share_name, entry.filter));
        body.requests.push_back({filters.back(), entry.qos, entry.no_local,
                                 entry.retain_as_published, entry.retain_handling,
                                 request.subscription_id,
                                 scan_allowed(entry.filter, limits_.scan_levels_min)});
        request.durable_entries.push_back(i);
    }
    if (told_ > 0) keep_named(client, filters);
    const uint64_t token = next_token();
    if (!port_.command(client.shard_, token, body)) return;  // every code stays QuotaExceeded
    commands_[token] = {id, std::nullopt};
    ++request.awaited;
}

void SubscriptionDesk::subscribe_local(Client& client, Request& request, std::size_t index) {
    const SubscribeEntry& entry = request.entries[index];
    const bool known = subscribed(client, entry.filter);
    if (!known && client.filters_.size() >= limits_.subscriptions_max) return;
    const auto added = local_.add(entry.filter, {client.slot(), request.subscription_id, entry.qos,
                                                 entry.no_local, entry.retain_as_published});
    if (added.is_new) {
        if (client.filters_.empty()) client.filters_.reserve(1);
        client.filters_.push_back(entry.filter);
    }
    if (added.first) port_.loop_route(entry.filter, true, ++routes_sent_);
    request.is_new[index] = added.is_new;
    request.codes[index] = granted(entry.qos);
}

void SubscriptionDesk::join_group(Client& client, uint64_t id, Request& request,
                                  std::size_t index) {
    const SubscribeEntry& entry = request.entries[index];
    const std::string filter = whole_filter(entry.share_name, entry.filter);
    auto& memberships = client.extras().memberships;
    const auto known = std::ranges::find(memberships, filter, &Client::SharedMembership::filter);
    if (known == memberships.end() && memberships.size() >= limits_.shared_max) return;
    const std::string_view group = *cluster::shared_group_of(filter);
    const ShardId shard = cluster::shard_of_group(group, port_.layout());
    cluster::Route body;
    body.filter = filter;
    body.destination = cluster::Destination::to_connection(client.ref());
    body.best_qos = entry.qos;
    body.serial = RouteSerial(next_serial_++);
    const uint64_t token = next_token();
    if (!port_.command(shard, token, body)) return;
    request.is_new[index] = known == memberships.end();
    if (known == memberships.end()) {
        memberships.push_back({filter, shard, hash64(group), request.subscription_id});
    } else {
        known->subscription_id = request.subscription_id;
    }
    commands_[token] = {id, index};
    request.codes[index] = granted(entry.qos);
    ++request.awaited;
}

void SubscriptionDesk::leave_group(Client& client, const std::string& filter, ShardId shard) {
    cluster::Route body;
    body.filter = filter;
    body.destination = cluster::Destination::to_connection(client.ref());
    body.remove = true;
    body.serial = RouteSerial(next_serial_++);
    // Nobody waits for it. A lane too full to take it leaves a member whose connection is gone: the
    // loop answers what it is sent as unsent, and the group passes it on.
    (void)port_.command(shard, next_token(), body);
}

void SubscriptionDesk::unsubscribe(Client& client, const UnsubscribeRequest& packet) {
    const uint64_t id = next_token();
    Request& request = open(id, client, packet.packet_id);
    request.subscribe = false;
    if (client.durable_) {
        cluster::Unsubscribe body;
        body.session = client.session_;
        body.epoch = client.epoch_;
        std::vector<std::string> filters;
        filters.reserve(packet.entries.size());
        for (const UnsubscribeEntry& entry : packet.entries) {
            filters.push_back(whole_filter(entry.share_name, entry.filter));
            body.filters.push_back(filters.back());
            if (entry.share_name.empty()) retained_.cancel(client, entry.filter);
        }
        request.codes.assign(packet.entries.size(), mqtt::ReasonCode::QuotaExceeded);
        if (told_ > 0) keep_named(client, filters);
        const uint64_t token = next_token();
        if (port_.command(client.shard_, token, body)) {
            commands_[token] = {id, std::nullopt};
            ++request.awaited;
        }
    } else {
        for (const UnsubscribeEntry& entry : packet.entries) {
            unsubscribe_one(client, request, entry);
        }
    }
    arrived(id);
}

void SubscriptionDesk::unsubscribe_one(Client& client, Request& request,
                                       const UnsubscribeEntry& entry) {
    bool existed = false;
    if (entry.share_name.empty()) {
        retained_.cancel(client, entry.filter);
        const auto removed = local_.remove(entry.filter, client.slot());
        existed = removed.existed;
        if (existed) std::erase(client.filters_, entry.filter);
        if (removed.last) port_.loop_route(entry.filter, false, ++routes_sent_);
    } else if (client.extras_ != nullptr) {
        const std::string filter = whole_filter(entry.share_name, entry.filter);
        auto& memberships = client.extras_->memberships;
        const auto found =
            std::ranges::find(memberships, filter, &Client::SharedMembership::filter);
        existed = found != memberships.end();
        if (existed) {
            leave_group(client, filter, found->shard);
            memberships.erase(found);
        }
    }
    request.codes.push_back(existed ? mqtt::ReasonCode::Success
                                    : mqtt::ReasonCode::NoSubscriptionExisted);
}

void SubscriptionDesk::drop_all(Client& client) {
    retained_.drop(client);
    for (const std::string& filter : client.filters_) {
        if (local_.remove(filter, client.slot()).last) {
            port_.loop_route(filter, false, ++routes_sent_);
        }
    }
    client.filters_.clear();
    if (client.extras_ == nullptr) return;
    for (const auto& membership : client.extras_->memberships) {
        leave_group(client, membership.filter, membership.shard);
    }
    client.extras_->memberships.clear();
}

bool SubscriptionDesk::on_answer(uint64_t token, const cluster::Answer& answer) {
    if ((token & 1U) != 0) return false;
    const auto found = commands_.find(token);
    if (found == commands_.end()) return true;
    const CommandOf command = found->second;
    commands_.erase(found);
    const auto at = requests_.find(command.request);
    if (at == requests_.end()) return true;
    Request& request = at->second;
    if (command.entry) {
        if (!applied(answer.code)) {
            request.codes[*command.entry] = mqtt::ReasonCode::QuotaExceeded;
        }
    } else if (const auto* subscribed = std::get_if<cluster::SubscribeResult>(&answer.result)) {
        if (request.told) undo_durable(request, *subscribed);
        for (std::size_t i = 0; i < subscribed->filters.size(); ++i) {
            const std::size_t entry = request.durable_entries[i];
            request.codes[entry] = subscribed->filters[i].code;
            request.replays[entry] = subscribed->filters[i].replay;
        }
    } else if (const auto* removed = std::get_if<cluster::UnsubscribeResult>(&answer.result)) {
        request.codes = removed->codes;
    }
    arrived(command.request);
    return true;
}

void SubscriptionDesk::on_shown(uint64_t token) {
    routes_shown_ = std::max(routes_shown_, token);
    while (!waiting_for_routes_.empty()) {
        const uint64_t id = waiting_for_routes_.front();
        const auto found = requests_.find(id);
        if (found != requests_.end() && found->second.shown > routes_shown_) return;
        waiting_for_routes_.pop_front();
        arrived(id);
    }
}

void SubscriptionDesk::arrived(uint64_t id) {
    const auto found = requests_.find(id);
    if (found == requests_.end() || --found->second.awaited > 0) return;
    if (!found->second.told) return answer(id);
    requests_.erase(found);
    --told_;
}

void SubscriptionDesk::sweep(LoopTime now, LoopTime limit) {
    std::vector<uint64_t> late;
    for (const auto& [id, request] : requests_) {
        if (!request.told && now - request.since >= limit) late.push_back(id);
    }
    for (const uint64_t id : late) {
        const auto found = requests_.find(id);
        if (found != requests_.end()) refuse_late(found->second);
    }
}

void SubscriptionDesk::refuse_late(Request& request) {
    request.told = true;
    ++told_;
    Client* client = client_of(request.client, request.generation);
    if (client == nullptr) return;
    if (request.subscribe && !client->durable_) undo_local(*client, request);
    const std::vector<mqtt::ReasonCode> codes(request.codes.size(),
                                              mqtt::ReasonCode::ImplementationSpecificError);
    const PacketId packet_id = request.packet_id;
    if (request.subscribe) {
        client->channel().on_subscribed(packet_id, codes);
    } else if (client->channel().version() == mqtt::ProtocolVersion::V5) {
        client->channel().on_unsubscribed(packet_id, codes);
    } else {
        client->channel().disconnect(mqtt::ReasonCode::ImplementationSpecificError,
                                     "no quorum answers an UNSUBSCRIBE");
    }
    front_end_.after_event(*client);
}

void SubscriptionDesk::undo_local(Client& client, Request& request) {
    for (std::size_t i = 0; i < request.entries.size(); ++i) {
        if (!request.is_new[i] || mqtt::is_failure(request.codes[i])) continue;
        const SubscribeEntry& entry = request.entries[i];
        Request ended;
        unsubscribe_one(client, ended, {entry.filter, entry.share_name});
    }
}

void SubscriptionDesk::undo_durable(const Request& request, const cluster::SubscribeResult& made) {
    Client* client = client_of(request.client, request.generation);
    if (client == nullptr || !client->attached_) return;
    cluster::Unsubscribe body;
    body.session = client->session_;
    body.epoch = client->epoch_;
    std::vector<std::string> filters;
    filters.reserve(made.filters.size());
    for (std::size_t i = 0; i < made.filters.size(); ++i) {
        const std::size_t entry = request.durable_entries[i];
        const bool named = std::ranges::find(request.kept, entry) != request.kept.end();
        if (named || !made.filters[i].is_new || mqtt::is_failure(made.filters[i].code)) continue;
        const SubscribeEntry& asked = request.entries[entry];
        filters.push_back(whole_filter(asked.share_name, asked.filter));
        body.filters.push_back(filters.back());
    }
    // A lane that is full keeps the subscriptions: they deliver more than was promised.
    if (!filters.empty()) (void)port_.command(client->shard_, next_token(), body);
}

void SubscriptionDesk::keep_named(const Client& client, const std::vector<std::string>& filters) {
    for (auto& [id, request] : requests_) {
        if (!request.told || request.client != client.slot()) continue;
        if (request.generation != client.generation()) continue;
        for (const std::size_t entry : request.durable_entries) {
            const SubscribeEntry& asked = request.entries[entry];
            const std::string filter = whole_filter(asked.share_name, asked.filter);
            if (std::ranges::find(filters, filter) != filters.end()) request.kept.push_back(entry);
        }
    }
}

void SubscriptionDesk::answer(uint64_t id) {
    const Request request = std::move(requests_[id]);
    requests_.erase(id);
    Client* client = client_of(request.client, request.generation);
    if (client != nullptr) {
        if (request.subscribe) {
            client->channel().on_subscribed(request.packet_id, request.codes);
            replay_retained(*client, request);
        } else {
            client->channel().on_unsubscribed(request.packet_id, request.codes);
        }
        front_end_.after_event(*client);
    }
}

void SubscriptionDesk::replay_retained(Client& client, const Request& request) {
    for (std::size_t i = 0; i < request.entries.size(); ++i) {
        SubscribeEntry entry = request.entries[i];
        if (mqtt::is_failure(request.codes[i]) || !entry.share_name.empty()) continue;
        if (client.durable_) {
            const cluster::ReplayId id = request.replays[i];
            if (id == cluster::ReplayId()) continue;
            const auto first = cluster::shard_of_filter(entry.filter, port_.layout());
            retained_.go_on(client, entry.filter, {id, first.value_or(ShardId()), {}});
            continue;
        }
        if (entry.retain_handling == mqtt::RetainHandling::DoNotSend) continue;
        if (entry.retain_handling == mqtt::RetainHandling::SendIfNew && !request.is_new[i]) {
            continue;
        }
        if (!scan_allowed(entry.filter, limits_.scan_levels_min)) continue;
        if (!subscribed(client, entry.filter)) continue;
        entry.qos = static_cast<mqtt::QoS>(request.codes[i]);
        retained_.begin(client, entry, request.subscription_id);
    }
}

}  // namespace quorate::broker
