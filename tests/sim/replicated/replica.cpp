#include "tests/sim/replicated/replica.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cluster/group/group_ids.h"
#include "proto/base/assert.h"

namespace quorate::sim::replicated {
namespace {

std::string describe(const raft::Message& message) {
    std::string what =
        fmt::format("message {} of term {}", message.body.index(), message.term.value());
    if (const auto* append = std::get_if<raft::AppendEntries>(&message.body)) {
        what += fmt::format(", {} entries after {}/{}, commit {}", append->entries.size(),
                            append->previous.index.value(), append->previous.term.value(),
                            append->commit.value());
    } else if (const auto* reply = std::get_if<raft::AppendEntriesReply>(&message.body)) {
        what += fmt::format(", {} {}, hint {}", reply->accepted ? "accepted" : "refused",
                            reply->index.value(), reply->hint.index.value());
    }
    return what;
}

uint64_t clock_rate(Stage& stage) {
    if (stage.plan.drift == 0) return 1000;
    return 1000 - stage.plan.drift + stage.random.below(2 * stage.plan.drift + 1);
}

}  // namespace

Replica::Replica(Stage& stage, Checkers& checkers, uint32_t index)
    : stage_(stage),
      checkers_(checkers),
      index_(index),
      clock_(stage, clock_rate(stage), stage.random.below(uint64_t{1} << 40)),
      disk_(std::make_unique<Disk>(stage, checkers, index)) {}

Replica::~Replica() = default;

void Replica::schedule(EventKind kind, Micros after) {
    Event event;
    event.kind = kind;
    event.node = static_cast<uint8_t>(index_);
    event.life = life_;
    stage_.after(after, event);
}

void Replica::allot(ReplicaId self, raft::Configuration configuration) {
    self_ = self;
    configuration_ = std::move(configuration);
}

void Replica::replace_disk() {
    if (running()) crash(0, false);
    ++life_;
    disk_ = std::make_unique<Disk>(stage_, checkers_, index_);
    checkers_.replaced(index_);
    self_ = ReplicaId();
}

void Replica::rejoin(ReplicaId self, const raft::Configuration& configuration) {
    self_ = self;
    const Status begun = group_->rejoin(self, configuration);
    if (!begun) stage_.violate("R-8: a replica cannot begin anew: " + begun.error().message);
    group_->set_known(stage_.known);
    incoming_.reset();
    wake();
}

void Replica::start() {
    const Plan& plan = stage_.plan;
    ++life_;
    disk_->begin_life(life_);
    checkers_.started(index_);
    completions_ = 0;
    turn_due_ = false;
    synced_ = LogIndex();
    states_compared_ = 0;
    appends_refused_ = 0;
    machine_ = std::make_unique<Machine>(stage_, checkers_, index_, life_);
    cluster::GroupRunnerOptions options;
    options.post_log_done = [this] {
        ++completions_;
        wake();
    };
    runner_ = std::make_unique<cluster::GroupRunner>(
        cluster::GroupContext{disk_->log(), disk_->state(), clock_, &disk_->watch(), this, this},
        *disk_, options);
    cluster::GroupOptions group;
    group.id = cluster::group_of(ShardId(0));
    group.self = self_;
    group.configuration = configuration_;
    group.state_check_every = plan.digest_every;
    group.snapshot.chunk_bytes = plan.chunk_bytes;
    group.entry_bytes = plan.entry_bytes;
    if (plan.log_bytes_max != 0) group.log_bytes_max = plan.log_bytes_max;
    group.in_flight_commands_max = plan.in_flight_commands_max;
    group.election_ticks = plan.election_ticks;
    group.heartbeat_ticks = plan.heartbeat_ticks;
    group.seed = stage_.random.next();
    const Result<cluster::Group*> added = runner_->add(group, *machine_);
    ASSERT(added.ok(), "memory does not fail");
    group_ = *added;
    group_->set_known(stage_.known);
    machine_->set_group(group_);
    incoming_.reset();
    judge_start();
    schedule(EventKind::Poll, 1 + stage_.random.below(kTick_us));
    schedule(EventKind::Flush, around(stage_.random, plan.flush_every_us));
    schedule(EventKind::Mark, around(stage_.random, plan.mark_every_us));
    wake();
}

void Replica::judge_start() {
    if (stage_.tracing()) {
        stage_.note(fmt::format("replica {} starts at entry {}: {}", index_ + 1,
                                group_->applied().value(), sound() ? "sound" : group_->failure()));
    }
    if (sound()) {
        if (group_->log_bytes() > 0) ++stage_.counts[Count::Replays];
        if (stage_.plan.observe && !checkers_.is_lost(index_) && group_->applied().value() > 0 &&
            group_->applied().value() % stage_.plan.digest_every == 0) {
            checkers_.state(group_->applied(), machine_->state().digest());
        }
        return;
    }
}

// A flush of its own, with a mark: see Housekeeper.
void Replica::flush(std::function<void()> done) {
    flushes_.push_back(std::move(done));
    if (flushes_.size() > 1) return;
    schedule(EventKind::Flushed, around(stage_.random, stage_.plan.sync_us + kTick_us / 20));
}

void Replica::flushed() {
    ASSERT(disk_->flush().ok(), "memory does not fail");
    disk_->write_mark();
    for (const auto& done : std::exchange(flushes_, {}))
        done();
    wake();
}

bool Replica::sound() const {
    return running() && group_->health() == cluster::GroupHealth::Sound;
}

void Replica::crash(Micros down, bool damage) {
    ++stage_.counts[Count::Crashes];
    if (sound() && group_->configuration().joint()) ++stage_.counts[Count::CrashInJoint];
    stage_.stand_still(index_, 0);
    disk_->crash(damage);
    kept_.clear();
    flushes_.clear();
    runner_.reset();
    machine_.reset();
    group_ = nullptr;
    if (stage_.tracing()) {
        stage_.note(
            fmt::format("replica {} crashes{}", index_ + 1, damage ? " and is damaged" : ""));
    }
    stage_.declare_down(replica_incarnation(index_, life_));
    if (down != 0) schedule(EventKind::Restart, down);
}

void Replica::wake() {
    if (std::exchange(turn_due_, true)) return;
    schedule(EventKind::Turn, 1 + stage_.random.below(stage_.plan.lazy_us));
}

void Replica::send(GroupId /*group*/, raft::Message message) {
    const bool promise = std::holds_alternative<raft::AppendEntriesReply>(message.body) ||
                         std::holds_alternative<raft::RequestVoteReply>(message.body);
    if (stage_.plan.mutant == Mutant::ApplyBeforeWrite && promise) {
        kept_.emplace_back(disk_->submitted(), std::move(message));
        return send_kept();
    }
    post(std::move(message));
}

void Replica::send_kept() {
    while (!kept_.empty() && kept_.front().first <= disk_->written()) {
        post(std::move(kept_.front().second));
        kept_.pop_front();
    }
}

void Replica::post(raft::Message message) {
    checkers_.sent(index_, message);
    const std::optional<uint32_t> to = stage_.node_of_replica(message.to);
    if (to) stage_.send(index_, *to, std::move(message));
}

void Replica::handle(const Event& event, Packet& packet) {
    switch (event.kind) {
        case EventKind::Deliver:
            take(event, packet);
            wake();
            return;
        case EventKind::Turn:
            turn_due_ = false;
            turn();
            return;
        case EventKind::Poll:
            schedule(EventKind::Poll, kTick_us);
            turn();
            machine_->poll();
            return;
        case EventKind::Sync:
            if (stage_.tracing()) stage_.note(fmt::format("replica {} has synced", index_ + 1));
            disk_->synced();
            send_kept();
            return;
        case EventKind::Flushed:
            flushed();
            return;
        default:
            keep(event.kind);
            return;
    }
}

void Replica::take(const Event& event, Packet& packet) {
    if (const auto* message = std::get_if<raft::Message>(&packet)) {
        if (stage_.tracing()) {
            stage_.note(fmt::format("replica {} <- {}: {}", index_ + 1, message->from.value(),
                                    describe(*message)));
        }
        note_snapshot(*message);
        group_->step(*message);
    } else if (const auto* commands = std::get_if<CommandPacket>(&packet)) {
        machine_->take(*commands);
    } else if (const auto* answers = std::get_if<AnswerPacket>(&packet)) {
        machine_->take(*answers);
    } else if (const auto* leader = std::get_if<LeaderPacket>(&packet)) {
        machine_->hear(leader->term, event.from);
    }
}

// A second one during the first: before that is installed, the first part of another came.
void Replica::note_snapshot(const raft::Message& message) {
    const auto* chunk = std::get_if<raft::InstallSnapshot>(&message.body);
    if (machine_->take_installed()) incoming_.reset();
    if (chunk == nullptr || chunk->offset != 0 || message.term < group_->term()) return;
    const std::pair now(message.from, chunk->transfer);
    if (incoming_ && *incoming_ != now) ++stage_.counts[Count::SnapshotAfterSnapshot];
    incoming_ = now;
}

void Replica::turn() {
    for (; completions_ > 0; --completions_) {
        runner_->log_done();
    }
    const bool more = runner_->turn();
    count();
    machine_->work();
    if (more || runner_->turn()) wake();
}

void Replica::count() {
    const cluster::GroupCounters& now = runner_->counters();
    stage_.counts[Count::StatesCompared] +=
        now.state_checks - std::exchange(states_compared_, now.state_checks);
    stage_.counts[Count::AppendsRefused] +=
        now.appends_refused - std::exchange(appends_refused_, now.appends_refused);
}

void Replica::keep(EventKind kind) {
    if (kind == EventKind::Mark) {
        schedule(EventKind::Mark, around(stage_.random, stage_.plan.mark_every_us));
        disk_->write_mark();
        return;
    }
    schedule(EventKind::Flush, around(stage_.random, stage_.plan.flush_every_us));
    // What was read before the last flush may go now; a flush takes that long.
    stage_.flushed[index_] = std::max(stage_.flushed[index_], synced_);
    if (synced_ > LogIndex(0)) runner_->state_synced(group_->id(), std::min(synced_, cut_limit()));
    synced_ = group_->synced_candidate();
    ASSERT(disk_->flush().ok(), "memory does not fail");
    wake();
}

// What everybody holds, where nobody is to need a snapshot.
LogIndex Replica::cut_limit() const {
    LogIndex limit(UINT64_MAX);
    if (stage_.plan.log_bytes_max != 0 || stage_.plan.moves()) return limit;
    for (uint32_t i = 0; i < stage_.plan.replicas; ++i) {
        if (!checkers_.is_lost(i)) limit = std::min(limit, stage_.flushed[i]);
    }
    return limit;
}

}  // namespace quorate::sim::replicated
