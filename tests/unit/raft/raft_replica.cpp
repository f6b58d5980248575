// One replica of the tests: a node, its disk, and the state as the list of what was applied.
#include <algorithm>
#include <utility>

#include "proto/base/assert.h"
#include "tests/unit/raft/raft_cluster.h"

namespace quorate::raft::test {

class Replica::Reader final : public LogReader {
  public:
    explicit Reader(const Disk& disk) : disk_(disk) {}
    [[nodiscard]] Result<std::vector<Entry>> read(LogIndex from, LogIndex to,
                                                  std::size_t /*bytes_max*/) const override {
        std::vector<Entry> entries;
        for (const Entry& entry : disk_.entries) {
            if (entry.id.index >= from && entry.id.index < to) entries.push_back(entry);
        }
        return entries;
    }

  private:
    const Disk& disk_;
};

Replica::Replica(ReplicaId id, Configuration configuration, uint64_t seed)
    : id_(id), reader_(std::make_unique<Reader>(disk_)) {
    disk_.configuration = std::move(configuration);
    restart(seed);
}

Replica::~Replica() = default;

void Replica::restart(uint64_t seed) {
    writes_.clear();
    sources_.clear();
    received_.clear();
    // What the log on disk does not name is gone.
    if (before_restore_) applied_ = *std::exchange(before_restore_, std::nullopt);
    options.self = id_;
    options.seed = seed;
    options.append_bytes_max = 64;
    options.window_bytes_max = 256;
    options.apply_bytes_max = 64;
    options.log_memory_bytes = 32;
    options.append_entries_max = 5;
    options.window_entries_max = 8;
    options.snapshot = {48, 3};
    LogStart start;
    start.base = disk_.base;
    start.last = disk_.entries.empty() ? disk_.base : disk_.entries.back().id;
    start.committed = disk_.state.commit;
    start.applied = LogIndex(applied_.size());
    start.configuration = disk_.configuration;
    for (const Entry& entry : disk_.entries) {
        if (entry.kind == EntryKind::Configuration) {
            start.configurations.push_back(
                {entry.id.index, decode_configuration(entry.data.text()).value()});
        }
        if (start.term_starts.empty() || start.term_starts.back().term != entry.id.term) {
            start.term_starts.push_back(entry.id);
        }
    }
    node_ = std::make_unique<RaftNode>(options, disk_.state, start, *reader_);
}

void Replica::take(std::vector<Message>& out) {
    Result<Ready> ready = node_->ready();
    ASSERT(ready.ok(), "the log in memory can be read");
    std::move(ready->messages.begin(), ready->messages.end(), std::back_inserter(out));
    for (Entry& entry : ready->committed) {
        applied_.push_back(std::move(entry));
    }
    if (!applied_.empty()) node_->applied(LogIndex(applied_.size()));
    reads_.insert(reads_.end(), ready->reads.begin(), ready->reads.end());
    reads_failed_.insert(reads_failed_.end(), ready->reads_failed.begin(),
                         ready->reads_failed.end());
    for (const TransferId ended : ready->transfers_ended) {
        sources_.erase(ended);
    }
    for (const SnapshotRequest& request : ready->snapshot_requests) {
        read_chunk(request);
    }
    for (const SnapshotPart& part : ready->snapshot_parts) {
        keep(part);
    }
    if (ready->persist.value() == 0) return;
    writes_.push_back(PendingWrite{ready->persist, ready->restored, ready->truncate_from,
                                   std::move(ready->entries), ready->hard_state,
                                   std::move(ready->messages_after)});
}

void Replica::read_chunk(const SnapshotRequest& request) {
    if (request.offset == 0) {
        std::optional<SnapshotMeta> point = node_->snapshot_point();
        if (!point) return;
        Source source{std::move(*point), {}};
        RecordWriter writer(source.bytes);
        for (const Entry& entry : applied_) {
            writer.id(entry.id.term);
            writer.u8(static_cast<uint8_t>(entry.kind));
            writer.text(entry.data.text());
        }
        sources_.insert_or_assign(request.transfer, std::move(source));
        ++snapshots_sent_;
    }
    const auto found = sources_.find(request.transfer);
    if (found == sources_.end()) return;
    const Source& source = found->second;
    const std::string part = source.bytes.substr(request.offset, request.bytes_max);
    const bool done = request.offset + part.size() == source.bytes.size();
    node_->snapshot_chunk(request, source.snapshot, SharedBytes(as_bytes(part)), done);
}

// Nothing for bytes that are no state.
std::optional<std::vector<Entry>> Replica::state_of(const std::string& bytes) {
    std::vector<Entry> state;
    RecordReader reader(bytes);
    while (!reader.finished()) {
        Entry entry;
        entry.id = EntryId{LogIndex(state.size() + 1), reader.id<Term>()};
        entry.kind = static_cast<EntryKind>(reader.u8());
        entry.data = SharedBytes(as_bytes(reader.text()));
        if (reader.failed()) return std::nullopt;
        state.push_back(std::move(entry));
    }
    return state;
}

void Replica::keep(const SnapshotPart& part) {
    if (part.offset == 0) received_.clear();
    ASSERT(part.offset == received_.size(), "parts follow each other");
    received_ += part.data.text();
    if (!part.done) return;
    std::optional<std::vector<Entry>> state = state_of(received_);
    if (!state || LogIndex(state->size()) != part.snapshot.last.index) {
        node_->abandon_snapshot();
        return;
    }
    if (!node_->restore(part.snapshot)) return;
    ++restores_;
    if (!before_restore_) before_restore_ = applied_;
    applied_ = std::move(*state);
}

void Replica::write_one(std::vector<Message>& out) {
    if (writes_.empty()) return;
    PendingWrite write = std::move(writes_.front());
    writes_.pop_front();
    if (write.restored) {
        disk_.base = write.restored->last;
        disk_.configuration = write.restored->configuration;
        disk_.entries.clear();
        before_restore_.reset();
    }
    if (write.truncate_from) {
        std::erase_if(disk_.entries,
                      [&](const Entry& entry) { return entry.id.index >= *write.truncate_from; });
    }
    std::move(write.entries.begin(), write.entries.end(), std::back_inserter(disk_.entries));
    if (write.state) disk_.state = *write.state;
    std::move(write.messages_after.begin(), write.messages_after.end(), std::back_inserter(out));
    node_->persisted(write.number);
}

void Replica::cut(LogIndex index) {
    disk_.configuration = node_->configuration_at(index).value();
    for (const Entry& entry : disk_.entries) {
        if (entry.id.index == index) disk_.base = entry.id;
    }
    std::erase_if(disk_.entries, [&](const Entry& entry) { return entry.id.index <= index; });
    node_->cut(disk_.base);
}

void Replica::wait(uint32_t ticks) {
    for (uint32_t i = 0; i < ticks; ++i) {
        node_->tick();
    }
}

}  // namespace quorate::raft::test
