// The two stores in memory, for tests and simulations: same records, same checks, no disk.
//
// They also stand in for a disk that forgets: `crash` drops or keeps what was not synced, the way a
// power loss would. *Thread*: one at a time (MemoryStateStore: any). *Owner*: the test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "proto/base/environment.h"
#include "storage/log_store.h"
#include "storage/log_table.h"
#include "storage/state_store.h"

namespace quorate::storage {

class MemoryStateStore final : public StateStore {
  public:
    [[nodiscard]] Status write(const StateBatch& batch) override;
    [[nodiscard]] Result<bool> get(std::string_view key, std::string& value) const override;
    [[nodiscard]] std::unique_ptr<StateCursor> cursor(std::string_view from,
                                                      std::string_view to) const override;
    [[nodiscard]] Status flush() override;
    [[nodiscard]] uint64_t approximate_bytes() const override;

    // Power loss: back to the last flush, or to a later batch that a background flush had kept
    // (chosen by `random`; batches are never split and never kept out of order).
    void crash(Random& random);
    // So many batches since the last flush are kept. Requires: there are as many.
    void crash(std::size_t kept);
    // Batches since the last flush.
    [[nodiscard]] std::size_t unflushed() const;
    // Damages one bit of a stored record, if there is any.
    void flip_bit(Random& random);
    // All records, framed as stored: two stores with equal contents are equal here.
    [[nodiscard]] uint64_t digest() const;

  private:
    using Records = std::map<std::string, std::string, std::less<>>;
    static void apply(Records& records, const StateBatch& batch);

    mutable std::mutex mutex_;
    Records records_;
    Records flushed_;
    std::vector<StateBatch> unflushed_;  // since the last flush, in order
};

class MemoryLogStore final : public LogStore {
  public:
    [[nodiscard]] Status write(std::span<const LogBatch> batches, Durability durability) override;
    [[nodiscard]] Status sync() override;
    [[nodiscard]] Result<std::vector<GroupId>> groups() const override;
    [[nodiscard]] Result<GroupMeta> meta(GroupId group) const override;
    [[nodiscard]] Result<GroupLog> load(GroupId group) override;
    [[nodiscard]] Status read(GroupId group, LogIndex from, LogIndex to, std::size_t bytes_max,
                              const EntryCallback& callback) const override;
    [[nodiscard]] Status write_durable_mark() override;

    // Power loss: unsynced writes survive up to a point chosen by `random`, never out of order.
    void crash(Random& random);
    // Damages one bit of a stored record, if there is any.
    void flip_bit(Random& random);
    // Forgets the last `count` durable writes: what a disk does that lies about its cache.
    void forget_writes(std::size_t count);

  private:
    using Records = std::map<std::string, std::string, std::less<>>;
    struct Write {
        std::vector<LogOperation> operations;
    };
    static void apply(Records& records, const Write& write);
    void rebuild();

    mutable std::mutex mutex_;
    LogTable table_;
    Records base_;               // older writes, folded together
    std::vector<Write> writes_;  // the newest durable ones, then the buffered ones
    std::size_t durable_ = 0;    // of writes_
    Records records_;            // all of it
    std::string mark_;
};

}  // namespace quorate::storage
