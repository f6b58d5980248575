// Long, because both kinds of groups are led here, and a group changes from one to the other.
#include "cluster/router/leader/shared_leader.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "cluster/group/group_ids.h"
#include "proto/base/assert.h"
#include "proto/base/hash.h"

namespace quorate::cluster {
namespace {

// Durable members take what they are given into their queues, whose limits are their own.
constexpr uint32_t kDurableCredit = 1U << 30;
constexpr uint32_t kPickPage = 256;
constexpr std::size_t kPicksMax = 1024;  // of a group, on their way through the log
// A ticket has 48 bits, so that a loop can keep it in one number with the shard it belongs to.
constexpr uint32_t kIndexBits = 24;
constexpr uint64_t kFlightsMax = (uint64_t{1} << kIndexBits) - 1;
constexpr uint32_t kGenerationMask = (1U << 24) - 1;

mqtt::MessageView view_of(const SharedBytes& flat) {
    const auto message = mqtt::decode_message(flat.text());
    ASSERT(message.has_value(), "a message of this process is well formed");
    return *message;
}

SharedMessage seen(const mqtt::MessageView& message) {
    return {message.publisher, hash64(message.topic), message.qos};
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
    picks_.clear();
    touched_.clear();
    no_room_.clear();
    groups_.clear();
}

SharedLeader::Group& SharedLeader::group(std::string_view name) {
    const auto found = groups_.find(name);
    if (found != groups_.end()) return *found->second;
    auto made = std::make_unique<Group>(name, options_.strategy);
    Group& added = *groups_.emplace(std::string(name), std::move(made)).first->second;
    look_at(added);  // which forgets it if there is nothing to it
    return added;
}

void SharedLeader::touch(std::string_view name) {
    Group& to = group(name);
    to.loaded = false;
    to.outbox_full = false;
    look_at(to);
}

void SharedLeader::restore(std::string_view name, const ShardState& state) {
    Group& to = group(name);
    load(to, state);
    to.dispatcher.all_durable_away();
    look_at(to);
}

void SharedLeader::presence(const SharedPresence& presence, const ShardState& state) {
    const auto found = groups_.find(presence.group);
    if (found == groups_.end()) return;
    if (!found->second->loaded) load(*found->second, state);
    found->second->dispatcher.set_connected(presence.member, presence.connected);
    look_at(*found->second);
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

uint32_t SharedLeader::under_way(const Group& group, const Destination& member) const {
    const auto flying = std::ranges::count_if(flights_, [&](const Flight& flight) {
        return flight.group == &group && flight.member == member;
    });
    const auto picked = std::ranges::count_if(picks_, [&](const auto& entry) {
        return entry.second.group == &group && entry.second.member == member;
    });
    const auto refused = no_room_.find(member.connection);
    const auto held =
        refused == no_room_.end() ? 0 : std::ranges::count(refused->second, group.name);
    return static_cast<uint32_t>(flying + picked + held);
}

void SharedLeader::load(Group& group, const ShardState& state) {
    group.loaded = true;
    const auto view = state.group(group.name);
    std::vector<GroupMember> members;
    if (view) members = view->members;
    // Connections of an earlier start of this node: their NodeDown is on its way.
    std::erase_if(members, [this](const GroupMember& member) {
        return !member.durable() && !router_.reachable(member.member.connection.incarnation);
    });
    group.any_durable = view && view->any_durable;
    std::vector<Destination> fresh;
    for (const GroupMember& member : members) {
        if (group.dispatcher.credit(member.member) == 0) fresh.push_back(member.member);
    }
    group.dispatcher.set_members(members);
    forget_room(group);
    for (const GroupMember& member : members) {
        if (member.durable()) group.dispatcher.set_credit(member.member, kDurableCredit);
    }
    for (const Destination& member : fresh) {
        if (member.kind == DestinationKind::Session) continue;
        // What a known member still has in flight stays taken from its window.
        const uint32_t has = under_way(group, member);
        group.dispatcher.set_credit(
            member, options_.member_window > has ? options_.member_window - has : 0);
    }
}

void SharedLeader::publish(const GroupPublish& publish, const ShardState& state) {
    Group& to = group(publish.group.group);
    if (!to.loaded) load(to, state);
    const mqtt::MessageView message = view_of(publish.message);
    // What a member gave back may be in the replicated queue already: only the log knows.
    const bool returned =
        publish.source && publish.source->stream.target.kind == OutboxTargetKind::Group;
    if (returned || (message.qos != mqtt::QoS::AtMostOnce && to.any_durable)) {
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

void SharedLeader::on_command(uint32_t token, const Answer& answer, const ShardState& state) {
    const auto found = asked_.find(token);
    if (found == asked_.end()) return;
    const Asked asked = std::move(found->second);
    asked_.erase(found);
    const auto* result = std::get_if<EnqueueGroupResult>(&answer.result);
    const bool applied = result != nullptr && answer.code == AnswerCode::Applied;
    if (applied && !result->queued && !result->repeat) {
        // The last durable member left meanwhile: the others get it without a commit, unless there
        // is a new one by now.
        Group& to = group(asked.publish.group.group);
        if (!to.loaded) load(to, state);
        if (to.any_durable) {
            commit(asked.publish);
        } else {
            forward(to, asked.publish, view_of(asked.publish.message));
        }
        return;
    }
    if (asked.done) {
        router_.answer_hand_over(*asked.done);
        return;
    }
    if (asked.ticket == 0) return;
    const bool taken = applied && (result->queued || result->repeat);
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
    const auto member = group.dispatcher.pick(seen(message));
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
        if (!router_.outbound().admit(delivery.connection, flat.size())) return true;
    } else {
        delivery.ticket = take_off({&group, 0, member->member, flat, std::nullopt, {}});
    }
    router_.outbound().at(delivery.connection).shared.push_back(std::move(delivery));
    return true;
}

void SharedLeader::send_live(const Group& group, const GroupMember& member,
                             const SharedBytes& flat) {
    if (!router_.admit_unanswered(group_of(member.member.shard), flat.size())) return;
    const std::string filter = "$share/" + group.name;
    Enqueue body;
    body.message = flat.text();
    body.only = Restriction{{member.member.session}, filter};
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

void SharedLeader::forget_room(const Group& group) {
    for (auto at = no_room_.begin(); at != no_room_.end();) {
        if (!group.dispatcher.granted(Destination::to_connection(at->first))) {
            std::erase(at->second, group.name);
        }
        at = at->second.empty() ? no_room_.erase(at) : std::next(at);
    }
}

void SharedLeader::send_picked(const OutboxTarget& target, const OutboxEntryView& entry,
                               SharedBytes message) {
    if (!router_.reachable(entry.member.connection.incarnation)) return;
    Group& from = group(entry.group);
    SharedDelivery delivery;
    delivery.connection = entry.member.connection;
    delivery.shard = shard_;
    delivery.qos = std::min(entry.message.qos,
                            from.dispatcher.granted(entry.member).value_or(mqtt::QoS::ExactlyOnce));
    delivery.group_hash = from.hash;
    delivery.message = message;
    if (delivery.qos == mqtt::QoS::AtMostOnce) {
        // Nobody answers it: handed over with the parcel.
        from.dispatcher.unpick(entry.member);
        done_(target, entry.source.number, HandedOver::Taken);
    } else {
        delivery.ticket =
            take_off({&from, 0, entry.member, std::move(message), target, entry.source.number});
    }
    router_.outbound().at(delivery.connection).shared.push_back(std::move(delivery));
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
        done_(*flight.target, flight.number, again ? HandedOver::Returned : HandedOver::Taken);
    } else if (again) {
        flight.group->waiting.push_front(flight.message);
        flight.group->waiting_bytes += flight.message.size();
    }
    look_at(*flight.group);
}

void SharedLeader::commit_waiting(Group& group) {
    for (uint32_t i = 0; i < kPickPage && !group.waiting.empty(); ++i) {
        GroupPublish publish;
        publish.from = local_port(router_.outbound().self());
        publish.group = {shard_, group.name};
        publish.message = std::move(group.waiting.front());
        group.waiting_bytes -= publish.message.size();
        group.waiting.pop_front();
        commit(publish);
    }
    if (!group.waiting.empty()) look_at(group);
}

void SharedLeader::drain(Group& group) {
    if (group.any_durable) {
        commit_waiting(group);
        return;
    }
    if (group.dispatcher.members() == 0) {
        dropped_ += group.waiting.size();
        group.waiting.clear();
        group.waiting_bytes = 0;
        return;
    }
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
        pick(*to, state, leader_now);
        drain(*to);
        const bool over = to->dispatcher.members() == 0 && to->waiting.empty() &&
                          to->picking.empty() && !to->touched;
        if (over && !flies(*to)) groups_.erase(groups_.find(to->name));
    }
}

// Whoever the members are: what was queued for a durable one outlives it.
void SharedLeader::pick(Group& group, const ShardState& state, ClusterTime leader_now) {
    group.more = false;
    if (group.outbox_full || group.dispatcher.members() == 0) return;
    uint32_t read = 0;
    const Status status =
        state.read_group(group.name, group.picked.next(), kPickPage, leader_now,
                         [&](MessageNumber number, const mqtt::MessageView& message) {
                             if (!group.picking.contains(number)) {
                                 group.more = group.picking.size() >= kPicksMax;
                                 if (group.more) return false;
                                 const auto member = group.dispatcher.pick(seen(message));
                                 if (!member) return false;
                                 propose_pick(group, number, *member);
                             }
                             group.picked = number;
                             ++read;
                             return true;
                         });
    if (!status.ok()) return;  // the replica stops by itself when its state is damaged
    if (read == kPickPage) look_at(group);
}

void SharedLeader::propose_pick(Group& group, MessageNumber number, const GroupMember& member) {
    if (member.durable()) group.dispatcher.unpick(member.member);
    const uint64_t token = next_pick_++;
    picks_[token] = {&group, number, member.member};
    group.picking.insert(number);
    propose_(GroupPick{group.name, number, member.member}, token);
}

void SharedLeader::on_pick(uint64_t token, AnswerCode code) {
    const auto found = picks_.find(token);
    if (found == picks_.end()) return;
    const Pick pick = found->second;
    picks_.erase(found);
    Group& group = *pick.group;
    group.picking.erase(pick.number);
    if (code != AnswerCode::Applied) {
        // Its member is gone, it has expired, or the outbox is full. If it is still queued, it is
        // picked again, by the members as they are now.
        if (pick.member.kind == DestinationKind::Connection) group.dispatcher.unpick(pick.member);
        group.picked = std::min(group.picked, MessageNumber(pick.number.value() - 1));
        if (code == AnswerCode::LimitExceeded) group.outbox_full = any_outbox_full_ = true;
        group.loaded = false;
    }
    if (code != AnswerCode::Applied || group.more) look_at(group);
}

void SharedLeader::outbox_moved() {
    if (!any_outbox_full_) return;
    any_outbox_full_ = false;
    for (auto& [name, group] : groups_) {
        if (!group->outbox_full) continue;
        group->outbox_full = false;
        look_at(*group);
    }
}

}  // namespace quorate::cluster
