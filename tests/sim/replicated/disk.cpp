#include "tests/sim/replicated/disk.h"

#include <utility>
#include <vector>

#include "proto/base/assert.h"

namespace quorate::sim::replicated {

Disk::Disk(Stage& stage, Checkers& checkers, uint32_t replica)
    : stage_(stage),
      checkers_(checkers),
      replica_(replica),
      log_(store_, stage.plan.mutant == Mutant::VoteAfterAmnesia),
      watch_([this] {
          return storage::DiskUse{100, used_};
      }) {}

void Disk::submit(storage::LogRequest request) {
    checkers_.handed_out(replica_, request.batch);
    waiting_.push_back(std::move(request));
    if (early()) waiting_.back().done();
    begin_sync();
}

bool Disk::early() const {
    return stage_.plan.mutant == Mutant::AcknowledgeBeforeWrite ||
           stage_.plan.mutant == Mutant::ApplyBeforeWrite;
}

void Disk::begin_sync() {
    if (syncing_ > 0 || waiting_.empty()) return;
    syncing_ = waiting_.size();
    const Plan& plan = stage_.plan;
    Micros takes = plan.sync_us + stage_.random.below(plan.sync_spread_us);
    if (plan.stalls != 0 && stage_.random.chance(plan.stalls, 10'000)) {
        takes += stage_.random.below(plan.stall_max_us);
        ++stage_.counts[Count::Stalls];
    }
    Event event;
    event.kind = EventKind::Sync;
    event.node = static_cast<uint8_t>(replica_);
    event.life = life_;
    stage_.after(takes, event);
}

void Disk::write(std::size_t count, bool tell) {
    std::vector<storage::LogRequest> taken;
    std::vector<storage::LogBatch> batches;
    for (; count > 0; --count) {
        taken.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
        batches.push_back(std::move(taken.back().batch));
    }
    ASSERT(store_.write(batches, storage::Durability::Synced).ok(), "memory does not fail");
    for (const storage::LogBatch& batch : batches) {
        checkers_.durable(replica_, batch);
    }
    written_ += taken.size();
    if (!tell || early()) return;
    for (storage::LogRequest& request : taken) {
        request.done();
    }
}

void Disk::synced() {
    write(std::exchange(syncing_, 0), true);
    begin_sync();
}

void Disk::crash(bool damage) {
    if (!waiting_.empty() && stage_.random.chance(1, 2)) {
        write(1 + stage_.random.below(waiting_.size()), false);
    }
    stage_.counts[Count::WritesLost] += waiting_.size();
    waiting_.clear();
    syncing_ = 0;
    // A disk that lies is found out only by what it said of itself before.
    if (damage) write_mark();
    store_.crash(stage_.random);
    state_.crash(stage_.random);
    if (damage) this->damage();
}

void Disk::damage() {
    if (stage_.plan.mutant != Mutant::VoteAfterAmnesia) checkers_.lost(replica_);
    ++stage_.counts[Count::Damages];
    switch (stage_.plan.mutant == Mutant::VoteAfterAmnesia ? 0 : stage_.random.below(3)) {
        case 0:
            store_.forget_writes(1 + stage_.random.below(40));
            break;
        case 1:
            store_.flip_bit(stage_.random);
            break;
        default:
            state_.flip_bit(stage_.random);
            break;
    }
}

Status Disk::flush() {
    ++stage_.counts[Count::Flushes];
    return stage_.plan.mutant == Mutant::CutBeforeFlush ? Status() : state_.flush();
}

void Disk::write_mark() {
    // The store takes everything written for durable: true when nothing is under way.
    ASSERT(store_.write_durable_mark().ok(), "memory does not fail");
    checkers_.marked(replica_);
}

}  // namespace quorate::sim::replicated
