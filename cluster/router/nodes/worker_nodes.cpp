#include "cluster/router/nodes/worker_nodes.h"

#include <bit>
#include <utility>

#include "cluster/group/group_ids.h"
#include "proto/mqtt/topic.h"

namespace quorate::cluster {

WorkerNodes::WorkerNodes(const Context& context)
    : context_(context),
      streams_(*this),
      copies_(*this, context.layout.shards),
      places_(kFirstShardGroup + context.layout.shards) {}

void WorkerNodes::lead(GroupId group, Term term) {
    led_[group] = term;
    if (const auto shard = shard_of_group(group)) {
        streams_.lead(*shard, term);
        copies_.lead(*shard, term);
    }
    (void)context_.others.leaders.learn(group, term, context_.others.self);
    next_announcement_ = {};
}

void WorkerNodes::follow(GroupId group) {
    led_.erase(group);
    if (const auto shard = shard_of_group(group)) streams_.follow(*shard);
}

Term WorkerNodes::term_of(ShardId shard) const {
    const auto found = led_.find(group_of(shard));
    return found == led_.end() ? Term() : found->second;
}

bool WorkerNodes::may_act(ShardId shard) const {
    context_.host.load_table();
    return led_.contains(group_of(shard)) && context_.others.leases.valid();
}

void WorkerNodes::receive(const WorkerParcel& parcel) {
    if (!parcel.streams.empty()) {
        // In this order: what the table lacks now, nobody was told to be in it.
        context_.host.load_table();
        const bool may_act = context_.others.leases.valid();
        const Incarnation from = parcel.from.local() ? incarnation_ : parcel.from.node;
        for (const StreamParcel& stream : parcel.streams)
            streams_.arrived(parcel.from, {from, stream.loop}, stream, may_act);
    }
    for (const NodeCopy& each : parcel.copies)
        copies_.arrived(parcel.from, parcel.from.node, each.copy);
    for (const NodeCopyAnswer& answer : parcel.copy_answers)
        copies_.answered(answer);
    const auto now = context_.others.clock.now();
    for (const NodeRouteOp& op : parcel.node_routes)
        routes_.ask(op, now);
}

bool WorkerNodes::taken(const TakenBatch::Taken& taken) {
    if ((taken.ticket & CopyDesk::kTicketBit) != 0) {
        copies_.taken(taken.ticket, taken.receivers);
        return true;
    }
    if ((taken.ticket & kGroupTicketBit) == 0) return false;
    const auto found = groups_.find(taken.ticket);
    if (found == groups_.end()) return true;
    TakenBatch::Taken of_owner = taken;
    of_owner.ticket = found->second.ticket;
    groups_.erase(found);
    context_.owner.on_taken(of_owner);
    return true;
}

void WorkerNodes::distribute(const StreamPublish& publish) {
    const OutboxSource* source = publish.source ? &*publish.source : nullptr;
    context_.owner.publish(kStreams, publish.token, publish.message, false, source,
                           {publish.stream, publish.number});
}

void WorkerNodes::answer(const PortRef& loop, const StreamAnswer& answer) {
    context_.outbound.stream_answers(loop).push_back(answer);
}

bool WorkerNodes::confirm(ShardId shard, uint64_t round) {
    return context_.host.confirm(shard, round);
}

void WorkerNodes::send(const NodeCopy& copy) {
    context_.outbound.node(node_of(copy.to)).copies.push_back(copy);
}

void WorkerNodes::answer(const PortRef& owner, const NodeCopyAnswer& answer) {
    context_.outbound.copy_answers(owner).push_back(answer);
    context_.outbound.copy_answers(owner).back().at = incarnation_;
}

uint32_t WorkerNodes::to_loops(uint64_t ticket, const mqtt::MessageView& message) {
    destinations_.clear();
    context_.host.match_all(message.topic, destinations_);
    uint32_t loops = 0;
    for (uint64_t mask = destinations_.loops; mask != 0; mask &= mask - 1) {
        const LoopId loop(static_cast<uint16_t>(std::countr_zero(mask)));
        if (ticket == 0 && !context_.outbound.admit(loop, message.payload.size())) continue;
        context_.outbound.loop(loop).publishes.add(ticket, 0, message);
        ++loops;
    }
    return loops;
}

void WorkerNodes::copied(uint64_t token, uint32_t receivers, bool stale, const SourceFence& of) {
    if (stale) streams_.stale(of.source, of.term);
    context_.owner.on_copied(token, receivers, stale);
}

void WorkerNodes::to_group(const GroupPublish& publish) {
    GroupPublish sent = publish;
    if (publish.ticket != 0) {
        sent.ticket = kGroupTicketBit | next_ticket_++;
        groups_.emplace(sent.ticket, GroupSend{publish.ticket, sent});
    }
    context_.outbound.leader(group_of(publish.group.shard)).groups.push_back(std::move(sent));
}

bool WorkerNodes::to_node(Incarnation node, uint64_t token, const SharedBytes& flat,
                          const OutboxSource* source, ShardId of) {
    if (node == incarnation_ || down(node)) return false;
    Copy copy;
    copy.fence = {of, term_of(of)};
    copy.message = flat;
    if (source != nullptr) copy.source = *source;
    copies_.send(node, token, std::move(copy));
    return true;
}

void WorkerNodes::look() {
    follow_leaders();
    follow_peers();
}

void WorkerNodes::follow_leaders() {
    const uint64_t changes = context_.others.leaders.changes();
    if (changes == leader_changes_) return;
    leader_changes_ = changes;
    for (uint32_t at = 0; at < places_.size(); ++at) {
        const GroupId group(at);
        const Leaders::Place place = context_.others.leaders.at(group);
        if (place == places_[at] || place.node == NodeId()) continue;
        places_[at] = place;
        context_.host.moved(group);
        for (const auto& [ticket, sent] : groups_) {
            if (group_of(sent.publish.group.shard) != group) continue;
            context_.outbound.leader(group).groups.push_back(sent.publish);
        }
    }
}

void WorkerNodes::follow_peers() {
    const uint64_t changes = context_.others.peers.changes();
    if (changes == peer_changes_) return;
    peer_changes_ = changes;
    const PeerMap before = std::exchange(peers_, context_.others.peers.all());
    copies_.peers_changed(before, peers_);
    for (const auto& [node, peer] : peers_) {
        if (peer.first_up.value() > 0) streams_.down(Incarnation(peer.first_up.value() - 1));
    }
    context_.host.peers_changed();
    next_announcement_ = {};
}

void WorkerNodes::end_turn() {
    look();
    streams_.end_turn();
    const auto now = context_.others.clock.now();
    routes_.sweep(now);
    for (const NodeRoutes::Change& change : routes_.take_changes()) {
        const auto shard = shard_of_filter(change.filter, context_.layout);
        context_.host.send_route(shard ? group_of(*shard) : kWildcardsGroup, change);
    }
    for (const NodeRoutes::Shown& shown : routes_.take_shown())
        context_.outbound.loop(shown.loop).shown.push_back(shown.token);
    if (now >= next_announcement_) {
        next_announcement_ = now + kAnnounceEvery;
        announce();
    }
}

void WorkerNodes::announce() {
    if (led_.empty()) return;
    const std::string item = encode_announcement({led_.begin(), led_.end()});
    for (const auto& [node, peer] : peers_) {
        if (node == context_.others.self || peer.running == Incarnation()) continue;
        context_.others.office.post(node, item);
    }
}

}  // namespace quorate::cluster
