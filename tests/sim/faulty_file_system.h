// A RocksDB file system on which a power loss can be had at will.
//
// What was not synced lives in the memory of this process only: data until the file is synced;
// created, renamed and removed names until their directory is synced. So the real files are always
// what a disk would hold after the worst power loss, and two things follow:
//  - in a server that uses it, SIGKILL is a power loss;
//  - in a test, `power_loss` first lets a random part of the unsynced survive, torn at sectors.
//
// *Thread*: any. *Owner*: shared by the engine and the test. *Errors*: as told to inject them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <rocksdb/file_system.h>

#include "proto/base/environment.h"

namespace quorate::sim {

// Alone in a process, without faults: SIGKILL loses what was not synced.
[[nodiscard]] std::shared_ptr<rocksdb::FileSystem> make_volatile_file_system();

class FaultyFileSystem final : public rocksdb::FileSystemWrapper {
  public:
    FaultyFileSystem();
    ~FaultyFileSystem() override;

    // Everything that changes the disk (create, append, sync, rename, remove, directory sync,
    // truncate) counts as one step. At the given step, and from then on, nothing works any more.
    void crash_at_step(uint64_t step);
    [[nodiscard]] uint64_t steps() const;
    [[nodiscard]] bool crashed() const;

    // The crash itself, once whoever used the disk is gone (or cannot reach it any more): of what
    // was not synced a random part survives. Afterwards the disk works again; old handles never.
    void power_loss(Random& random);

    // The n-th sync from now fails once, and what it should have written is gone (the kernel counts
    // it as clean). 1 is the next.
    void fail_sync_in(uint64_t count);
    // Appends fail with "no space" once this many more bytes were written.
    void set_space_left(std::optional<uint64_t> bytes);
    // Every sync takes this long.
    void set_sync_delay(std::chrono::milliseconds delay);

    [[nodiscard]] const char* Name() const override { return "quorate.FaultyFileSystem"; }

    rocksdb::IOStatus NewSequentialFile(const std::string& path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSSequentialFile>* file,
                                        rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus NewRandomAccessFile(const std::string& path,
                                          const rocksdb::FileOptions& options,
                                          std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                          rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* file,
                                      rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus ReopenWritableFile(const std::string& path,
                                         const rocksdb::FileOptions& options,
                                         std::unique_ptr<rocksdb::FSWritableFile>* file,
                                         rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus ReuseWritableFile(const std::string& path, const std::string& old_path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSWritableFile>* file,
                                        rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus NewRandomRWFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSRandomRWFile>* file,
                                      rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                   std::unique_ptr<rocksdb::FSDirectory>* directory,
                                   rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus FileExists(const std::string& path, const rocksdb::IOOptions& options,
                                 rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus GetChildren(const std::string& path, const rocksdb::IOOptions& options,
                                  std::vector<std::string>* names,
                                  rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus GetChildrenFileAttributes(const std::string& path,
                                                const rocksdb::IOOptions& options,
                                                std::vector<rocksdb::FileAttributes>* files,
                                                rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                                 rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus Truncate(const std::string& path, size_t size,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus GetFileSize(const std::string& path, const rocksdb::IOOptions& options,
                                  uint64_t* size, rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus GetFileModificationTime(const std::string& path,
                                              const rocksdb::IOOptions& options, uint64_t* time,
                                              rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                                 const rocksdb::IOOptions& options,
                                 rocksdb::IODebugContext* debug) override;

  private:
    class WritableFile;
    class Directory;

    // A file that this process wrote to. `data` is all of it; the first `synced` bytes survive.
    struct Node {
        std::string data;
        std::size_t synced = 0;
        std::size_t on_disk = 0;  // bytes in the real file, once it has one
        std::string real_path;    // empty: its name was never made durable
        uint64_t epoch = 0;       // of the last power loss when it was opened
    };
    using NodePtr = std::shared_ptr<Node>;

    struct NameChange {
        std::string path;  // created or removed, or the new name
        std::string from;  // of a rename, else empty
        NodePtr node;      // null: removed
    };

    // All below: with the mutex held.
    [[nodiscard]] rocksdb::IOStatus step();
    [[nodiscard]] NodePtr find_node(const std::string& path) const;
    [[nodiscard]] bool is_removed(const std::string& path) const;
    [[nodiscard]] NodePtr load_node(const std::string& path);
    [[nodiscard]] rocksdb::IOStatus write_through(Node& node);
    void apply_names(const std::string& directory, std::size_t count);
    void settle(const std::string& directory);
    void tear(Node& node, Random& random);

    rocksdb::IOStatus append(Node& node, const rocksdb::Slice& data);
    rocksdb::IOStatus sync(Node& node);
    rocksdb::IOStatus sync_directory(const std::string& path);
    rocksdb::IOStatus truncate(Node& node, std::size_t size);
    void wait_for_disk();

    mutable std::mutex mutex_;
    std::condition_variable power_lost_;
    std::map<std::string, NodePtr> names_;                    // overlay; null: removed
    std::map<std::string, std::vector<NameChange>> changes_;  // per directory, in order
    std::vector<std::weak_ptr<Node>> nodes_;
    uint64_t steps_ = 0;
    uint64_t crash_step_ = 0;
    uint64_t epoch_ = 1;
    uint64_t fail_sync_in_ = 0;
    std::optional<uint64_t> space_left_;
    std::chrono::milliseconds sync_delay_{0};
};

}  // namespace quorate::sim
