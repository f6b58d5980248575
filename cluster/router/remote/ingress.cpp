#include "cluster/router/remote/ingress.h"

#include <utility>

#include "cluster/group/group_ids.h"
#include "cluster/router/remote/parcel_address.h"
#include "cluster/router/remote/parcel_codec.h"
#include "proto/mqtt/message.h"

namespace quorate::cluster {

void Ingress::arrived(Incarnation from, std::string_view item) {
    RecordReader in(item);
    const auto address = read_address(in);
    bool good = address.has_value();
    if (good && address->kind != ParcelAddress::Kind::Leaders) {
        // Meant for an earlier start: lawful, and nobody's any more.
        if (address->node != self_) return;
        good = address->port.value() < exchange_.ports();
    }
    if (good && address->kind == ParcelAddress::Kind::Loop) {
        auto parcel = decode_loop_parcel(in.rest());
        good = parcel.ok() && exchange_.is_loop(address->port);
        if (good) to_loop({from, address->from}, address->port, std::move(parcel).value());
    } else if (good) {
        auto parcel = decode_worker_parcel(in.rest());
        good = parcel.ok();
        if (good && address->kind == ParcelAddress::Kind::Leaders) {
            to_leaders({from, address->from}, **parcel);
        } else if (good) {
            to_port({from, address->from}, address->port, std::move(parcel).value());
        }
    }
    if (!good) refused_.fetch_add(1, std::memory_order_relaxed);
}

WorkerParcel* Ingress::part(GroupId group) {
    const auto shard = shard_of_group(group);
    const bool known = shard ? shard->value() < layout_.shards : group == kWildcardsGroup;
    if (!known) return nullptr;
    auto& parcel = parts_[exchange_.worker_of(group).value()];
    if (parcel == nullptr) {
        parcel = std::make_unique<WorkerParcel>();
        parcel->from = from_;
        parcel->owned.from = from_;
        parcel->live.from = from_;
    }
    return parcel.get();
}

WorkerParcel* Ingress::part(ShardId shard) {
    return shard.value() < layout_.shards ? part(group_of(shard)) : nullptr;
}

void Ingress::to_leaders(const PortRef& from, const WorkerParcel& parcel) {
    from_ = from;
    parts_.resize(exchange_.workers());
    parcel.commands.for_each([this](GroupId group, std::string_view command) {
        WorkerParcel* to = part(group);
        if (to == nullptr) return;
        const std::size_t at = to->commands.begin(group);
        to->commands.bytes.append(command);
        to->commands.end(at);
    });
    parcel.owned.for_each([this](Ticket ticket, uint8_t flags, const mqtt::MessageView& message) {
        // The loops it may skip are those of its own node.
        const auto kept = static_cast<uint8_t>(flags & ~WorkerParcel::kSkipLoops);
        part(shard_of_topic(message.topic, layout_))->owned.add(ticket, kept, message);
    });
    parcel.live.for_each([this](Ticket shard, uint8_t flags, const mqtt::MessageView& message) {
        if (shard >= layout_.shards) return;
        part(ShardId(static_cast<uint32_t>(shard)))->live.add(shard, flags, message);
    });
    parcel.group_batch.for_each(
        [this](ShardId shard, std::string_view group, Ticket ticket, std::string_view flat) {
            WorkerParcel* to = part(shard);
            const auto message = mqtt::decode_message(flat);
            if (to == nullptr || !message) return;
            to->group_batch.add({shard, std::string(group)}, ticket, *message);
        });
    const auto hand_on = [this](ShardId shard, auto member, const auto& item) {
        if (WorkerParcel* to = part(shard)) (to->*member).push_back(item);
    };
    for (const GroupPublish& publish : parcel.groups) {
        WorkerParcel* to = part(publish.group.shard);
        if (to == nullptr) continue;
        to->groups.push_back(publish);
        to->groups.back().from = from;
    }
    for (const Want& want : parcel.wants)
        hand_on(want.shard, &WorkerParcel::wants, want);
    for (const SharedAck& ack : parcel.shared_acks)
        hand_on(ack.shard, &WorkerParcel::shared_acks, ack);
    for (const SharedPresence& presence : parcel.presence)
        hand_on(presence.shard, &WorkerParcel::presence, presence);
    for (const RetainedQuery& query : parcel.retained) {
        // The first stop of a durable session's query is its own shard, for the room.
        const bool room = query.durable && query.room == 0;
        WorkerParcel* to = part(room ? query.durable->shard : query.at.shard);
        const PortRef asker{query.from.local() ? from.node : query.from.node, query.from.port};
        const bool answerable = asker.node != self_ || exchange_.is_loop(asker.port);
        if (to == nullptr || !answerable) continue;
        to->retained.push_back(query);
        to->retained.back().from = asker;
    }
    for (const HandOver& entry : parcel.hand_overs)
        hand_on(entry.source.stream.target.shard, &WorkerParcel::hand_overs, entry);
    for (const HandOverDone& done : parcel.done)
        hand_on(done.source, &WorkerParcel::done, done);
    for (const StreamParcel& stream : parcel.streams)
        hand_on(stream.shard, &WorkerParcel::streams, stream);
    for (const NodeCopy& each : parcel.copies) {
        // For an earlier start: its sessions are gone, and NodeDown will say so.
        if (each.to == self_) hand_on(each.copy.fence.source, &WorkerParcel::copies, each);
    }
    for (std::size_t worker = 0; worker < parts_.size(); ++worker) {
        if (parts_[worker] == nullptr) continue;
        exchange_.post(WorkerId(static_cast<uint16_t>(worker)), std::move(parts_[worker]));
    }
}

void Ingress::to_port(const PortRef& from, PortId port, std::unique_ptr<WorkerParcel> parcel) {
    parcel->from = from;
    if (!exchange_.is_loop(port)) {
        exchange_.post(exchange_.worker_at(port), std::move(parcel));
        return;
    }
    auto answers = std::make_unique<LoopParcel>();
    answers->taken = std::move(parcel->taken);
    answers->answers = std::move(parcel->answers);
    to_loop(from, port, std::move(answers));
}

void Ingress::to_loop(const PortRef& from, PortId port, std::unique_ptr<LoopParcel> parcel) {
    parcel->from = from;
    parcel->publishes.from = from;
    exchange_.post(exchange_.loop_at(port), std::move(parcel));
}

}  // namespace quorate::cluster
