#include "tests/sim/raft/replica.h"

#include <algorithm>
#include <utility>

#include "proto/base/assert.h"
#include "proto/base/hash.h"

namespace quorate::sim {

SimReplica::SimReplica(uint32_t index, const raft::Configuration& configuration, SimWorld& world)
    : index_(index), world_(world), disk_(configuration) {
    draw_speed();
    world_.checkers.add(index_, disk_);
}

void SimReplica::schedule(SimEventKind kind, Micros after) {
    SimEvent event;
    event.time = world_.now + after;
    event.life = life_;
    event.kind = kind;
    event.replica = static_cast<uint8_t>(index_);
    world_.queue.push(event);
}

void SimReplica::start() {
    if (corrupted_) return notice_corruption();
    const RaftPlan& plan = world_.plan;
    raft::RaftOptions options;
    options.self = ReplicaId(index_ + 1);
    options.election_ticks = plan.election_ticks;
    options.heartbeat_ticks = plan.heartbeat_ticks;
    if (plan.priorities) {
        options.priority = static_cast<uint32_t>(50 * world_.random.below(4));
    }
    priority_ = options.priority;
    if (full_) options.priority = 0;
    options.hand_over_rounds = plan.hand_over_rounds;
    options.quiesce_rounds = plan.quiesce_rounds;
    options.append_bytes_max = plan.append_bytes_max;
    options.window_bytes_max = plan.window_bytes_max;
    options.apply_bytes_max = plan.apply_bytes_max;
    options.log_memory_bytes = plan.log_memory_bytes;
    options.append_entries_max = plan.append_entries_max;
    options.window_entries_max = plan.window_entries_max;
    options.snapshot.chunk_bytes = plan.chunk_bytes;
    options.snapshots_max = 1 + plan.seed % 2;
    options.hold_log_rounds = plan.hold_log_rounds;
    options.seed = world_.random.next();
    ++life_;
    end_pause();
    machine_ = disk_.flushed();
    log_.start(disk_);
    syncing_ = 0;
    turn_due_ = false;
    reads_.clear();
    sources_.clear();
    received_.clear();
    staged_.reset();
    restored_.reset();
    restoring_ = 0;
    silent_ticks_ = 0;
    node_ = std::make_unique<raft::RaftNode>(options, disk_.hard_state(), disk_.start(), disk_);
    node_->set_known(world_.known);
    world_.checkers.started(view());
    schedule(SimEventKind::Tick, 1 + world_.random.below(tick_us_));
    if (plan.cut_every_us != 0) {
        schedule(SimEventKind::Keep, around(world_.random, plan.cut_every_us));
    }
    act();
}

void SimReplica::crash(Micros down) {
    ++world_.counts[RaftCount::Crashes];
    if (log_.latest().configuration.joint()) ++world_.counts[RaftCount::CrashInJoint];
    world_.counts[RaftCount::WritesLost] += disk_.crash(world_.random);
    node_.reset();
    ++life_;
    if (down != 0) schedule(SimEventKind::Restart, down);
}

void SimReplica::go() {
    gone_ = true;
    if (running()) crash(0);
    ++life_;
}

void SimReplica::forget(bool everything) {
    if (running()) crash(1'000);
    disk_.forget(world_.random, everything);
}

void SimReplica::set_known(const std::vector<ReplicaId>& known) {
    if (running()) node_->set_known(known);
}

void SimReplica::pause(Micros until) {
    if (until <= paused_until_) return;
    paused_until_ = until;
    schedule(SimEventKind::Resume, until - world_.now);
}

void SimReplica::resume() {
    if (paused()) return;
    for (SimEvent& event : deferred_) {
        event.time = world_.now;
        world_.queue.push(event);
    }
    deferred_.clear();
}

void SimReplica::end_pause() {
    paused_until_ = world_.now;
    resume();
}

void SimReplica::end_stall() {
    if (syncing_ != 0) schedule(SimEventKind::Sync, 1'000);
}

bool SimReplica::crashes_at(RaftCount site) {
    if (world_.sites_left == 0 || --world_.sites_left != 0) return false;
    world_.sites_left =
        static_cast<uint32_t>(around(world_.random, world_.plan.sites_between_crashes));
    ++world_.counts[site];
    crash(1 + world_.random.below(world_.plan.down_max_us));
    return true;
}

void SimReplica::deliver(const raft::Message& message) {
    if (refuses(message)) return;
    const LogIndex last = node_->log().last().index;
    node_->step(message);
    if (node_->log().last().index < last) ++world_.counts[RaftCount::TailTruncated];
    world_.checkers.observe(view(), false);
    act();
}

void SimReplica::tick() {
    schedule(SimEventKind::Tick, tick_us_);
    if (!node_->needs_ticks() || world_.now < stands_until_) return;
    node_->tick();
    leave_full_disk();
    if (node_->quiescent()) ++world_.counts[RaftCount::Quiesced];
    world_.checkers.observe(view(), false);
    act();
}

bool SimReplica::propose(SharedBytes command) {
    if (full_ || !leads() || !node_->propose(std::move(command)).ok()) return false;
    ++world_.counts[RaftCount::Proposed];
    act();
    return true;
}

bool SimReplica::read() {
    const Result<raft::ReadId> id = node_->read_index();
    if (!id) return false;
    ++world_.counts[RaftCount::Reads];
    world_.checkers.violate(reads_.asked(*id, world_.checkers.committed()));
    act();
    return true;
}

void SimReplica::transfer(ReplicaId to) {
    const Status begun = node_->transfer(to);
    ++world_.counts[begun ? RaftCount::Transfers : RaftCount::TransfersRefused];
    act();
}

void SimReplica::leader_heard(bool heard) {
    if (heard || !node_->quiescent()) {
        silent_ticks_ = 0;
    } else if (++silent_ticks_ >= world_.plan.election_ticks) {
        silent_ticks_ = 0;
        ++world_.counts[RaftCount::Woken];
        node_->wake();
        act();
    }
}

void SimReplica::change(const raft::Configuration& target) {
    if (!node_->change(target).ok()) ++world_.counts[RaftCount::ChangesRefused];
    act();
}

void SimReplica::act() {
    if (world_.plan.lazy_us == 0) {
        turn();
    } else if (!std::exchange(turn_due_, true)) {
        schedule(SimEventKind::Turn, 1 + world_.random.below(world_.plan.lazy_us));
    }
}

void SimReplica::turn() {
    turn_due_ = false;
    do {
        Result<raft::Ready> ready = node_->ready();
        if (!ready) {
            world_.checkers.violate("a sound log cannot be read: " + ready.error().message);
            return;
        }
        if (crashes_at(RaftCount::CrashAfterReady) || !carry_out(*ready)) return;
    } while (node_->has_ready());
}

bool SimReplica::carry_out(raft::Ready& ready) {
    if (ready.persist.value() != 0) write(ready);
    world_.checkers.observe(view(), true);
    for (const raft::ReadState& read : ready.reads) {
        ++world_.counts[RaftCount::ReadsAnswered];
        world_.checkers.violate(reads_.answered(read));
    }
    for (const raft::ReadId id : ready.reads_failed) {
        ++world_.counts[RaftCount::ReadsFailed];
        reads_.failed(id);
    }
    post(ready.messages);
    if (crashes_at(RaftCount::CrashAfterSend)) return false;
    if (!ready.committed.empty() && !apply(ready.committed)) return false;
    return carry_snapshots(ready);
}

bool SimReplica::carry_snapshots(const raft::Ready& ready) {
    for (const raft::TransferId ended : ready.transfers_ended) {
        sources_.erase(ended);
    }
    for (const raft::SnapshotRequest& request : ready.snapshot_requests) {
        if (crashes_at(RaftCount::CrashAtChunk)) return false;
        read_chunk(request);
    }
    for (const raft::SnapshotPart& part : ready.snapshot_parts) {
        if (crashes_at(RaftCount::CrashAtChunk)) return false;
        receive(part);
    }
    return true;
}

void SimReplica::read_chunk(const raft::SnapshotRequest& request) {
    if (request.offset == 0) {
        const std::optional<raft::SnapshotMeta> point = node_->snapshot_point();
        if (!point) return;
        ++world_.counts[RaftCount::SnapshotsSent];
        sources_[request.transfer] = {*point, encode(machine_, world_.plan.snapshot_bytes)};
    }
    const auto source = sources_.find(request.transfer);
    if (source == sources_.end()) return;
    const auto& [meta, bytes] = source->second;
    const std::string part = bytes.substr(request.offset, request.bytes_max);
    const bool done = request.offset + part.size() == bytes.size();
    node_->snapshot_chunk(request, meta, SharedBytes(as_bytes(part)), done);
}

void SimReplica::receive(const raft::SnapshotPart& part) {
    if (part.offset == 0) {
        if (!received_.empty() || staged_) ++world_.counts[RaftCount::SnapshotAfterSnapshot];
        received_.clear();
        staged_.reset();
    }
    if (part.offset != received_.size()) {
        world_.checkers.violate("parts of a snapshot do not follow each other");
        return;
    }
    received_ += part.data.text();
    if (!part.done) return;
    staged_ = SimSnapshot{part.snapshot, decode_machine(received_)};
    received_.clear();
    world_.checkers.received(view(), *staged_);
    SimEvent event;
    event.time = world_.now + world_.plan.sync_us + world_.random.below(world_.plan.sync_spread_us);
    event.life = life_;
    event.argument = ++stages_;
    event.kind = SimEventKind::Restore;
    event.replica = static_cast<uint8_t>(index_);
    world_.queue.push(event);
}

void SimReplica::restore(uint32_t stage) {
    if (!staged_ || stage != stages_) return;
    if (!node_->restore(staged_->meta)) {
        ++world_.counts[RaftCount::SnapshotKnown];
        staged_.reset();
    } else {
        ++world_.counts[RaftCount::SnapshotsInstalled];
        if (disk_.pending() > 0) ++world_.counts[RaftCount::SnapshotWhileWriting];
        machine_ = staged_->state;
        restored_ = std::exchange(staged_, std::nullopt);
        ++restoring_;
    }
    act();
}

void SimReplica::write(raft::Ready& ready) {
    SimWrite write;
    write.number = ready.persist;
    write.truncate_from = ready.truncate_from;
    write.hard_state = ready.hard_state;
    if (ready.restored) {
        write.restored = std::exchange(restored_, std::nullopt);
        log_.restart(ready.restored->last, write.restored->state.chain,
                     ready.restored->configuration);
    }
    write.messages_after = std::move(ready.messages_after);
    if (ready.truncate_from) {
        world_.counts[RaftCount::ChangeTruncated] += log_.truncate(*ready.truncate_from);
    }
    write.entries.reserve(ready.entries.size());
    for (const raft::Entry& entry : ready.entries) {
        if (entry.id.index != log_.last().next()) {
            world_.checkers.violate("entries are handed out with a gap");
            return;
        }
        write.entries.push_back(log_.append(entry));
        world_.checkers.handed_out(view(), write.entries.back());
    }
    disk_.write(std::move(write));
    begin_sync();
}

void SimReplica::begin_sync() {
    if (syncing_ != 0 || disk_.pending() == 0) return;
    syncing_ = disk_.pending();
    const RaftPlan& plan = world_.plan;
    Micros takes = plan.sync_us + world_.random.below(plan.sync_spread_us);
    if (plan.stalls != 0 && world_.random.chance(plan.stalls, 10'000)) {
        takes += world_.random.below(plan.stall_max_us);
        ++world_.counts[RaftCount::Stalls];
    }
    schedule(SimEventKind::Sync, takes);
}

void SimReplica::synced() {
    for (std::size_t left = std::exchange(syncing_, 0); left > 0; --left) {
        if (crashes_at(RaftCount::CrashBeforePersist)) return;
        SimWrite write = disk_.complete();
        if (write.number.value() == 0) continue;
        if (write.restored) --restoring_;
        if (crashes_at(RaftCount::CrashAfterPersist)) return;
        post(write.messages_after);
        node_->persisted(write.number);
    }
    world_.checkers.observe(view(), false);
    if (world_.plan.corrupt_every_us != 0 && world_.random.chance(1, 8)) disk_.write_mark();
    begin_sync();
    act();
}

bool SimReplica::apply(const std::vector<raft::Entry>& committed) {
    if (crashes_at(RaftCount::CrashBeforeApply)) return false;
    for (const raft::Entry& entry : committed) {
        if (entry.id.index != machine_.applied.index.next()) {
            world_.checkers.violate("R4: an entry is applied out of order");
            return false;
        }
        machine_.chain = chain_after(machine_.chain, entry);
        machine_.applied = entry.id;
        machine_.digest = hash64(entry.data.text(), machine_.digest + 1);
        world_.checkers.applied(view());
    }
    if (crashes_at(RaftCount::CrashAfterApply)) return false;
    node_->applied(machine_.applied.index);
    return true;
}

void SimReplica::keep() {
    schedule(SimEventKind::Keep, around(world_.random, world_.plan.cut_every_us));
    // A flush of the restored state changes nothing until that state is the one in force.
    if (restoring_ != 0) return;
    if (crashes_at(RaftCount::CrashBeforeFlush)) return;
    if (world_.plan.mutant != HolderMutant::CutBeforeFlush) disk_.flush(machine_);
    if (crashes_at(RaftCount::CrashAfterFlush)) return;
    const uint64_t applied = machine_.applied.index.value();
    const uint64_t keep = world_.plan.keep_entries;
    const bool too_long = world_.random.below(1000) < world_.plan.too_long;
    const LogIndex to =
        std::min(node_->cut_limit(too_long), LogIndex(applied > keep ? applied - keep : 0));
    // A newcomer that knows only its own idea of the members keeps its log from the beginning.
    if (to <= node_->log().base().index || !node_->configuration_at(to)) return;
    ++world_.counts[RaftCount::Cuts];
    SimWrite write;
    write.cut = to;
    write.configuration = node_->configuration_at(to);
    world_.checkers.cut(view(), to, *write.configuration);
    disk_.write(std::move(write));
    node_->cut(EntryId{to, *node_->log().term_at(to)});
    log_.cut(to);
    begin_sync();
    if (crashes_at(RaftCount::CrashAfterCut)) return;
    act();
}

void SimReplica::post(std::vector<raft::Message>& messages) {
    for (raft::Message& message : messages) {
        world_.checkers.sent(view(), message);
        world_.network.send(std::move(message), world_.now);
    }
}

}  // namespace quorate::sim
