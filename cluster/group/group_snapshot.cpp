// A group's snapshots: what this replica sends of its state, and how it takes another's.
//
// Received records are written under a generation that no log names. When the last one is there the
// state store is flushed, and then the core's next write names that generation, the snapshot's last
// entry and its configuration, all in one synced batch. Until then a crash leaves the old state and
// the old log; the keys of an unnamed generation are removed at the next start.
#include <algorithm>
#include <utility>

#include "cluster/group/group.h"
#include "cluster/group/group_reader.h"
#include "cluster/mutants.h"
#include "proto/base/assert.h"
#include "storage/keys.h"

namespace quorate::cluster {

void Group::read_chunk(const raft::SnapshotRequest& request) {
    auto source = sources_.find(request.transfer);
    if (request.offset == 0) {
        std::optional<raft::SnapshotMeta> point = raft_->snapshot_point();
        if (!point) return;
        sources_.erase(request.transfer);
        source = sources_
                     .emplace(request.transfer,
                              Source{std::move(*point), std::make_unique<SnapshotReader>(*state_)})
                     .first;
    }
    if (source == sources_.end() || source->second.reader->offset() != request.offset) return;
    SnapshotReader& reader = *source->second.reader;
    Result<SharedBytes> bytes = reader.next(request.bytes_max);
    if (!bytes) {
        fail(GroupHealth::Failed, bytes.error().message);
        return;
    }
    raft_->snapshot_chunk(request, source->second.snapshot, std::move(*bytes), reader.done());
}

void Group::keep_part(const raft::SnapshotPart& part) {
    if (part.offset == 0) {
        last_generation_ = std::max(last_generation_, meta_.generation).next();
        if (mutated(RuleMutant::IngestIntoLivePrefix)) last_generation_ = meta_.generation;
        incoming_.reset();
        incoming_.emplace(
            Incoming{part.snapshot, last_generation_,
                     std::make_unique<SnapshotWriter>(
                         context_.state, storage::state_prefix(options_.id, last_generation_))});
    }
    if (!incoming_) return;
    const Status written = incoming_->writer->add(part.data.text());
    if (!written && written.error().code != ErrorCode::Corrupt) {
        fail(GroupHealth::Failed, written.error().message);
        return;
    }
    if (!written || (part.done && !incoming_->writer->complete())) {
        void_generation(incoming_->generation);
        incoming_.reset();
        raft_->abandon_snapshot();
        return;
    }
    if (!part.done) return;
    flush_state([this, generation = incoming_->generation] { restore(generation); });
}

// What was received of this generation is on stable storage.
void Group::restore(Generation generation) {
    if (health() != GroupHealth::Sound || !incoming_ || incoming_->generation != generation) return;
    const raft::SnapshotMeta snapshot = std::move(incoming_->snapshot);
    incoming_.reset();
    auto state = std::make_unique<storage::StateView>(
        context_.state, storage::state_prefix(options_.id, generation));
    const Result<AppliedRecord> applied = read_applied(*state);
    if (!applied || applied->id != snapshot.last) {
        void_generation(generation);
        raft_->abandon_snapshot();
        return;
    }
    touch();
    if (!raft_->restore(snapshot)) {
        void_generation(generation);
        return;
    }
    if (generation != meta_.generation) replaced_.push_back(meta_.generation);
    meta_.generation = generation;
    meta_.base = snapshot.last;
    meta_.base_chain = 0;
    meta_.configuration = raft::encode(snapshot.configuration);
    committed_.clear();
    take_applied(*applied);
    // The machine still refers to the old view while it loads from the new one.
    state_.swap(state);
    if (Status loaded = machine_.load(*state_, applied_.index, time_); !loaded) {
        fail(GroupHealth::Failed, "a snapshot could not be loaded: " + loaded.error().message);
        return;
    }
    state_written_.store(applied_.index.value(), std::memory_order_release);
    log_spans_.clear();
    log_bytes_.store(0, std::memory_order_relaxed);
}

void Group::flush_state(std::function<void()> then) {
    if (context_.flusher != nullptr) {
        context_.flusher->flush(std::move(then));
        return;
    }
    if (const Status flushed = context_.state.flush(); flushed) {
        then();
    } else {
        fail(GroupHealth::Failed, flushed.error().message);
    }
}

// Its keys are removed; those that a crash brings back are removed at the next start.
void Group::void_generation(Generation generation) {
    storage::StateBatch batch;
    batch.set_prefix(storage::state_prefix(options_.id, generation));
    batch.remove_range({}, {});
    const Status written = context_.state.write(batch);
    if (!written) fail(GroupHealth::Failed, written.error().message);
}

}  // namespace quorate::cluster
