// The LogStore on RocksDB: the write-ahead log synced on every batch, and the file DURABLE beside
// it.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "storage/log_store.h"
#include "storage/log_table.h"

namespace rocksdb {
class DB;
class FileSystem;
}  // namespace rocksdb

namespace quorate::storage {

class StorageCounts;
enum class StorageOp : uint8_t;

// *Thread*, *Errors*: as LogStore. *Owner*: RocksEngine; the file system and the
// counts outlive it.
class RocksLogStore final : public LogStore {
  public:
    // `mark_path`: the file of durable marks. Corrupt when it is damaged.
    [[nodiscard]] static Result<std::unique_ptr<RocksLogStore>> open(
        std::unique_ptr<rocksdb::DB> db, rocksdb::FileSystem& files, std::string mark_path,
        StorageCounts& counts);
    // For `open`.
    RocksLogStore(std::unique_ptr<rocksdb::DB> db, rocksdb::FileSystem& files,
                  std::string mark_path, StorageCounts& counts);
    ~RocksLogStore() override;

    [[nodiscard]] Status write(std::span<const LogBatch> batches, Durability durability) override;
    [[nodiscard]] Status sync() override;
    [[nodiscard]] Result<std::vector<GroupId>> groups() const override;
    [[nodiscard]] Result<GroupMeta> meta(GroupId group) const override;
    [[nodiscard]] Result<GroupLog> load(GroupId group) override;
    [[nodiscard]] Status read(GroupId group, LogIndex from, LogIndex to, std::size_t bytes_max,
                              const EntryCallback& callback) const override;
    [[nodiscard]] Status write_durable_mark() override;
    [[nodiscard]] std::chrono::nanoseconds last_append() const override { return last_append_; }

    // The generation of each loaded group.
    [[nodiscard]] std::map<GroupId, Generation> generations() const;

  private:
    [[nodiscard]] Status read_marks();
    [[nodiscard]] Error counted(StorageOp op, Error error) const;
    [[nodiscard]] Status replace_mark_file(const std::string& content);

    std::unique_ptr<rocksdb::DB> db_;
    rocksdb::FileSystem& files_;
    const std::string mark_path_;
    StorageCounts& counts_;

    mutable std::mutex mutex_;  // held over a write, so that a mark never runs ahead of the disk
    LogTable table_;
    std::map<GroupId, DurableMark> marks_at_start_;  // of those that were not loaded since
    std::vector<LogOperation> operations_;
    std::chrono::nanoseconds last_append_{};
    bool buffered_ = false;  // something was written and not synced

    std::mutex mark_mutex_;  // one writer of the mark file
    std::string mark_written_;
};

}  // namespace quorate::storage
