#include "tests/sim/crashes/broker.h"

#include <optional>
#include <utility>

#include "cluster/group/group_ids.h"
#include "cluster/topics/state_key.h"
#include "proto/base/assert.h"

namespace quorate::sim::crashes {
namespace {

using cluster::Family;
using cluster::LaneClass;
using cluster::OutboxTarget;

// Its hand-overs have a lane of their own.
constexpr uint16_t kOutboxLane = 1;
constexpr uint32_t kOutboxWindow = 4;

std::optional<Family> forgotten(Mistake mistake) {
    switch (mistake) {
        case Mistake::ForgetReceived:
            return Family::Received;
        case Mistake::ForgetRepeats:
            return Family::Repeats;
        case Mistake::ForgetCursor:
            return Family::Cursor;
        case Mistake::None:
        case Mistake::AcknowledgeBeforeWrite:
        case Mistake::CutBeforeFlush:
            break;
    }
    return std::nullopt;
}

}  // namespace

std::string Broker::start() {
    ++life_;
    told_.clear();
    asked_.clear();
    actions_.clear();
    handed_over_.clear();
    under_way_.clear();
    made_ = RouteSerial();
    last_hand_over_ = 0;
    unapplied_ = 0;
    cluster::GroupRunnerOptions options;
    options.post_log_done = [this] {
        runner_->log_done();
        turn_due_ = true;
    };
    runner_ = std::make_unique<cluster::GroupRunner>(
        cluster::GroupContext{log_store_, state_store_, clock_}, *this, options);
    cluster::GroupOptions group;
    group.id = cluster::group_of(ShardId(0));
    const Result<cluster::Group*> added = runner_->add(group, *this);
    ASSERT(added.ok(), "memory does not fail");
    group_ = *added;
    turn_due_ = true;
    return group_->failure();
}

void Broker::crash(std::size_t log_writes, std::size_t state_batches) {
    runner_.reset();
    group_ = nullptr;
    shard_.reset();
    for (; log_writes > 0; --log_writes) {
        const Status written =
            log_store_.write({&waiting_.front().batch, 1}, storage::Durability::Synced);
        ASSERT(written.ok(), "memory does not fail");
        waiting_.pop_front();
    }
    waiting_.clear();
    state_store_.crash(state_batches);
}

void Broker::submit(storage::LogRequest request) {
    waiting_.push_back(std::move(request));
    if (mistake_ == Mistake::AcknowledgeBeforeWrite) waiting_.back().done();
}

void Broker::write() {
    storage::LogRequest request = std::move(waiting_.front());
    waiting_.pop_front();
    const Status written = log_store_.write({&request.batch, 1}, storage::Durability::Synced);
    ASSERT(written.ok(), "memory does not fail");
    if (mistake_ != Mistake::AcknowledgeBeforeWrite) request.done();
}

bool Broker::step() {
    if (std::exchange(turn_due_, false)) {
        if (runner_->turn()) turn_due_ = true;
        work();
        return true;
    }
    if (waiting_.empty()) return false;
    write();
    return true;
}

void Broker::keep_house() {
    const LogIndex synced = group_->synced_candidate();
    if (mistake_ != Mistake::CutBeforeFlush) {
        ASSERT(state_store_.flush().ok(), "memory does not fail");
    }
    runner_->state_synced(group_->id(), synced);
    turn_due_ = true;
}

void Broker::propose(const std::string& command) {
    ASSERT(group_->propose(command).ok(), "a lone leader takes what is proposed");
    turn_due_ = true;
}

void Broker::propose_own(const cluster::CommandBody& body) {
    std::string command;
    cluster::CommandHeader header;
    header.lane = {incarnation(), 0, LaneClass::Leader};
    cluster::encode_command(command, header, body);
    propose(command);
}

Status Broker::load(storage::StateStore& store, LogIndex /*applied*/, ClusterTime /*time*/) {
    cluster::ShardOptions options;
    options.step_limit = 2;
    options.tail_cache_bytes = 256;
    options.outbox_window = kOutboxWindow;
    shard_ = std::make_unique<cluster::ShardState>(
        cluster::ShardState::Identity{ShardId(0), cluster::ShardLayout{1, 0}}, options);
    return shard_->load(store);
}

Status Broker::apply(const cluster::CommandEntry& entry, storage::StateBatch& batch) {
    storage::StateBatch whole;
    const std::optional<Family> left_out = forgotten(mistake_);
    storage::StateBatch& into = left_out ? whole : batch;
    cluster::CommandReader commands = entry.commands;
    while (const auto command = commands.next()) {
        if (Status done = shard_->apply(entry.time, *command, into, actions_); !done) return done;
    }
    shard_->end_entry(into);
    whole.for_each([&](const storage::StateChange& change) {
        if (static_cast<Family>(change.key.front()) == *left_out) return;
        if (change.op == storage::StateOp::Put) batch.put(change.key, change.value);
        if (change.op == storage::StateOp::Remove) batch.remove(change.key);
        if (change.op == storage::StateOp::RemoveRange) {
            batch.remove_range(change.key, change.value);
        }
    });
    return {};
}

void Broker::applied(LogIndex /*index*/) {
    if (group_ != nullptr && group_->leading()) {
        for (cluster::Answer& answer : actions_.answers) {
            if (answer.lane.incarnation != incarnation()) continue;
            if (answer.lane.lane_class == LaneClass::Leader) continue;
            if (answer.lane.producer != kOutboxLane) {
                told_.push_back(std::move(answer));
                continue;
            }
            const auto found = under_way_.extract(answer.number.value());
            if (found)
                propose_own(cluster::OutboxDone{found.mapped().first, {found.mapped().second}});
        }
        asked_.insert(asked_.end(), actions_.let_go.begin(), actions_.let_go.end());
        owes_node_downs_ = owes_node_downs_ || actions_.work_left;
        if (actions_.work_left) propose_own(cluster::Tick{});
    }
    actions_.clear();
}

void Broker::on_leader(Term /*term*/) {
    owes_node_downs_ = true;
    shard_->let_gos(asked_);
}

void Broker::work() {
    if (!group_->leading()) return;
    if (std::exchange(owes_node_downs_, false)) {
        for (const Incarnation one : shard_->attached_incarnations()) {
            if (one < incarnation()) propose_own(cluster::NodeDown{one});
        }
    }
    if (const auto wanted = shard_->wanted_routes(made_, 1); !wanted.empty()) {
        made_ = wanted[0].route.serial;
        cluster::Made body;
        body.routes.push_back({wanted[0].made_filter, wanted[0].member, made_});
        propose_own(body);
    }
    hand_over();
}

// To itself: every topic is its own.
void Broker::hand_over() {
    std::vector<std::string> commands;
    for (const OutboxTarget& target : shard_->outbox_targets()) {
        OutboxNumber& after = handed_over_[target];
        const Status read = shard_->outbox_window(
            target, after, kOutboxWindow, time(),
            [&, target = target](const cluster::OutboxEntryView& entry) {
                after = entry.source.number;
                std::string message;
                mqtt::encode_message(message, entry.message);
                cluster::CommandHeader header;
                header.lane = {incarnation(), kOutboxLane, LaneClass::Publish};
                header.number = CommandNumber(++last_hand_over_);
                under_way_.emplace(last_hand_over_, std::pair(target, after));
                cluster::encode_command(commands.emplace_back(), header,
                                        cluster::Enqueue{message, entry.source, std::nullopt});
            });
        ASSERT(read.ok(), "memory does not fail");
    }
    for (const std::string& command : commands)
        propose(command);
}

}  // namespace quorate::sim::crashes
