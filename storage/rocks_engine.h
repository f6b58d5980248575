// Opens a data directory: the lock, the format file and the two RocksDB instances.
//
//     <data_dir>/LOCK      held by the process that uses it
//     <data_dir>/FORMAT    version of the layout, cluster id
//     <data_dir>/DURABLE   how far each Raft log is known to be on disk
//     <data_dir>/log/      RocksDB: Raft logs of all groups, write-ahead log synced
//     <data_dir>/state/    RocksDB: state machines of all groups, no write-ahead log
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "proto/base/result.h"
#include "storage/log_store.h"
#include "storage/state_store.h"

namespace rocksdb {
class FileSystem;
}

namespace quorate::storage {

struct StorageOptions {
    std::string data_dir;
    // The log is not synced with every write: a damaged end of the log is then forgiven wherever
    // the durable mark allows, and `state` waits for the log before it flushes.
    bool log_sync_interval = false;
    std::size_t state_memtable_bytes = std::size_t{64} << 20;
    std::size_t log_memtable_bytes = std::size_t{64} << 20;
    std::size_t block_cache_bytes = std::size_t{32} << 20;  // shared by both instances
    // Instead of the operating system's, for tests of power loss and disk faults.
    std::shared_ptr<rocksdb::FileSystem> file_system;
    // Called once, from a RocksDB thread, when an instance meets an error in the background (failed
    // flush or compaction): the node must stop. Default: fatal.
    std::function<void(const Error&)> on_background_error;
};

enum class StorageOp : uint8_t { Open, Read, Write, Sync, Flush, Compact };
inline constexpr std::size_t kStorageOps = 6;

// What went wrong since the engine was opened; for metrics. *Thread*: any.
class StorageCounts {
  public:
    void count(StorageOp op, const Status& status) {
        if (status.ok()) return;
        if (status.error().code == ErrorCode::Corrupt) {
            corrupt_records_.fetch_add(1, std::memory_order_relaxed);
        } else {
            errors_[static_cast<std::size_t>(op)].fetch_add(1, std::memory_order_relaxed);
        }
    }
    [[nodiscard]] uint64_t errors(StorageOp op) const {
        return errors_[static_cast<std::size_t>(op)].load(std::memory_order_relaxed);
    }
    [[nodiscard]] uint64_t corrupt_records() const {
        return corrupt_records_.load(std::memory_order_relaxed);
    }

  private:
    std::array<std::atomic<uint64_t>, kStorageOps> errors_{};
    std::atomic<uint64_t> corrupt_records_{0};
};

// *Thread*: `open`, `set_cluster_id` and the destructor from one thread; the stores say their own.
// *Owner*: the group host.
// *Errors* of `open`, all "data directory unusable" (exit 3), with what to do in the text:
// Locked (another process), Corrupt (damaged or unknown format; of a newer version), Io.
class RocksEngine {
  public:
    [[nodiscard]] static Result<std::unique_ptr<RocksEngine>> open(const StorageOptions& options);
    class Impl;
    explicit RocksEngine(std::unique_ptr<Impl> impl);  // for `open`
    ~RocksEngine();
    RocksEngine(const RocksEngine&) = delete;
    RocksEngine& operator=(const RocksEngine&) = delete;

    [[nodiscard]] LogStore& log();
    [[nodiscard]] StateStore& state();

    [[nodiscard]] const StorageCounts& counts() const;

    // Empty until set once. Setting another id than the stored one is refused (InvalidArgument).
    [[nodiscard]] const std::string& cluster_id() const;
    [[nodiscard]] Status set_cluster_id(const std::string& id);

    // Removes the state keys of every (group, generation) that the log does not name: left by an
    // interrupted snapshot, move or removal. They are gone from stable storage when it returns.
    // Call it after the groups were loaded.
    [[nodiscard]] Status remove_unnamed_generations();

  private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::storage
