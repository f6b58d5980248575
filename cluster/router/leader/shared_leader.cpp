#include "cluster/router/leader/shared_leader.h"

#include <algorithm>
#include <utility>

#include "cluster/group/group_ids.h"
#include "proto/base/assert.h"
#include "proto/base/hash.h"

namespace quorate::cluster {
namespace {

// Durable members take what they are given into their queues, whose limits are their own.
constexpr uint32_t kDurableCredit = 1U << 30;
constexpr uint32_t kPickPage = 256;

mqtt::MessageView view_of(const SharedBytes& flat) {
    const auto message = mqtt::decode_message(flat.text());
    ASSERT(message.has_value(), "a message of this process is well formed");
    return *message;
}

}  // namespace

SharedLeader::Group::Group(std::string_view text, SharedStrategy strategy)
    : name(text), hash(hash64(text)), dispatcher(strategy, hash64(text)) {}

void SharedLeader::clear() {
    flights_.clear();
    asked_.clear();
    touched_.clear();
    no_room_.clear();
    groups_.clear();
}

SharedLeader::Group& SharedLeader::group(std::string_view name) {
    const auto found = groups_.find(name);
    if (found != groups_.end()) return *found->second;
    auto made = std::make_unique<Group>(name, options_.strategy);
    return *groups_.emplace(std::string(name), std::move(made)).first->second;
}

void SharedLeader::load(Group& group, const ShardState& state) {
    group.loaded = true;
    const auto view = state.group(group.name);
    std::vector<GroupMember> members;
    if (view) members = view->members;
    group.any_durable = view && view->any_durable;
    std::vector<Destination> fresh;
    for (const GroupMember& member : members) {
        if (group.dispatcher.credit(member.member) == 0) fresh.push_back(member.member);
    }
    group.dispatcher.set_members(members);
    for (const GroupMember& member : members) {
        if (member.durable()) group.dispatcher.set_credit(member.member, kDurableCredit);
    }
    for (const Destination& member : fresh) {
        if (member.kind == DestinationKind::Session) continue;
        // What a known member still has in flight stays taken from its window.
        const auto has =
            static_cast<uint32_t>(std::ranges::count_if(flights_, [&](const auto& entry) {
                return entry.second.group == &group && entry.second.member == member;
            }));
        group.dispatcher.set_credit(
            member, options_.member_window > has ? options_.member_window - has : 0);
    }
}

void SharedLeader::publish(const GroupPublish& publish, const ShardState& state) {
    Group& to = group(publish.group.group);
    if (!to.loaded) load(to, state);
    const bool committed = view_of(publish.message).qos != mqtt::QoS::AtMostOnce;
    if (committed && to.any_durable) {
        commit(publish);
    } else {
        forward(to, publish);
    }
}

void SharedLeader::commit(const GroupPublish& publish) {
    const uint32_t token = next_asked_++;
    Asked& asked = asked_[token];
    asked.publish = publish;
    asked.from = publish.from;
    asked.ticket = publish.ticket;
    if (publish.to_outbox) {
        asked.done = HandOverDone{publish.source->stream.source, publish.source->stream.target,
                                  publish.source->number};
    }
    EnqueueGroup body;
    body.group = publish.group.group;
    body.message = publish.message.text();
    body.source = publish.source;
    const uint64_t rest = (static_cast<uint64_t>(shard_.value()) << 32) | token;
    router_.submit(group_of(shard_), LaneClass::Publish, lane_token(LaneUser::Group, rest),
                   std::nullopt, body);
}

void SharedLeader::on_command(uint32_t token, const Answer& answer) {
    const auto found = asked_.find(token);
    if (found == asked_.end()) return;
    const Asked asked = std::move(found->second);
    asked_.erase(found);
    const auto* result = std::get_if<EnqueueGroupResult>(&answer.result);
    if (result != nullptr && !result->queued && !result->repeat) {
        // The last durable member left meanwhile: the others get it without a commit.
        forward(group(asked.publish.group.group), asked.publish);
        return;
    }
    if (asked.done) {
        router_.answer_hand_over(*asked.done);
        return;
    }
    const bool taken = result != nullptr && (result->queued || result->repeat);
    router_.answer_taken(asked.from,
                         {asked.ticket, taken ? 1U : 0U,
                          answer.code == AnswerCode::LimitExceeded ? mqtt::ReasonCode::QuotaExceeded
                                                                   : mqtt::ReasonCode::Success});
}

void SharedLeader::answer(const GroupPublish& publish, uint32_t receivers, mqtt::ReasonCode code) {
    if (publish.to_outbox) {
        router_.answer_hand_over(
            {publish.source->stream.source, publish.source->stream.target, publish.source->number});
    } else if (publish.ticket != 0) {
        router_.answer_taken(publish.from, {publish.ticket, receivers, code});
    }
}

void SharedLeader::forward(Group& group, const GroupPublish& publish) {
    const bool answered = view_of(publish.message).qos != mqtt::QoS::AtMostOnce;
    const bool anyone = group.dispatcher.members() > 0;
    if (!anyone) {
        answer(publish, 0, mqtt::ReasonCode::Success);
        return;
    }
    // Those that wait go first.
    const bool sent = group.waiting.empty() && dispatch(group, publish.message);
    if (!sent && answered) {
        if (group.waiting.size() >= options_.waiting_max) {
            answer(publish, 0, mqtt::ReasonCode::QuotaExceeded);
            return;
        }
        group.waiting.push_back(publish.message);
    }
    answer(publish, 1, mqtt::ReasonCode::Success);
}

bool SharedLeader::dispatch(Group& group, const SharedBytes& flat) {
    const mqtt::MessageView message = view_of(flat);
    const auto member = group.dispatcher.pick({message.publisher, hash64(message.topic)});
    if (!member) return false;
    if (member->member.kind != DestinationKind::Connection) {
        group.dispatcher.unpick(member->member);
        send_live(group, *member, flat);
        return true;
    }
    const uint64_t ticket = next_flight_++;
    SharedDelivery delivery;
    delivery.connection = member->member.connection;
    delivery.ticket = ticket;
    delivery.shard = shard_;
    delivery.qos = std::min(message.qos, member->qos);
    delivery.group_hash = group.hash;
    delivery.message = flat;
    if (delivery.qos == mqtt::QoS::AtMostOnce) {
        group.dispatcher.unpick(member->member);
    } else {
        flights_[ticket] = {&group, member->member, flat, std::nullopt, {}};
    }
    router_.outbound().loop(delivery.connection.loop).shared.push_back(std::move(delivery));
    return true;
}

void SharedLeader::send_live(const Group& group, const GroupMember& member,
                             const SharedBytes& flat) {
    const std::string filter = "$share/" + group.name;
    Enqueue body;
    body.message = flat.text();
    body.only = Restriction{{member.member.session}, filter, false};
    router_.submit(group_of(member.member.shard), LaneClass::Publish,
                   lane_token(LaneUser::Unwatched, 0), std::nullopt, body);
}

void SharedLeader::room(const ConnectionRef& connection) {
    const auto found = no_room_.find(connection);
    if (found == no_room_.end()) return;
    for (const std::string& name : found->second) {
        group(name).dispatcher.unpick(Destination::to_connection(connection));
        touched_.insert(name);
    }
    no_room_.erase(found);
}

void SharedLeader::send_picked(const OutboxTarget& target, const OutboxEntryView& entry,
                               SharedBytes message) {
    Group& from = group(entry.group);
    const uint64_t ticket = next_flight_++;
    SharedDelivery delivery;
    delivery.connection = entry.member.connection;
    delivery.ticket = ticket;
    delivery.shard = shard_;
    delivery.qos = entry.message.qos;
    delivery.group_hash = from.hash;
    delivery.message = message;
    flights_[ticket] = {&from, entry.member, std::move(message), target, entry.source.number};
    if (delivery.connection.incarnation == router_.incarnation()) {
        router_.outbound().loop(delivery.connection.loop).shared.push_back(std::move(delivery));
    } else {
        ack({shard_, ticket, SharedAck::Kind::Unsent});  // of an earlier start of this node
    }
}

void SharedLeader::ack(const SharedAck& ack) {
    if (ack.kind == SharedAck::Kind::Room) {
        room(ack.connection);
        return;
    }
    const auto found = flights_.find(ack.ticket);
    if (found == flights_.end()) return;
    const Flight flight = std::move(found->second);
    flights_.erase(found);
    const bool no_room = ack.kind == SharedAck::Kind::NoRoom;
    if (no_room) {
        no_room_[flight.member.connection].push_back(flight.group->name);
    } else {
        flight.group->dispatcher.unpick(flight.member);
        room(flight.member.connection);
    }
    const bool again =
        no_room || ack.kind == SharedAck::Kind::Unsent || ack.kind == SharedAck::Kind::UnackedQos1;
    if (flight.target) {
        if (again) {
            EnqueueGroup body;
            body.group = flight.group->name;
            body.message = flight.message.text();
            propose_(body);
        }
        done_(*flight.target, flight.number);
    } else if (again) {
        flight.group->waiting.push_front(flight.message);
    }
    touched_.insert(flight.group->name);
}

void SharedLeader::drain(Group& group) {
    while (!group.waiting.empty() && dispatch(group, group.waiting.front())) {
        group.waiting.pop_front();
    }
}

void SharedLeader::work(const ShardState& state, ClusterTime leader_now) {
    std::set<std::string, std::less<>> touched;
    touched.swap(touched_);
    for (const std::string& name : touched) {
        Group& to = group(name);
        load(to, state);
        if (to.any_durable) pick(to, state, leader_now);
        drain(to);
        if (to.dispatcher.members() > 0 || !to.waiting.empty()) continue;
        const bool in_use = std::ranges::any_of(
            flights_, [&](const auto& entry) { return entry.second.group == &to; });
        if (!in_use) groups_.erase(name);
    }
}

void SharedLeader::pick(Group& group, const ShardState& state, ClusterTime leader_now) {
    uint32_t read = 0;
    const Status status = state.read_group(
        group.name, group.picked.next(), kPickPage, leader_now,
        [&](MessageNumber number, const mqtt::MessageView& message) {
            const auto member = group.dispatcher.pick({message.publisher, hash64(message.topic)});
            if (!member) return false;
            if (member->durable()) group.dispatcher.unpick(member->member);
            group.picked = number;
            ++read;
            propose_(GroupPick{group.name, number, member->member});
            return true;
        });
    if (!status.ok()) return;  // the replica stops by itself when its state is damaged
    if (read == kPickPage) touched_.insert(group.name);
}

}  // namespace quorate::cluster
