#include "cluster/router/node_loop_port.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <map>
#include <utility>

#include "cluster/group/group_ids.h"
#include "proto/base/assert.h"

namespace quorate::cluster {

NodeLoopPort::NodeLoopPort(const Context& context, LoopSink& sink)
    : context_(context),
      sink_(sink),
      outbound_(context.exchange, context.exchange.port_of(context.loop), context.others),
      reader_(context.directory.reader(outbound_.self().value())) {
    lanes_.resize(context.layout.shards);
    if (context.others != nullptr) {
        places_.resize(context.layout.shards);
        streams_.resize(context.layout.shards);
    }
    at_loops_.resize(context.exchange.loops());
}

WorkerId NodeLoopPort::worker_of(ShardId shard) const {
    return WorkerId(static_cast<uint16_t>(group_of(shard).value() % context_.workers));
}

LaneClient& NodeLoopPort::lane(ShardId shard) {
    auto& client = lanes_[shard.value()];
    if (client == nullptr) {
        const Lane lane{context_.incarnation, outbound_.self().value(), LaneClass::Control};
        client = std::make_unique<LaneClient>(group_of(shard), lane);
    }
    return *client;
}

bool NodeLoopPort::command(ShardId shard, uint64_t token, const CommandBody& body) {
    return lane(shard).submit(token, std::nullopt, body,
                              outbound_.leader(group_of(shard)).commands);
}

bool NodeLoopPort::take_credit(std::size_t bytes) {
    const bool full =
        outstanding_.size() >= context_.credit.publishes_max ||
        (!outstanding_.empty() && outstanding_bytes_ + bytes > context_.credit.bytes_max);
    if (full) {
        refused_ = true;
        return false;
    }
    outstanding_.push_back(bytes);
    outstanding_bytes_ += bytes;
    return true;
}

// Answers come roughly in the order of the publishes; which one is paid back first does not matter.
void NodeLoopPort::return_credit() {
    if (outstanding_.empty()) return;
    outstanding_bytes_ -= outstanding_.front();
    outstanding_.pop_front();
}

bool NodeLoopPort::publish_to_owner(Ticket ticket, const mqtt::MessageView& message,
                                    bool skip_loops) {
    if (owner_distributes()) return into_stream(ticket, message);
    if (!take_credit(message.payload.size() + message.topic.size())) return false;
    const GroupId group = group_of(shard_of_topic(message.topic, context_.layout));
    outbound_.leader(group).owned.add(ticket, skip_loops ? WorkerParcel::kSkipLoops : 0, message);
    return true;
}

void NodeLoopPort::publish_to_shard(ShardId shard, const mqtt::MessageView& message) {
    const GroupId group = group_of(shard);
    if (!outbound_.admit(group, message.payload.size())) return;
    outbound_.leader(group).live.add(shard.value(), 0, message);
}

bool NodeLoopPort::publish_to_group(const GroupRoute& group, Ticket ticket,
                                    const mqtt::MessageView& message) {
    if (ticket != 0 && !take_credit(message.payload.size() + message.topic.size())) return false;
    const GroupId leads = group_of(group.shard);
    if (ticket == 0 && !outbound_.admit(leads, message.payload.size())) return true;
    outbound_.leader(leads).group_batch.add(group, ticket, message);
    return true;
}

void NodeLoopPort::publish_to_loop(LoopId loop, Ticket ticket, const mqtt::MessageView& message) {
    if (ticket != 0) {
        AtLoop& there = at_loops_[loop.value()];
        ++there.publishes;
        there.bytes += message.payload.size() + message.topic.size();
    } else if (!outbound_.admit(loop, message.payload.size())) {
        return;
    }
    outbound_.loop(loop).publishes.add(ticket, 0, message);
}

bool NodeLoopPort::loops_ready(uint64_t loops) {
    for (; loops != 0; loops &= loops - 1) {
        const AtLoop& there = at_loops_[static_cast<std::size_t>(std::countr_zero(loops))];
        if (there.publishes >= context_.credit.loop_publishes_max ||
            there.bytes >= context_.credit.loop_bytes_max) {
            refused_ = true;
            return false;
        }
    }
    return true;
}

void NodeLoopPort::return_loop_credit(LoopId loop, std::size_t answers) {
    AtLoop& there = at_loops_[loop.value()];
    const auto paid = std::min<uint64_t>(answers, there.publishes);
    if (paid == 0) return;
    there.bytes -= paid == there.publishes ? there.bytes : there.bytes / there.publishes * paid;
    there.publishes -= paid;
}

bool NodeLoopPort::relaxed() const {
    const LoopCredit& most = context_.credit;
    if (in_streams_ > most.publishes_max / 2 || in_streams_bytes_ > most.bytes_max / 2) {
        return false;
    }
    if (outstanding_.size() > most.publishes_max / 2 || outstanding_bytes_ > most.bytes_max / 2) {
        return false;
    }
    return std::ranges::all_of(at_loops_, [&](const AtLoop& there) {
        return there.publishes <= most.loop_publishes_max / 2 &&
               there.bytes <= most.loop_bytes_max / 2;
    });
}

void NodeLoopPort::taken(PortRef port, const TakenBatch::Taken& taken) {
    outbound_.taken(port).push_back(taken);
}

void NodeLoopPort::want(const Want& want) {
    outbound_.leader(group_of(want.shard)).wants.push_back(want);
}

void NodeLoopPort::shared_ack(const SharedAck& ack) {
    outbound_.leader(group_of(ack.shard)).shared_acks.push_back(ack);
}

void NodeLoopPort::retained(const RetainedQuery& query) {
    const ShardId first = query.durable ? query.durable->shard : query.at.shard;
    auto& queries = outbound_.leader(group_of(first)).retained;
    queries.push_back(query);
    queries.back().from = local_port(outbound_.self());
}

std::optional<ShardId> NodeLoopPort::next_retained(ShardId from) {
    for (std::size_t shard = from.value(); shard < context_.retained_in.size(); ++shard) {
        if (context_.retained_in[shard].load() > 0) return ShardId(static_cast<uint32_t>(shard));
    }
    return std::nullopt;
}

void NodeLoopPort::loop_route(std::string_view filter, bool add, uint64_t token) {
    DirectoryOp op;
    op.kind = add ? DirectoryOp::Kind::AddLoop : DirectoryOp::Kind::RemoveLoop;
    op.filter = filter;
    op.loop = context_.loop;
    route_ops_.push_back(std::move(op));
    if (owner_distributes()) {
        route_tokens_.push_back(token);  // one for each op
        if (token == 0) return;
        routes_asked_.insert(token);
        route_token_ = std::max(route_token_, token);
    } else if (token != 0) {
        route_tokens_.push_back(token);
    }
}

bool NodeLoopPort::match(std::string_view topic, Destinations& out) {
    return reader_.pin().match(topic, out);
}

uint64_t NodeLoopPort::table_version() {
    reader_.pin();
    return reader_.version();
}

// Before the turn's own commands are staged: those follow what they were numbered after.
void NodeLoopPort::follow_leaders() {
    const uint64_t changes = outbound_.leader_changes();
    if (changes == leader_changes_) return;
    leader_changes_ = changes;
    for (std::size_t shard = 0; shard < lanes_.size(); ++shard) {
        const ShardId id(static_cast<uint32_t>(shard));
        const GroupId group = group_of(id);
        const Leaders::Place place = outbound_.leader_place(group);
        if (place == places_[shard] || place.node == NodeId()) continue;
        places_[shard] = place;
        if (lanes_[shard] != nullptr && lanes_[shard]->moved(place)) {
            lanes_[shard]->resend(outbound_.leader(group).commands);
        }
        if (const auto& stream = streams_[shard]; stream != nullptr) {
            const bool begun = stream->items.open() || stream->items.unanswered() > 0;
            stream->items.broken();
            stream->begin_at = {};
            if (begun) begin(id, *stream);
        }
        sink_.on_moved(id);
    }
}

void NodeLoopPort::receive() {
    follow_leaders();
    context_.exchange.mailbox(context_.loop).take(arrived_);
    for (const auto& parcel : arrived_) {
        for (const RetainedPage& page : parcel->retained)
            sink_.on_retained(page);
        if (parcel->publishes.count > 0) sink_.on_publishes(parcel->publishes);
        if (parcel->deliveries.count > 0) sink_.on_deliveries(parcel->deliveries);
        for (const SharedDelivery& delivery : parcel->shared)
            sink_.on_shared(delivery);
        if (!parcel->taken.taken.empty()) {
            const std::size_t answers = parcel->taken.taken.size();
            const PortRef from = parcel->from;
            if (from.local() && context_.exchange.is_loop(from.port)) {
                return_loop_credit(context_.exchange.loop_at(from.port), answers);
            } else {
                for (std::size_t i = 0; i < answers; ++i)
                    return_credit();
            }
            sink_.on_taken(parcel->taken);
        }
        for (const StreamAnswer& answer : parcel->stream_answers)
            on_stream_answer(answer);
        for (const GroupAnswer& answer : parcel->answers)
            on_answer(answer);
        // After the answers: a connection that was attached in the same turn is known by then.
        for (const LetGoRequest& request : parcel->let_go)
            sink_.on_let_go(request);
        for (const uint64_t token : parcel->shown)
            on_shown(token);
        context_.exchange.done(outbound_.self(), parcel->message_bytes());
    }
    arrived_.clear();
    if (owner_distributes()) look_after_streams();
    if (refused_ && relaxed()) {
        refused_ = false;
        sink_.on_credit();
    }
}

void NodeLoopPort::on_answer(const GroupAnswer& routed) {
    const auto shard = shard_of_group(routed.group);
    if (!shard || shard->value() >= lanes_.size()) return;
    LaneClient& client = lane(*shard);
    if (routed.answer.code == AnswerCode::Gap) {
        client.resend(outbound_.leader(routed.group).commands);
        return;
    }
    const bool was_full = client.full();
    if (const auto token = client.answered(routed.answer.number)) {
        sink_.on_answer(*token, routed.answer);
    }
    if (was_full && !client.full()) sink_.on_credit();
}

// Front-ends take a token for shown when a later one is, so none is told before those that came
// before it.
void NodeLoopPort::on_shown(uint64_t token) {
    if (!owner_distributes()) return sink_.on_shown(token);
    const bool first = !routes_asked_.empty() && *routes_asked_.begin() == token;
    routes_asked_.erase(token);
    if (!first) return;
    const uint64_t shown = routes_asked_.empty() ? route_token_ : *routes_asked_.begin() - 1;
    sink_.on_shown(shown);
}

void NodeLoopPort::send_routes() {
    if (route_ops_.empty()) return;
    Exchange& exchange = context_.exchange;
    if (!owner_distributes()) {
        auto parcel = std::make_unique<LoopParcel>();
        parcel->from = local_port(outbound_.self());
        parcel->shown = std::exchange(route_tokens_, {});
        context_.directory.change(
            std::exchange(route_ops_, {}),
            [&exchange, loop = context_.loop, held = std::move(parcel)]() mutable {
                if (!held->shown.empty()) exchange.post(loop, std::move(held));
            });
        return;
    }
    // First this node's own threads, then the node's routes.
    std::map<uint16_t, std::unique_ptr<WorkerParcel>> parcels;
    for (std::size_t i = 0; i < route_ops_.size(); ++i) {
        const DirectoryOp& op = route_ops_[i];
        const auto shard = shard_of_filter(op.filter, context_.layout);
        const WorkerId worker = exchange.worker_of(shard ? group_of(*shard) : kWildcardsGroup);
        auto& parcel = parcels[worker.value()];
        if (parcel == nullptr) {
            parcel = std::make_unique<WorkerParcel>();
            parcel->from = local_port(outbound_.self());
        }
        const bool add = op.kind == DirectoryOp::Kind::AddLoop;
        parcel->node_routes.push_back({context_.loop, op.filter, add, route_tokens_[i]});
    }
    route_tokens_.clear();
    context_.directory.change(std::exchange(route_ops_, {}),
                              [&exchange, held = std::move(parcels)]() mutable {
                                  for (auto& [worker, parcel] : held)
                                      exchange.post(WorkerId(worker), std::move(parcel));
                              });
}

void NodeLoopPort::flush() {
    send_routes();
    send_streams();
    outbound_.flush();
    reader_.unpin();
}

}  // namespace quorate::cluster
