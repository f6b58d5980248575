#include "tests/sim/replicated/machine.h"

#include <algorithm>
#include <variant>

#include "cluster/topics/state_key.h"

namespace quorate::sim::replicated {
namespace {

using cluster::Answer;
using cluster::CommandBody;
using cluster::Family;
using cluster::LaneClass;
using cluster::OutboxTarget;
using cluster::ShardState;

constexpr uint32_t kOutboxWindow = 8;
constexpr std::size_t kHeldMax = 300;
constexpr uint64_t kForgetAfter_ms = 1000;  // Mutant::ReceivedByTimer

cluster::ShardOptions shard_options(const Plan& plan) {
    cluster::ShardOptions options;
    // Small, so that steps end in the middle and bodies are read from the store.
    options.step_limit = 2;
    options.tail_cache_bytes = 256;
    options.outbox_window = kOutboxWindow;
    options.received_ids_max = plan.received_ids_max;
    options.first_number = plan.first_number;
    return options;
}

std::optional<Family> forgotten(Mutant mutant) {
    switch (mutant) {
        case Mutant::ForgetLanes:
            return Family::Lane;
        case Mutant::ForgetRepeats:
            return Family::Repeats;
        case Mutant::ForgetReceived:
            return Family::Received;
        case Mutant::ForgetCursor:
            return Family::Cursor;
        case Mutant::None:
        case Mutant::AcknowledgeBeforeWrite:
        case Mutant::ApplyBeforeWrite:
        case Mutant::CutBeforeFlush:
        case Mutant::VoteAfterAmnesia:
        case Mutant::ReceivedByTimer:
        case Mutant::AnswerBeforeCommit:
        case Mutant::ApplyDifferently:
            break;
    }
    return std::nullopt;
}

}  // namespace

Machine::Machine(Stage& stage, Checkers& checkers, uint32_t replica, uint32_t life)
    : stage_(stage),
      checkers_(checkers),
      replica_(replica),
      incarnation_(replica_incarnation(replica, life)),
      lane_(stage, replica, incarnation_) {}

Status Machine::load(storage::StateStore& store, LogIndex applied, ClusterTime /*time*/) {
    const ShardState::Identity identity{ShardId(0), cluster::ShardLayout{1, 0}};
    const bool installed = state_ != nullptr;
    state_ = std::make_unique<ShardState>(identity, shard_options(stage_.plan));
    applied_ = applied;
    Status loaded = state_->load(store);
    if (installed && loaded) {
        if (applied > LogIndex(0)) ++stage_.counts[Count::SnapshotsInstalled];
        installed_ = true;
        if (stage_.plan.observe && applied.value() % stage_.plan.digest_every == 0) {
            checkers_.state(applied, state_->digest());
        }
    }
    return loaded;
}

void Machine::apply_one(ClusterTime time, std::string_view command, storage::StateBatch& batch) {
    const Status applied = state_->apply(time, command, batch, actions_);
    if (!applied) stage_.violate("a command cannot be applied: " + applied.error().message);
    applied_at_.resize(actions_.answers.size(), time);
    const auto decoded = cluster::decode_command(command);
    if (!decoded) return;
    if (const auto* down = std::get_if<cluster::NodeDown>(&decoded->body)) {
        stage_.fenced(down->incarnation);
    }
    if (stage_.plan.mutant != Mutant::ReceivedByTimer) return;
    if (const auto* put = std::get_if<cluster::OutboxPut>(&decoded->body)) {
        received_.emplace(std::pair(put->session, put->packet_id), time);
    }
}

void Machine::forget_received(ClusterTime time, storage::StateBatch& batch) {
    std::erase_if(received_, [&](const auto& entry) {
        if (time.value() < entry.second.value() + kForgetAfter_ms) return false;
        const auto& [session, id] = entry.first;
        if (const auto view = state_->session(session)) {
            std::string command;
            cluster::CommandHeader header;
            header.lane.lane_class = LaneClass::Leader;
            cluster::encode_command(command, header, cluster::Release{session, view->epoch, id});
            cluster::Actions nobody;
            (void)state_->apply(time, command, batch, nobody);
        }
        return true;
    });
}

void Machine::leave_out(const storage::StateBatch& whole, storage::StateBatch& batch) const {
    const Family left_out = *forgotten(stage_.plan.mutant);
    whole.for_each([&](const storage::StateChange& change) {
        if (static_cast<Family>(change.key.front()) == left_out) return;
        switch (change.op) {
            case storage::StateOp::Put:
                batch.put(change.key, change.value);
                break;
            case storage::StateOp::Remove:
                batch.remove(change.key);
                break;
            case storage::StateOp::RemoveRange:
                batch.remove_range(change.key, change.value);
                break;
        }
    });
}

// Mutant::ApplyDifferently: one replica does not carry out what all others do.
bool Machine::leaves_out(LogIndex index) const {
    return stage_.plan.mutant == Mutant::ApplyDifferently && replica_ == 1 &&
           index.value() % 100 == 0;
}

Status Machine::apply(const cluster::CommandEntry& entry, storage::StateBatch& batch) {
    checkers_.applied(replica_, entry.id, group_->term());
    const bool forgets = forgotten(stage_.plan.mutant).has_value();
    storage::StateBatch whole;
    storage::StateBatch& into = forgets ? whole : batch;
    cluster::CommandReader commands = entry.commands;
    while (const auto command = commands.next()) {
        if (!leaves_out(entry.id.index)) apply_one(entry.time, *command, into);
    }
    if (!received_.empty()) forget_received(entry.time, into);
    state_->end_entry(into);
    if (forgets) leave_out(whole, batch);
    applied_ = entry.id.index;
    if (stage_.plan.observe && entry.id.index.value() % stage_.plan.digest_every == 0) {
        checkers_.state(entry.id.index, state_->digest());
    }
    return commands.finished() ? Status() : Error{ErrorCode::Corrupt, "an entry"};
}

void Machine::applied(LogIndex index) {
    checkers_.reached(replica_, index);
    if (leading()) send_answers();
    work_left_ = work_left_ || actions_.work_left;
    actions_.clear();
    applied_at_.clear();
    ticking_ = false;
}

void Machine::send_answers() {
    std::map<uint32_t, AnswerPacket> packets;  // by node
    for (std::size_t i = 0; i < actions_.answers.size(); ++i) {
        Answer& answer = actions_.answers[i];
        if (answer.lane.lane_class == LaneClass::Leader) continue;
        const uint32_t node = node_of(answer.lane.incarnation).value();
        AnswerPacket& packet = packets[node >= 100 ? node - 100 : front_node(node - 1)];
        packet.term = term_;
        packet.at.push_back(applied_at_[i]);
        packet.answers.push_back(std::move(answer));
    }
    for (auto& [node, packet] : packets) {
        stage_.send(replica_, node, std::move(packet));
    }
    for (const cluster::LetGo& request : actions_.let_go)
        ask_to_let_go(request);
}

void Machine::ask_to_let_go() {
    std::vector<cluster::LetGo> requests;
    state_->let_gos(requests);
    for (const cluster::LetGo& request : requests)
        ask_to_let_go(request);
}

void Machine::ask_to_let_go(const cluster::LetGo& request) {
    const uint32_t front = node_of(request.connection.incarnation).value() - 1;
    if (front < kFrontsMax) stage_.send(replica_, front_node(front), LetGoPacket{request});
}

void Machine::on_leader(Term term) {
    term_ = term;
    ticking_ = false;
    work_left_ = true;  // what an earlier leader had begun
    made_ = RouteSerial();
    handed_over_.clear();
    done_.clear();
    downs_proposed_.clear();
    under_way_.clear();
    if (term > stage_.newest_term) {
        stage_.newest_term = term;
        stage_.newest_leader = replica_;
        stage_.leader_time = state_->now().value();
        stage_.world.observe_time(stage_.leader_time);
    }
    if (term > Term(1)) {
        stage_.counts[Count::WillsAcrossFailOver] += state_->counts().wills_pending;
    }
    announce();
    ask_to_let_go();
}

void Machine::on_follower(Term /*term*/) {
    held_.clear();
    done_.clear();
}

void Machine::announce() {
    for (uint32_t front = 0; front < stage_.plan.fronts; ++front) {
        stage_.send(replica_, front_node(front), LeaderPacket{term_});
    }
    for (uint32_t other = 0; other < stage_.plan.nodes; ++other) {
        stage_.send(replica_, other, LeaderPacket{term_});
    }
}

void Machine::take(const CommandPacket& packet) {
    // Whoever hears nothing asks again.
    if (!leading() || held_.size() >= kHeldMax) return;
    packet.parcel.for_each([this](GroupId /*group*/, std::string_view command) {
        if (stage_.plan.mutant == Mutant::AnswerBeforeCommit) answer_early(command);
        propose(std::string(command));
    });
}

// Mutant::AnswerBeforeCommit.
void Machine::answer_early(std::string_view command) {
    const auto decoded = cluster::decode_command(command);
    if (!decoded || !std::holds_alternative<cluster::Enqueue>(decoded->body)) return;
    const uint32_t node = node_of(decoded->header.lane.incarnation).value();
    if (node >= 100) return;
    AnswerPacket packet;
    packet.term = term_;
    packet.at.push_back(group_->time());
    Answer& answer = packet.answers.emplace_back();
    answer.lane = decoded->header.lane;
    answer.number = decoded->header.number;
    answer.token = decoded->header.token;
    stage_.send(replica_, front_node(node - 1), std::move(packet));
}

void Machine::take(const AnswerPacket& packet) {
    for (const Answer& answer : packet.answers) {
        if (answer.lane.incarnation != incarnation_) continue;
        const auto token = lane_.answered(answer);
        if (!token || answer.code == cluster::AnswerCode::StaleSource) continue;
        const auto found = under_way_.find(*token);
        if (found == under_way_.end()) continue;
        done_[found->second.first].push_back(found->second.second);
        under_way_.erase(found);
    }
}

void Machine::propose(std::string command) {
    if (held_.empty() && try_propose(command)) return;
    held_.push_back(std::move(command));
}

bool Machine::try_propose(std::string_view command) {
    if (group_->propose(command).ok()) return true;
    if (group_->disk() != storage::DiskState::Full) return false;
    const auto decoded = cluster::decode_command(command);
    if (!decoded || !state_->may_refuse(*decoded)) {
        return group_->propose(command, cluster::Growth::Frees).ok();
    }
    std::string refusal;
    cluster::encode_command(refusal, decoded->header, cluster::Void{true});
    return group_->propose(refusal, cluster::Growth::Frees).ok();
}

void Machine::propose_own(const CommandBody& body) {
    cluster::CommandHeader header;
    header.lane = {incarnation_, 0, LaneClass::Leader};
    std::string command;
    cluster::encode_command(command, header, body);
    propose(std::move(command));
}

void Machine::owe_node_downs() {
    for (const Incarnation incarnation : stage_.down) {
        if (downs_proposed_.insert(incarnation).second) propose_own(cluster::NodeDown{incarnation});
    }
    if (!std::exchange(work_left_, false)) return;
    propose_own(cluster::Tick{});
    for (const Incarnation incarnation : state_->attached_incarnations()) {
        const bool again = stage_.is_down(incarnation) && !stage_.down.contains(incarnation);
        if (again) propose_own(cluster::NodeDown{incarnation});
    }
}

void Machine::work() {
    if (!leading()) return;
    while (!held_.empty() && try_propose(held_.front())) {
        held_.pop_front();
    }
    owe_node_downs();
    const ClusterTime now = group_->time();
    const auto deadline = state_->next_deadline();
    if (deadline && *deadline <= now && !ticking_) {
        ticking_ = true;
        propose_own(cluster::Tick{});
    }
    for (auto& [target, numbers] : std::exchange(done_, {}))
        propose_own(cluster::OutboxDone{target, std::move(numbers)});
    if (const auto wanted = state_->wanted_routes(made_, 1); !wanted.empty()) {
        made_ = wanted[0].route.serial;
        cluster::Made body;
        body.routes.push_back({wanted[0].made_filter, wanted[0].member, made_});
        propose_own(body);
    }
    drive_outbox();
    lane_.flush();
}

void Machine::drive_outbox() {
    for (const OutboxTarget& target : state_->outbox_targets()) {
        OutboxNumber& after = handed_over_[target];
        const Status read = state_->outbox_window(
            target, after, kOutboxWindow, group_->time(),
            [&, target = target](const cluster::OutboxEntryView& entry) {
                after = entry.source.number;
                if (!stage_.world.first_hand_over(after)) ++stage_.counts[Count::HandOverRepeats];
                std::string message;
                mqtt::encode_message(message, entry.message);
                cluster::Command command;
                command.header.lane = {incarnation_, 0, LaneClass::Publish};
                command.header.token = next_token_++;
                command.header.fence = cluster::SourceFence{ShardId(0), term_};
                command.body = cluster::Enqueue{message, entry.source, std::nullopt};
                under_way_.emplace(command.header.token, std::pair(target, after));
                if (!lane_.submit(command)) stage_.violate("R-3: a window of 4,096 is full");
            });
        if (!read) found_damage(read.error().message);
    }
}

void Machine::poll() {
    lane_.poll();
    if (!leading()) return;
    // Once a second or so; whoever heard it already does nothing.
    if (!stage_.random.chance(1, 8)) return;
    announce();
    ask_to_let_go();
}

bool Machine::idle() const {
    return held_.empty() && done_.empty() && lane_.unanswered() == 0 && !work_left_ &&
           state_->outbox_targets().empty();
}

}  // namespace quorate::sim::replicated
