// The disk of one replica: its stores, what is under way to the log, and what a power loss leaves.
//
// A write is atomic and writes become durable in order, so a crash keeps a prefix of what was under
// way, whether or not anybody was told; the state is as of its last flush or of a later batch.
// *Thread*: one. *Owner*: Replica; outlives the process on it.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "storage/disk_watch.h"
#include "storage/log_writer.h"
#include "storage/memory_stores.h"
#include "tests/sim/replicated/checkers.h"
#include "tests/sim/replicated/stage.h"

namespace quorate::sim::replicated {

// The log store with a blind eye: under Mutant::VoteAfterAmnesia a log that lost what it promised
// looks sound.
class BlindLog final : public storage::LogStore {
  public:
    BlindLog(storage::MemoryLogStore& store, bool blind) : store_(store), blind_(blind) {}

    [[nodiscard]] Status write(std::span<const storage::LogBatch> batches,
                               storage::Durability durability) override {
        return store_.write(batches, durability);
    }
    [[nodiscard]] Status sync() override { return store_.sync(); }
    [[nodiscard]] Result<std::vector<GroupId>> groups() const override { return store_.groups(); }
    [[nodiscard]] Result<storage::GroupMeta> meta(GroupId group) const override {
        return store_.meta(group);
    }
    [[nodiscard]] Result<storage::GroupLog> load(GroupId group) override {
        Result<storage::GroupLog> log = store_.load(group);
        if (log && blind_) log->amnesia.clear();
        return log;
    }
    [[nodiscard]] Status read(GroupId group, LogIndex from, LogIndex to, std::size_t bytes_max,
                              const EntryCallback& callback) const override {
        return store_.read(group, from, to, bytes_max, callback);
    }
    [[nodiscard]] Status write_durable_mark() override { return store_.write_durable_mark(); }

  private:
    storage::MemoryLogStore& store_;
    const bool blind_;
};

class Disk final : public storage::LogSink {
  public:
    Disk(Stage& stage, Checkers& checkers, uint32_t replica);

    void submit(storage::LogRequest request) override;
    // The write under way is durable: everybody who waits is told.
    void synced();
    // A power loss. `damage`: and the disk has lost or changed what was on it.
    void crash(bool damage);
    void begin_life(uint32_t life) { life_ = life; }

    [[nodiscard]] Status flush();
    [[nodiscard]] storage::LogStore& log() { return log_; }
    [[nodiscard]] storage::StateStore& state() { return state_; }
    [[nodiscard]] storage::DiskWatch& watch() { return watch_; }
    void write_mark();
    // In percent.
    void fill(uint64_t used) { used_ = used; }
    // Writes of all lives: begun, and come to their end.
    [[nodiscard]] uint64_t submitted() const { return written_ + waiting_.size(); }
    [[nodiscard]] uint64_t written() const { return written_; }
    [[nodiscard]] bool syncing() const { return syncing_ > 0; }

  private:
    // What waits for a write is told when it begins.
    [[nodiscard]] bool early() const;
    void begin_sync();
    void write(std::size_t count, bool tell);
    void damage();

    Stage& stage_;
    Checkers& checkers_;
    const uint32_t replica_;
    storage::MemoryLogStore store_;
    storage::MemoryStateStore state_;
    BlindLog log_;
    uint64_t used_ = 10;
    storage::DiskWatch watch_;
    std::deque<storage::LogRequest> waiting_;
    std::size_t syncing_ = 0;  // of waiting_
    uint64_t written_ = 0;
    uint32_t life_ = 0;
};

}  // namespace quorate::sim::replicated
