#include "tests/unit/rules/network.h"

#include <algorithm>

#include "cluster/group/group_ids.h"
#include "proto/base/assert.h"
#include "proto/mqtt/message.h"
#include "tests/unit/catch.h"

namespace quorate::cluster::rules {

void schedule(const Play& play, std::initializer_list<RuleMutant> mutants) {
    rule_mutant = RuleMutant::None;
    CHECK(play() == "");
    for (const RuleMutant mutant : mutants) {
        rule_mutant = mutant;
        const Violation seen = play();
        rule_mutant = RuleMutant::None;
        INFO("mutant " << static_cast<int>(mutant) << " went unnoticed");
        CHECK(seen != "");
    }
}

// ReplicatedShard.

ReplicatedShard::ReplicatedShard(ShardId id, uint32_t shards, const ShardOptions& options)
    : options_(options) {
    identity_.shard = id;
    identity_.layout.shards = shards;
    for (Replica& replica : replicas_) {
        replica.store = std::make_unique<storage::MemoryStateStore>();
        load(replica);
    }
}

void ReplicatedShard::load(Replica& replica) const {
    replica.state = std::make_unique<ShardState>(identity_, options_);
    const Status status = replica.state->load(*replica.store);
    ASSERT(status.ok(), "a state that was written is loaded");
}

Actions ReplicatedShard::apply(std::string_view command) {
    Actions out;
    for (std::size_t i = 0; i < 2; ++i) {
        Actions actions;
        storage::StateBatch batch;
        const Status applied = replicas_[i].state->apply(now, command, batch, actions);
        ASSERT(applied.ok(), "schedules send commands");
        replicas_[i].state->end_entry(batch);
        const Status written = replicas_[i].store->write(batch);
        ASSERT(written.ok(), "memory takes everything");
        if (i == leader_) out = std::move(actions);
    }
    return out;
}

Actions ReplicatedShard::by_leader(const CommandBody& body) {
    CommandHeader header;
    header.lane.lane_class = LaneClass::Leader;
    std::string bytes;
    encode_command(bytes, header, body);
    return apply(bytes);
}

void ReplicatedShard::elect() {
    leader_ = 1 - leader_;
    ++term_;
}

void ReplicatedShard::move() {
    for (Replica& replica : replicas_)
        load(replica);
    elect();
}

std::vector<std::string> ReplicatedShard::queue(std::string_view client) {
    std::vector<std::string> out;
    const auto session = state().session(client);
    if (!session) return out;
    const Status read = state().read_queue(session->id, MessageNumber(1), 100'000, UINT64_MAX, now,
                                           [&out](const QueueEntryView& entry) {
                                               out.emplace_back(entry.message.payload);
                                               return true;
                                           });
    ASSERT(read.ok(), "a queue in memory is read");
    return out;
}

// LaneEnd.

LaneEnd::LaneEnd(NodeId node, ShardId shard, LaneClass lane_class, uint32_t start,
                 const LaneWindow& window)
    : client_(group_of(shard), {make_incarnation(node, start), 0, lane_class}, window) {}

Wire LaneEnd::open(const CommandParcel& parcel) {
    Wire out;
    parcel.for_each([&out](GroupId, std::string_view bytes) { out.emplace_back(bytes); });
    return out;
}

Wire LaneEnd::send(const CommandBody& body, std::optional<SourceFence> fence, uint64_t token) {
    CommandParcel parcel;
    const bool sent = client_.submit(token, fence, body, parcel);
    ASSERT(sent, "the window of a schedule's lane has room");
    return open(parcel);
}

Wire LaneEnd::resend() const {
    CommandParcel parcel;
    client_.resend(parcel);
    return open(parcel);
}

std::vector<Answer> LaneEnd::deliver(ReplicatedShard& shard, const Wire& wire) {
    std::vector<Answer> answers;
    for (const std::string& command : wire) {
        actions_ = shard.apply(command);
        for (const Answer& answer : actions_.answers) {
            if (answer.lane == client_.lane()) answers.push_back(answer);
        }
    }
    return answers;
}

std::vector<uint64_t> LaneEnd::read(const std::vector<Answer>& answers, Wire* again) {
    std::vector<uint64_t> done;
    for (const Answer& answer : answers) {
        if (answer.code == AnswerCode::Fenced) continue;
        if (answer.code == AnswerCode::Gap) {
            if (again != nullptr) *again = resend();
            continue;
        }
        if (const auto token = client_.answered(answer.number)) done.push_back(*token);
    }
    return done;
}

Answer LaneEnd::ask(ReplicatedShard& shard, const CommandBody& body) {
    const auto answers = deliver(shard, send(body));
    (void)read(answers);
    return answers.empty() ? Answer{} : answers.back();
}

// Commands of clients.

std::string message(std::string_view topic, std::string_view payload, int qos, bool retain) {
    mqtt::MessageView view;
    view.topic = topic;
    view.payload = payload;
    view.qos = static_cast<mqtt::QoS>(qos);
    view.retain = retain;
    std::string out;
    mqtt::encode_message(out, view);
    return out;
}

std::string payload_of(std::string_view flat) {
    const auto view = mqtt::decode_message(flat);
    return view ? std::string(view->payload) : "?";
}

ConnectionRef connection(uint32_t node, uint32_t slot, uint32_t start) {
    ConnectionRef out;
    out.incarnation = make_incarnation(NodeId(node), start);
    out.slot = slot;
    return out;
}

Attach attach(const AttachOptions& options) {
    Attach out;
    out.client_id = options.client;
    out.session_expiry_s = 3600;
    out.receive_maximum = options.receive_maximum;
    out.connection = options.connection;
    if (!options.will.empty()) out.will = WillRequest{options.will, 0};
    return out;
}

Subscribe subscribe(const AttachResult& session, std::string_view filter, int qos) {
    Subscribe out;
    out.session = session.session;
    out.epoch = session.epoch;
    SubscriptionRequest request;
    request.filter = filter;
    request.qos = static_cast<mqtt::QoS>(qos);
    out.requests.push_back(request);
    return out;
}

AttachResult durable_subscriber(ReplicatedShard& shard, LaneEnd& lane, std::string_view client,
                                std::string_view filter, int qos) {
    const ConnectionRef at = connection(node_of(lane.client().lane().incarnation).value());
    const auto session = result_of<AttachResult>(lane.ask(shard, attach({client, at, 10, {}})));
    (void)lane.ask(shard, subscribe(session, filter, qos));
    for (const WantedRoute& wanted : shard.state().wanted_routes(RouteSerial(), 100)) {
        Made made;
        const std::string name(wanted.made_filter);
        made.routes.push_back({name, wanted.member, wanted.route.serial});
        (void)shard.by_leader(made);
    }
    return session;
}

Violation first_deliveries_in_order(const std::vector<std::string>& received) {
    std::vector<std::string> seen;
    for (const std::string& each : received) {
        if (std::ranges::find(seen, each) != seen.end()) continue;
        if (!seen.empty() && std::stoi(each) < std::stoi(seen.back())) {
            return each + " came first after " + seen.back();
        }
        seen.push_back(each);
    }
    return "";
}

Violation exactly(const std::vector<std::string>& received,
                  const std::vector<std::string>& expected) {
    if (received == expected) return "";
    std::string out = "received";
    for (const std::string& each : received)
        out += " " + each;
    return out;
}

}  // namespace quorate::cluster::rules
