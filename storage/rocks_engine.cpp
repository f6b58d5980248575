// Long, because opening a data directory is one sequence of checks that belong together.
#include "storage/rocks_engine.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>

#include "proto/base/assert.h"
#include "storage/keys.h"
#include "storage/records.h"
#include "storage/rocks_log.h"
#include "storage/rocks_state.h"
#include "storage/wal_tail.h"

namespace quorate::storage {
namespace {

Error system_error(const std::string& path) {
    return Error{ErrorCode::Io, fmt::format("{}: {}", path, std::strerror(errno))};
}

// A descriptor that closes itself.
class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] bool open() const { return fd_ >= 0; }

  private:
    int fd_;
};

Status sync_directory(const std::string& path) {
    const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.open() || ::fsync(folder.get()) != 0) return system_error(path);
    return {};
}

// Makes the directory, and its parents, so that a power loss cannot take them away again.
Status make_directory(const std::string& path) {
    std::error_code failure;
    if (std::filesystem::is_directory(path, failure)) return {};
    const std::filesystem::path above = std::filesystem::path(path).parent_path();
    const std::string parent = above.empty() ? std::string(1, '.') : above.string();
    if (parent != path) {
        if (Status made = make_directory(parent); !made) return made;
    }
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return system_error(path);
    if (!std::filesystem::is_directory(path, failure)) {
        return Error{ErrorCode::Io, path + " is not a directory"};
    }
    return sync_directory(parent);
}

// Written whole, synced and renamed into place.
Status replace_file(const std::string& directory, const std::string& name,
                    const std::string& content) {
    const std::string path = directory + "/" + name;
    const std::string temporary = path + ".new";
    {
        const Descriptor file(
            ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        if (!file.open()) return system_error(temporary);
        if (::write(file.get(), content.data(), content.size()) !=
                static_cast<ssize_t>(content.size()) ||
            ::fsync(file.get()) != 0) {
            return system_error(temporary);
        }
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) return system_error(path);
    return sync_directory(directory);
}

std::optional<std::string> read_small_file(const std::string& path) {
    constexpr std::size_t kBytesMax = 4096;
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.open()) return std::nullopt;
    std::string content(kBytesMax, '\0');
    const ssize_t size = ::read(file.get(), content.data(), content.size());
    if (size < 0) return std::nullopt;
    content.resize(static_cast<std::size_t>(size));
    return content;
}

// Reports the first background error, and keeps `state` behind the log when that is not synced.
class Listener final : public rocksdb::EventListener {
  public:
    Listener(StorageCounts& counts, std::function<void(const Error&)> on_error)
        : counts_(counts), on_error_(std::move(on_error)) {}

    void set_before_flush(std::function<void()> hook) { before_flush_ = std::move(hook); }

    void OnBackgroundError(rocksdb::BackgroundErrorReason reason,
                           rocksdb::Status* status) override {
        if (reported_.exchange(true)) return;
        const Error error = rocks_error("storage", *status);
        // A failed write is counted by who asked for it.
        if (reason == rocksdb::BackgroundErrorReason::kFlush) {
            counts_.count(StorageOp::Flush, error);
        } else if (reason == rocksdb::BackgroundErrorReason::kCompaction) {
            counts_.count(StorageOp::Compact, error);
        }
        if (on_error_) {
            on_error_(error);
        } else {
            QUORATE_FATAL(error.message.c_str());
        }
    }
    void OnFlushBegin(rocksdb::DB* /*db*/, const rocksdb::FlushJobInfo& /*info*/) override {
        if (before_flush_) before_flush_();
    }

  private:
    StorageCounts& counts_;
    const std::function<void(const Error&)> on_error_;
    std::function<void()> before_flush_;
    std::atomic<bool> reported_{false};
};

rocksdb::Options base_options(rocksdb::Env* env, const std::shared_ptr<rocksdb::Cache>& cache,
                              std::size_t memtable_bytes) {
    rocksdb::Options options;
    options.write_buffer_size = memtable_bytes;
    // Small blocks, so that an idle node stays small.
    options.arena_block_size = std::min(memtable_bytes / 8, std::size_t{256} << 10);
    options.env = env;
    options.create_if_missing = true;
    options.paranoid_checks = true;
    options.max_background_jobs = 2;
    options.max_open_files = 512;
    options.max_write_buffer_number = 3;
    options.keep_log_file_num = 2;
    options.max_log_file_size = std::size_t{1} << 20;
    options.info_log_level = rocksdb::WARN_LEVEL;
    options.stats_dump_period_sec = 0;
    options.stats_persist_period_sec = 0;
    options.skip_stats_update_on_db_open = true;
    // After a failed write nobody knows what the disk holds: no second try.
    options.max_bgerror_resume_count = 0;
    options.level_compaction_dynamic_level_bytes = true;
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = cache;
    table.cache_index_and_filter_blocks = true;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.format_version = 5;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    return options;
}

rocksdb::CompressionType deep_compression() {
    for (const rocksdb::CompressionType type : rocksdb::GetSupportedCompressions()) {
        if (type == rocksdb::kLZ4Compression) return type;
    }
    return rocksdb::kNoCompression;
}

}  // namespace

class RocksEngine::Impl {
  public:
    explicit Impl(StorageOptions options) : options_(std::move(options)) {}
    ~Impl() {
        // The state's flush may still ask the log to sync.
        state_.reset();
        log_.reset();
    }

    Status open() {
        if (Status made = make_directory(options_.data_dir); !made) return made;
        if (Status locked = lock(); !locked) return locked;
        if (Status known = check_format(); !known) return known;
        // RocksDB syncs what it writes in its directories, not that they exist.
        for (const char* name : {"/log", "/state"}) {
            if (Status made = make_directory(options_.data_dir + name); !made) return made;
        }
        if (Status synced = sync_directory(options_.data_dir); !synced) return synced;
        files_ = options_.file_system ? options_.file_system : rocksdb::FileSystem::Default();
        if (options_.file_system) env_ = rocksdb::NewCompositeEnv(files_);
        cache_ = rocksdb::NewLRUCache(options_.block_cache_bytes, 2);
        if (Status opened = open_log(); !opened) return opened;
        return open_state();
    }

    RocksLogStore& log() { return *log_; }
    [[nodiscard]] const StorageCounts& counts() const { return counts_; }
    RocksStateStore& state() { return *state_; }
    [[nodiscard]] const std::string& cluster_id() const { return cluster_id_; }

    Status set_cluster_id(const std::string& id) {
        if (id == cluster_id_) return {};
        if (!cluster_id_.empty()) {
            return Error{ErrorCode::InvalidArgument,
                         fmt::format("{} belongs to cluster {}, not to {}", options_.data_dir,
                                     cluster_id_, id)};
        }
        if (id.empty() || id == "-" || id.size() > 128 || id.find('\n') != std::string::npos) {
            return Error{ErrorCode::InvalidArgument, "not a cluster id: " + id};
        }
        if (Status written = replace_file(options_.data_dir, "FORMAT", encode_format(id));
            !written) {
            return written;
        }
        cluster_id_ = id;
        return {};
    }

    Status remove_unnamed_generations();

  private:
    Status lock() {
        const std::string path = options_.data_dir + "/LOCK";
        lock_.emplace(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (!lock_->open()) return system_error(path);
        if (::flock(lock_->get(), LOCK_EX | LOCK_NB) != 0) {
            return Error{ErrorCode::Locked, options_.data_dir + " is used by another process"};
        }
        return {};
    }

    Status check_format() {
        const std::string path = options_.data_dir + "/FORMAT";
        const std::optional<std::string> text = read_small_file(path);
        if (text) {
            Result<std::string> id = decode_format(path, *text);
            if (!id) return id.error();
            cluster_id_ = std::move(*id);
            return {};
        }
        std::error_code failure;
        if (std::filesystem::exists(options_.data_dir + "/log", failure) ||
            std::filesystem::exists(options_.data_dir + "/state", failure)) {
            return Error{ErrorCode::Corrupt,
                         path + " is missing although there is data: refusing to guess its format"};
        }
        return replace_file(options_.data_dir, "FORMAT", encode_format(""));
    }

    Result<std::unique_ptr<rocksdb::DB>> open_database(rocksdb::Options options,
                                                       const std::string& name) {
        const std::string path = options_.data_dir + "/" + name;
        rocksdb::DB* db = nullptr;
        const rocksdb::Status status = rocksdb::DB::Open(options, path, &db);
        if (!status.ok()) return rocks_error(path.c_str(), status);
        return std::unique_ptr<rocksdb::DB>(db);
    }

    Status open_log() {
        // RocksDB would forgive a damaged middle or refuse a torn end: judge before it does.
        if (Status repaired =
                repair_wal_tail(*files_, options_.data_dir + "/log", options_.log_sync_interval);
            !repaired) {
            return repaired;
        }
        rocksdb::Options options = base_options(env(), cache_, options_.log_memtable_bytes);
        options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
        options.track_and_verify_wals_in_manifest = true;
        options.recycle_log_file_num = 0;
        options.avoid_flush_during_shutdown = true;
        options.compression = rocksdb::kNoCompression;
        options.listeners.push_back(
            std::make_shared<Listener>(counts_, options_.on_background_error));
        Result<std::unique_ptr<rocksdb::DB>> db = open_database(options, "log");
        if (!db) return db.error();
        auto log =
            RocksLogStore::open(std::move(*db), *files_, options_.data_dir + "/DURABLE", counts_);
        if (!log) return log.error();
        log_ = std::move(*log);
        return {};
    }

    Status open_state() {
        rocksdb::Options options = base_options(env(), cache_, options_.state_memtable_bytes);
        options.compression_per_level = {rocksdb::kNoCompression, rocksdb::kNoCompression,
                                         deep_compression()};
        auto listener = std::make_shared<Listener>(counts_, options_.on_background_error);
        if (options_.log_sync_interval) {
            listener->set_before_flush([this] {
                const Status synced = log_->sync();
                if (synced) return;
                if (!options_.on_background_error) QUORATE_FATAL(synced.error().message.c_str());
                options_.on_background_error(synced.error());
            });
        }
        options.listeners.push_back(std::move(listener));
        Result<std::unique_ptr<rocksdb::DB>> db = open_database(options, "state");
        if (!db) return db.error();
        state_ = std::make_unique<RocksStateStore>(std::move(*db), counts_);
        return {};
    }

    rocksdb::Env* env() { return env_ ? env_.get() : rocksdb::Env::Default(); }

    const StorageOptions options_;
    StorageCounts counts_;
    std::optional<Descriptor> lock_;
    std::string cluster_id_;
    std::shared_ptr<rocksdb::FileSystem> files_;
    std::unique_ptr<rocksdb::Env> env_;
    std::shared_ptr<rocksdb::Cache> cache_;
    std::unique_ptr<RocksLogStore> log_;
    std::unique_ptr<RocksStateStore> state_;
};

Status RocksEngine::Impl::remove_unnamed_generations() {
    const Result<std::vector<GroupId>> groups = log_->groups();
    if (!groups) return groups.error();
    const std::set<GroupId> named(groups->begin(), groups->end());
    const std::map<GroupId, Generation> loaded = log_->generations();
    StateBatch batch;
    for (auto at = state_->cursor("", ""); at->valid();) {
        KeyReader reader(at->key());
        const GroupId group(reader.u32());
        const Generation generation(reader.u32());
        const auto kept = loaded.find(group);
        const bool wanted =
            named.contains(group) && (kept == loaded.end() || kept->second == generation);
        const std::string prefix = state_prefix(group, generation);
        const std::string next = prefix_end(prefix);
        if (next.empty()) break;
        if (!wanted) batch.remove_range(prefix, next);
        at->seek(next);
    }
    if (batch.empty()) return {};
    if (Status written = state_->write(batch); !written) return written;
    // Or a crash would bring them back under the keys of a group that was made again meanwhile.
    return state_->flush();
}

RocksEngine::RocksEngine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RocksEngine::~RocksEngine() = default;

Result<std::unique_ptr<RocksEngine>> RocksEngine::open(const StorageOptions& options) {
    auto impl = std::make_unique<Impl>(options);
    if (const Status opened = impl->open(); !opened) return opened.error();
    return std::make_unique<RocksEngine>(std::move(impl));
}

const StorageCounts& RocksEngine::counts() const {
    return impl_->counts();
}
LogStore& RocksEngine::log() {
    return impl_->log();
}
StateStore& RocksEngine::state() {
    return impl_->state();
}
const std::string& RocksEngine::cluster_id() const {
    return impl_->cluster_id();
}
Status RocksEngine::set_cluster_id(const std::string& id) {
    return impl_->set_cluster_id(id);
}
Status RocksEngine::remove_unnamed_generations() {
    return impl_->remove_unnamed_generations();
}

}  // namespace quorate::storage
