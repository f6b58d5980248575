#include "cluster/router/worker_router.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "cluster/group/group_ids.h"
#include "cluster/router/leader/group_runner_base.h"
#include "cluster/router/leader/shard_runner.h"
#include "proto/base/assert.h"

namespace quorate::cluster {
namespace {

// What a worker may have unanswered in a lane follows from what its askers may have unanswered at
// it, so the lane itself never refuses.
constexpr LaneWindow kWorkerLane{UINT32_MAX, UINT64_MAX};

}  // namespace

WorkerRouter::WorkerRouter(const Context& context)
    : context_(context),
      outbound_(context.exchange, context.exchange.port_of(context.worker), context.others),
      owner_(*this, context.layout),
      reader_(context.directory.reader(outbound_.self().value())) {
    if (context.others == nullptr) return;
    nodes_.emplace(WorkerNodes::Context{*this, outbound_, owner_, *context.others, context.layout});
}

ShardRunner* WorkerRouter::shard_runner(ShardId shard) {
    const auto found = runners_.find(group_of(shard));
    ASSERT(found != runners_.end(), "a parcel reached the wrong worker");
    return static_cast<ShardRunner*>(found->second);
}

void WorkerRouter::receive(const WorkerParcel& parcel) {
    if (nodes_) nodes_->look();
    hand_over_held();
    parcel.commands.for_each([this](GroupId group, std::string_view command) {
        if (GroupRunnerBase* runner = leading(group)) runner->propose(command);
    });
    parcel.owned.for_each([&](Ticket ticket, uint8_t flags, const mqtt::MessageView& message) {
        const bool here = context_.others == nullptr ||
                          leading_shard(shard_of_topic(message.topic, context_.layout)) != nullptr;
        if (!here) return;
        owner_.publish(parcel.from, ticket, message, (flags & WorkerParcel::kSkipLoops) != 0);
    });
    parcel.live.for_each([this](Ticket shard, uint8_t, const mqtt::MessageView& message) {
        ShardRunner* runner = leading_shard(ShardId(static_cast<uint32_t>(shard)));
        if (runner != nullptr) runner->publish_live(message);
    });
    for (const HandOver& entry : parcel.hand_overs)
        hand_over(entry);
    parcel.group_batch.for_each(
        [&](ShardId shard, std::string_view group, Ticket ticket, std::string_view flat) {
            GroupPublish publish;
            publish.from = parcel.from;
            publish.group = {shard, std::string(group)};
            publish.ticket = ticket;
            publish.message = SharedBytes(as_bytes(flat));
            if (ShardRunner* runner = leading_shard(shard)) runner->publish_group(publish);
        });
    const auto hand_to = [this](ShardId shard, const auto& work) {
        if (ShardRunner* runner = leading_shard(shard)) work(*runner);
    };
    for (const GroupPublish& publish : parcel.groups)
        hand_to(publish.group.shard, [&](ShardRunner& to) { to.publish_group(publish); });
    for (const Want& want : parcel.wants)
        hand_to(want.shard, [&](ShardRunner& to) { to.want(want); });
    for (const SharedAck& ack : parcel.shared_acks)
        hand_to(ack.shard, [&](ShardRunner& to) { to.shared_ack(ack); });
    for (const SharedPresence& presence : parcel.presence)
        hand_to(presence.shard, [&](ShardRunner& to) { to.presence(presence); });
    for (const RetainedQuery& query : parcel.retained)
        read_retained(query);
    for (const HandOverDone& done : parcel.done)
        hand_to(done.source, [&](ShardRunner& to) { to.hand_over_done(done); });
    if (nodes_) nodes_->receive(parcel);
    for (const TakenBatch::Taken& taken : parcel.taken.taken) {
        if (!nodes_ || !nodes_->taken(taken)) owner_.on_taken(taken);
    }
    for (const GroupAnswer& answer : parcel.answers)
        on_answer(answer);
    for (const GroupAnswer& answer : parcel.shown_answers)
        route_answer(GroupAnswer(answer));
    for (const auto& [group, term] : parcel.tables_shown) {
        if (GroupRunnerBase* runner = leading(group)) runner->tables_shown(term);
    }
    if (parcel.wildcards_shown) runners_.at(kWildcardsGroup)->shown(*parcel.wildcards_shown);
    context_.exchange.done(outbound_.self(), parcel.message_bytes());
}

// What a runner of this node may be asked for. Alone every group is led here, and what comes before
// it is waits; among others whoever asks is to look for the leader again.
GroupRunnerBase* WorkerRouter::leading(GroupId group) {
    const auto found = runners_.find(group);
    if (context_.others == nullptr) {
        ASSERT(found != runners_.end(), "a parcel reached the wrong worker");
        return found->second;
    }
    return found != runners_.end() && found->second->leading() ? found->second : nullptr;
}

ShardRunner* WorkerRouter::leading_shard(ShardId shard) {
    return static_cast<ShardRunner*>(leading(group_of(shard)));
}

void WorkerRouter::start(GroupRunnerBase& runner) {
    runner.start_serving();
}

bool WorkerRouter::end_turn() {
    bool proposed = false;
    for (auto& [group, runner] : runners_)
        proposed = runner->end_turn() || proposed;
    hand_over_held();
    if (nodes_) nodes_->end_turn();
    outbound_.flush();
    reader_.unpin();
    return proposed;
}

void WorkerRouter::hand_over(const HandOver& entry) {
    const ShardId shard = entry.source.stream.target.shard;
    if (!nodes_) return owner_.hand_over(entry);
    if (leading_shard(shard) == nullptr) return;  // sent again to who leads
    if (hand_over_order_.accept(entry)) hand_over_accepted(entry);
}

void WorkerRouter::hand_over_accepted(const HandOver& entry) {
    const ShardId shard = entry.source.stream.target.shard;
    if (leading_shard(shard) == nullptr) return;
    if (!held_.empty() || !nodes_->may_act(shard)) return held_.push_back(entry);
    owner_.hand_over(entry);
}

void WorkerRouter::hand_over_held() {
    if (held_.empty()) return;
    for (const HandOver& entry : std::exchange(held_, {}))
        hand_over_accepted(entry);
}

void WorkerRouter::moved(GroupId group) {
    const Leaders::Place place = outbound_.leader_place(group);
    const auto found = lanes_.find(group);
    if (found != lanes_.end()) {
        for (auto& client : found->second) {
            if (client == nullptr || !client->moved(place)) continue;
            client->resend(outbound_.leader(group).commands);
        }
    }
    for (auto& [id, runner] : runners_)
        runner->moved(group);
}

void WorkerRouter::peers_changed() {
    for (auto& [id, runner] : runners_)
        runner->peers_changed();
}

void WorkerRouter::load_table() {
    (void)reader_.pin();
}

void WorkerRouter::match_all(std::string_view topic, Destinations& out) {
    (void)match(topic, out, true);
}

bool WorkerRouter::confirm(ShardId shard, uint64_t round) {
    ShardRunner* runner = leading_shard(shard);
    if (runner == nullptr) return false;
    return runner->confirm(
        [this, shard, round](bool confirmed) { nodes_->round(shard, round, confirmed); });
}

void WorkerRouter::send_route(GroupId holder, const NodeRoutes::Change& change) {
    Route body;
    body.filter = change.filter;
    body.destination = Destination::to_node(incarnation_);
    body.best_qos = mqtt::QoS::ExactlyOnce;
    body.remove = change.remove;
    body.serial = change.serial;
    submit(holder, LaneClass::Control, lane_token(LaneUser::NodeRoutes, change.token), std::nullopt,
           body);
}

LaneClient& WorkerRouter::lane(GroupId group, LaneClass lane_class) {
    ASSERT(lane_class != LaneClass::Leader, "a leader's own commands are not numbered");
    auto& client = lanes_[group][static_cast<std::size_t>(lane_class)];
    if (client == nullptr) {
        const Lane lane{incarnation_, outbound_.self().value(), lane_class};
        client = std::make_unique<LaneClient>(group, lane, kWorkerLane);
    }
    return *client;
}

void WorkerRouter::submit(GroupId group, LaneClass lane_class, uint64_t token,
                          std::optional<SourceFence> fence, const CommandBody& body) {
    CommandParcel& out = outbound_.leader(group).commands;
    const bool sent = lane(group, lane_class).submit(token, fence, body, out);
    ASSERT(sent, "a worker's lane has no bound of its own");
}

bool WorkerRouter::admit_unanswered(GroupId group, uint64_t bytes) {
    const uint64_t waits = lane(group, LaneClass::Publish).bytes();
    if (waits == 0 || waits + bytes <= context_.exchange.unread_bytes_max()) return true;
    context_.exchange.count_drop();
    return false;
}

void WorkerRouter::route_answer(GroupAnswer&& answer) {
    const Lane& lane = answer.answer.lane;
    if (lane.lane_class == LaneClass::Leader) return;  // the leader's own: nobody waits
    const PortId port(lane.producer);
    const bool ours = node_of(lane.incarnation) == node_of(incarnation_);
    // Of an earlier start of this node, or of a port that it has no more.
    if (ours && lane.incarnation != incarnation_) return;
    if (ours && port.value() >= context_.exchange.ports()) return;
    outbound_.answers({ours ? Incarnation() : lane.incarnation, port}).push_back(std::move(answer));
}

void WorkerRouter::on_answer(const GroupAnswer& routed) {
    const Answer& answer = routed.answer;
    LaneClient& client = lane(routed.group, answer.lane.lane_class);
    if (answer.code == AnswerCode::Gap) {
        client.resend(outbound_.leader(routed.group).commands);
        return;
    }
    const auto token = client.answered(answer.number);
    if (!token) return;
    const uint64_t rest = *token & ((uint64_t{1} << 56) - 1);
    const ShardId shard(static_cast<uint32_t>(rest >> 32));
    switch (static_cast<LaneUser>(*token >> 56)) {
        case LaneUser::Owner:
            owner_.on_command(rest, answer);
            return;
        case LaneUser::Routes:
            shard_runner(shard)->route_answered(static_cast<uint32_t>(rest));
            return;
        case LaneUser::HandOver:
            shard_runner(shard)->hand_over_answered(static_cast<uint32_t>(rest));
            return;
        case LaneUser::Group:
            shard_runner(shard)->group_answered(static_cast<uint32_t>(rest), answer);
            return;
        case LaneUser::Unwatched:
            return;
        case LaneUser::NodeRoutes:
            nodes_->route_answered(
                static_cast<uint32_t>(rest),
                answer.code == AnswerCode::Applied || answer.code == AnswerCode::Duplicate);
            return;
        case LaneUser::Replay:
            on_replayed(rest, answer);
            return;
    }
}

bool WorkerRouter::match(std::string_view topic, Destinations& out, bool whole) {
    return reader_.pin().match(
        topic, out, whole ? DirectoryTable::kNoStepLimit : DirectoryTable::kMatchStepsMax);
}

bool WorkerRouter::may_retain(std::string_view topic, bool accepted) {
    if (context_.retained == nullptr) return true;
    if (!accepted && shard_runner(shard_of_topic(topic, context_.layout))->disk_full()) {
        return false;
    }
    const int64_t now = context_.retained->load(std::memory_order_relaxed);
    if (now < 0 || static_cast<uint64_t>(now) < context_.retained_max) return true;
    // Full: only replacing is allowed.
    return shard_runner(shard_of_topic(topic, context_.layout))->has_retained(topic);
}

void WorkerRouter::enqueue(ShardId shard, uint64_t token, const Enqueue& body, ShardId of) {
    const GroupId group = group_of(shard);
    CommandParcel& out = outbound_.leader(group).commands;
    std::optional<SourceFence> fence;
    if (nodes_) fence = SourceFence{of, nodes_->term_of(of)};
    const bool sent = lane(group, LaneClass::Publish)
                          .submit(lane_token(LaneUser::Owner, token), fence, body, out);
    ASSERT(sent, "a worker's lane has no bound of its own");
}

bool WorkerRouter::to_node(Incarnation node, uint64_t token, const SharedBytes& flat,
                           const OutboxSource* source, ShardId of) {
    return nodes_ && nodes_->to_node(node, token, flat, source, of);
}

bool WorkerRouter::first_time(const OutboxSource& source) {
    return !nodes_ || nodes_->first_time(source);
}

void WorkerRouter::retain(ShardId shard, uint64_t token, const Retain& body) {
    submit(group_of(shard), LaneClass::Publish, lane_token(LaneUser::Owner, token), std::nullopt,
           body);
}

void WorkerRouter::to_group(const GroupRoute& group, Ticket ticket, const SharedBytes& flat,
                            const OutboxSource* source) {
    GroupPublish publish{local_port(outbound_.self()), group, ticket, flat, std::nullopt};
    if (source != nullptr) publish.source = *source;
    if (nodes_) return nodes_->to_group(publish);
    outbound_.leader(group_of(group.shard)).groups.push_back(std::move(publish));
}

// Parcels within a node do not get lost, so its own loops have nothing to filter.
void WorkerRouter::to_loop(LoopId loop, Ticket ticket, const mqtt::MessageView& message,
                           const OutboxSource* /*source*/) {
    if (ticket == 0 && !outbound_.admit(loop, message.payload.size())) return;
    outbound_.loop(loop).publishes.add(ticket, 0, message);
}

void WorkerRouter::to_live(ShardId shard, const mqtt::MessageView& message) {
    const GroupId group = group_of(shard);
    if (!outbound_.admit(group, message.payload.size())) return;
    outbound_.leader(group).live.add(shard.value(), 0, message);
}

void WorkerRouter::answer(PortRef asker, const TakenBatch::Taken& taken) {
    if (asker == WorkerNodes::kStreams) return nodes_->distributed(taken);
    outbound_.taken(asker).push_back(taken);
}

void WorkerRouter::answer(const HandOverDone& done) {
    outbound_.leader(group_of(done.source)).done.push_back(done);
}

}  // namespace quorate::cluster
