#include "tests/sim/raft/disk.h"

#include <utility>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/hash.h"

namespace quorate::sim {

uint64_t chain_after(uint64_t chain, const raft::Entry& entry) {
    const uint64_t place = entry.id.index.value() * 0x9E3779B97F4A7C15ULL +
                           entry.id.term.value() * 0xC2B2AE3D27D4EB4FULL +
                           static_cast<uint64_t>(entry.kind);
    return hash64(entry.data.text(), chain ^ place);
}

Result<std::vector<raft::Entry>> SimDisk::read(LogIndex from, LogIndex to,
                                               std::size_t bytes_max) const {
    std::vector<raft::Entry> entries;
    std::size_t bytes = 0;
    for (LogIndex index = from; index < to; ++index) {
        const ChainedEntry* stored = at(index);
        if (stored == nullptr) return Error{ErrorCode::Corrupt, "an entry that is not on the disk"};
        bytes += stored->entry.data.size();
        if (!entries.empty() && bytes > bytes_max) break;
        entries.push_back(stored->entry);
    }
    return entries;
}

SimWrite SimDisk::complete() {
    SimWrite write = std::move(pending_.front());
    pending_.pop_front();
    make_durable(write);
    return write;
}

std::size_t SimDisk::crash(Random& random) {
    for (uint64_t kept = random.below(pending_.size() + 1); kept > 0; --kept) {
        (void)complete();
    }
    return std::exchange(pending_, {}).size();
}

void SimDisk::forget(Random& random, bool everything) {
    pending_.clear();
    if (everything) {
        const raft::Configuration configuration = configuration_;
        *this = SimDisk(configuration);
        return;
    }
    hard_state_.voted_for = ReplicaId(0);
    for (uint64_t lost = 1 + random.below(5); lost > 0 && last().index > flushed_.applied.index;
         --lost) {
        entries_.pop_back();
    }
}

void SimDisk::write_mark() {
    const ChainedEntry* end = at(last().index);
    mark_ = Mark{last().index, end == nullptr ? base_chain_ : end->chain, truncations_,
                 hard_state_.term};
}

void SimDisk::corrupt(Random& random) {
    pending_.clear();
    // After a truncation a mark of before says nothing of the log's end.
    if (mark_.truncations != truncations_ || mark_.last < base_.index) write_mark();
    const uint64_t marked = mark_.last.value() - base_.index.value();  // entries
    switch (marked == 0 ? 2 : random.below(3)) {
        case 0:
            entries_.resize(random.below(marked));
            return;
        case 1:
            entries_[random.below(marked)].entry.data = SharedBytes(as_bytes("damaged"));
            return;
        default:
            write_mark();
            hard_state_ = raft::HardState{Term(hard_state_.term.value() - 1), {}, {}};
            return;
    }
}

std::string SimDisk::amnesia() const {
    uint64_t chain = base_chain_;
    for (const ChainedEntry& stored : entries_) {
        chain = chain_after(chain, stored.entry);
        if (chain != stored.chain) return "an entry does not continue the one before it";
    }
    if (hard_state_.term < mark_.term) return "a later term was promised";
    if (truncations_ > mark_.truncations) return {};
    if (last().index < mark_.last) return "the log was durable further";
    const ChainedEntry* marked = at(mark_.last);
    if (marked != nullptr && marked->chain != mark_.chain) return "another log was durable";
    return {};
}

std::string encode(const MachineState& state, std::size_t bytes) {
    std::string out;
    RecordWriter writer(out);
    writer.id(state.applied.index);
    writer.id(state.applied.term);
    writer.u64(state.chain);
    writer.u64(state.digest);
    out.append(bytes, 'x');
    return out;
}

MachineState decode_machine(std::string_view bytes) {
    RecordReader reader(bytes);
    MachineState state;
    state.applied.index = reader.id<LogIndex>();
    state.applied.term = reader.id<Term>();
    state.chain = reader.u64();
    state.digest = reader.u64();
    return state;
}

void SimDisk::make_durable(const SimWrite& write) {
    if (write.restored) {
        // Generation, base and configuration in one write: nothing of the old log remains.
        base_ = write.restored->meta.last;
        base_chain_ = write.restored->state.chain;
        configuration_ = write.restored->meta.configuration;
        flushed_ = write.restored->state;
        entries_.clear();
        ++truncations_;
    }
    if (write.truncate_from) {
        ++truncations_;
        while (!entries_.empty() && entries_.back().entry.id.index >= *write.truncate_from) {
            entries_.pop_back();
        }
    }
    for (const ChainedEntry& entry : write.entries) {
        ASSERT(entry.entry.id.index == last().index.next(), "a write that leaves a gap");
        entries_.push_back(entry);
    }
    if (write.hard_state) hard_state_ = *write.hard_state;
    while (!entries_.empty() && entries_.front().entry.id.index <= write.cut) {
        base_ = entries_.front().entry.id;
        base_chain_ = entries_.front().chain;
        entries_.pop_front();
    }
    if (write.configuration) configuration_ = *write.configuration;
}

EntryId SimDisk::last() const {
    return entries_.empty() ? base_ : entries_.back().entry.id;
}

const ChainedEntry* SimDisk::at(LogIndex index) const {
    if (index <= base_.index || index > last().index) return nullptr;
    return &entries_[index.value() - base_.index.value() - 1];
}

raft::LogStart SimDisk::start() const {
    raft::LogStart start;
    start.base = base_;
    start.last = last();
    start.committed = hard_state_.commit;
    start.applied = flushed_.applied.index;
    start.configuration = configuration_;
    for (const ChainedEntry& stored : entries_) {
        const EntryId id = stored.entry.id;
        if (start.term_starts.empty() || start.term_starts.back().term != id.term) {
            start.term_starts.push_back(id);
        }
        if (stored.entry.kind == raft::EntryKind::Configuration) {
            start.configurations.push_back(
                {id.index, raft::decode_configuration(stored.entry.data.text()).value()});
        }
    }
    return start;
}

}  // namespace quorate::sim
