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
// A ticket has 48 bits, so that a loop can keep it in one number with the shard it belongs to.
constexpr uint32_t kIndexBits = 24;
constexpr uint64_t kFlightsMax = (uint64_t{1} << kIndexBits) - 1;
constexpr uint32_t kGenerationMask = (1U << 24) - 1;

mqtt::MessageView view_of(const SharedBytes& flat) {
    const auto message = mqtt::decode_message(flat.text());
    ASSERT(message.has_value(), "a message of this process is well formed");
    return *message;
}

}  // namespace

SharedLeader::Group::Group(std::string_view text, SharedStrategy strategy)
    : name(text), hash(hash64(text)), dispatcher(strategy, hash64(text)) {}

void SharedLeader::clear() {
    for (Flight& flight : flights_) {
        if (flight.group == nullptr) continue;
        const uint32_t generation = flight.generation + 1;
        flight = {};
        flight.generation = generation;
        free_flights_.push_back(static_cast<uint32_t>(&flight - flights_.data()));
    }
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

void SharedLeader::touch(std::string_view name) {
    Group& to = group(name);
    to.loaded = false;
    look_at(to);
}

void SharedLeader::look_at(Group& group) {
    if (group.touched) return;
    group.touched = true;
    touched_.push_back(&group);
}

uint64_t SharedLeader::take_off(Flight flight) {
    if (free_flights_.empty()) {
        free_flights_.push_back(static_cast<uint32_t>(flights_.size()));
        flights_.emplace_back();
    }
    const uint32_t index = free_flights_.back();
    free_flights_.pop_back();
    ASSERT(index < kFlightsMax, "members' windows bound what is in flight");
    flight.generation = flights_[index].generation;
    flights_[index] = std::move(flight);
    return (uint64_t{flights_[index].generation & kGenerationMask} << kIndexBits) | (index + 1);
}

SharedLeader::Flight* SharedLeader::flight(uint64_t ticket) {
    const uint64_t index = (ticket & kFlightsMax) - 1;
    if (index >= flights_.size()) return nullptr;
    Flight& flight = flights_[index];
    if (flight.group == nullptr || (flight.generation & kGenerationMask) != ticket >> kIndexBits) {
        return nullptr;
    }
    return &flight;
}

SharedLeader::Flight SharedLeader::land(uint64_t ticket) {
    Flight* found = flight(ticket);
    ASSERT(found != nullptr, "only a flight that is there can land");
    Flight landed = std::exchange(*found, {});
    found->generation = landed.generation + 1;
    free_flights_.push_back(static_cast<uint32_t>(found - flights_.data()));
    return landed;
}

bool SharedLeader::flies(const Group& group) const {
    return std::ranges::any_of(flights_,
                               [&](const Flight& flight) { return flight.group == &group; });
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
            static_cast<uint32_t>(std::ranges::count_if(flights_, [&](const Flight& flight) {
                return flight.group == &group && flight.member == member;
            }));
        group.dispatcher.set_credit(
            member, options_.member_window > has ? options_.member_window - has : 0);
    }
}

void SharedLeader::publish(const GroupPublish& publish, const ShardState& state) {
    Group& to = group(publish.group.group);
    if (!to.loaded) load(to, state);
    const mqtt::MessageView message = view_of(publish.message);
    if (message.qos != mqtt::QoS::AtMostOnce && to.any_durable) {
        commit(publish);
    } else {
        forward(to, publish, message);
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
        forward(group(asked.publish.group.group), asked.publish, view_of(asked.publish.message));
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

void SharedLeader::forward(Group& group, const GroupPublish& publish,
                           const mqtt::MessageView& message) {
    const bool answered = message.qos != mqtt::QoS::AtMostOnce;
    const bool anyone = group.dispatcher.members() > 0;
    if (!anyone) {
        answer(publish, 0, mqtt::ReasonCode::Success);
        return;
    }
    // Those that wait go first.
    const bool sent = group.waiting.empty() && dispatch(group, publish.message, message);
    if (!sent && answered) {
        if (group.waiting.size() >= options_.waiting_max ||
            group.waiting_bytes >= options_.waiting_bytes_max) {
            answer(publish, 0, mqtt::ReasonCode::QuotaExceeded);
            return;
        }
        group.waiting.push_back(publish.message);
        group.waiting_bytes += publish.message.size();
    }
    answer(publish, 1, mqtt::ReasonCode::Success);
}

bool SharedLeader::dispatch(Group& group, const SharedBytes& flat,
                            const mqtt::MessageView& message) {
    const auto member = group.dispatcher.pick({message.publisher, hash64(message.topic)});
    if (!member) return false;
    if (member->member.kind != DestinationKind::Connection) {
        group.dispatcher.unpick(member->member);
        send_live(group, *member, flat);
        return true;
    }
    SharedDelivery delivery;
    delivery.connection = member->member.connection;
    delivery.shard = shard_;
    delivery.qos = std::min(message.qos, member->qos);
    delivery.group_hash = group.hash;
    delivery.message = flat;
    if (delivery.qos == mqtt::QoS::AtMostOnce) {
        group.dispatcher.unpick(member->member);
        if (!router_.outbound().admit(delivery.connection.loop, flat.size())) return true;
    } else {
        delivery.ticket = take_off({&group, 0, member->member, flat, std::nullopt, {}});
    }
    router_.outbound().loop(delivery.connection.loop).shared.push_back(std::move(delivery));
    return true;
}

void SharedLeader::send_live(const Group& group, const GroupMember& member,
                             const SharedBytes& flat) {
    if (!router_.admit_unanswered(group_of(member.member.shard), flat.size())) return;
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
        Group& to = group(name);
        to.dispatcher.unpick(Destination::to_connection(connection));
        look_at(to);
    }
    no_room_.erase(found);
}

void SharedLeader::send_picked(const OutboxTarget& target, const OutboxEntryView& entry,
                               SharedBytes message) {
    Group& from = group(entry.group);
    SharedDelivery delivery;
    delivery.connection = entry.member.connection;
    delivery.shard = shard_;
    delivery.qos = entry.message.qos;
    delivery.group_hash = from.hash;
    delivery.message = message;
    delivery.ticket =
        take_off({&from, 0, entry.member, std::move(message), target, entry.source.number});
    if (delivery.connection.incarnation == router_.incarnation()) {
        router_.outbound().loop(delivery.connection.loop).shared.push_back(std::move(delivery));
    } else {
        ack({shard_, delivery.ticket,
             SharedAck::Kind::Unsent});  // of an earlier start of this node
    }
}

void SharedLeader::ack(const SharedAck& ack) {
    if (ack.kind == SharedAck::Kind::Room) {
        room(ack.connection);
        return;
    }
    if (flight(ack.ticket) == nullptr) return;
    const Flight flight = land(ack.ticket);
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
        flight.group->waiting_bytes += flight.message.size();
    }
    look_at(*flight.group);
}

void SharedLeader::drain(Group& group) {
    while (!group.waiting.empty() &&
           dispatch(group, group.waiting.front(), view_of(group.waiting.front()))) {
        group.waiting_bytes -= group.waiting.front().size();
        group.waiting.pop_front();
    }
}

void SharedLeader::work(const ShardState& state, ClusterTime leader_now) {
    std::vector<Group*> touched;
    touched.swap(touched_);
    for (Group* to : touched) {
        to->touched = false;
        if (!to->loaded) load(*to, state);
        if (to->any_durable) pick(*to, state, leader_now);
        drain(*to);
        const bool over = to->dispatcher.members() == 0 && to->waiting.empty() && !to->touched;
        if (over && !flies(*to)) groups_.erase(groups_.find(to->name));
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
    if (read == kPickPage) look_at(group);
}

}  // namespace quorate::cluster
