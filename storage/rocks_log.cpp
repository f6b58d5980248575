#include "storage/rocks_log.h"

#include <array>
#include <utility>

#include <rocksdb/db.h>
#include <rocksdb/file_system.h>

#include "storage/records.h"
#include "storage/rocks_engine.h"
#include "storage/rocks_state.h"

namespace quorate::storage {
namespace {

rocksdb::Slice slice(std::string_view bytes) {
    return {bytes.data(), bytes.size()};
}

class DatabaseRecords final : public LogRecords {
  public:
    explicit DatabaseRecords(rocksdb::DB& db) : db_(db) {}

    [[nodiscard]] Result<bool> get(std::string_view key, std::string& value) const override {
        const rocksdb::Status status = db_.Get(rocksdb::ReadOptions(), slice(key), &value);
        if (status.IsNotFound()) return false;
        if (!status.ok()) return rocks_error("reading the log", status);
        return true;
    }
    [[nodiscard]] Status scan(std::string_view from, std::string_view to,
                              const Callback& callback) const override {
        const rocksdb::Slice upper = slice(to);
        rocksdb::ReadOptions options;
        options.iterate_upper_bound = &upper;
        const std::unique_ptr<rocksdb::Iterator> at(db_.NewIterator(options));
        for (at->Seek(slice(from)); at->Valid(); at->Next()) {
            if (!callback(at->key().ToStringView(), at->value().ToStringView())) break;
        }
        if (!at->status().ok()) return rocks_error("reading the log", at->status());
        return {};
    }

  private:
    rocksdb::DB& db_;
};

void add(rocksdb::WriteBatch& out, const LogOperation& operation) {
    switch (operation.op) {
        case LogOp::Put: {
            const rocksdb::Slice key(operation.key);
            const std::array<rocksdb::Slice, 2> value = {rocksdb::Slice(operation.value),
                                                         slice(operation.data.text())};
            out.Put(rocksdb::SliceParts(&key, 1),
                    rocksdb::SliceParts(value.data(), static_cast<int>(value.size())))
                .PermitUncheckedError();
            break;
        }
        case LogOp::Remove:
            out.Delete(operation.key).PermitUncheckedError();
            break;
        case LogOp::RemoveRange:
            out.DeleteRange(operation.key, operation.value).PermitUncheckedError();
            break;
    }
}

std::string directory_of(const std::string& path) {
    return path.substr(0, path.rfind('/'));
}

}  // namespace

RocksLogStore::RocksLogStore(std::unique_ptr<rocksdb::DB> db, rocksdb::FileSystem& files,
                             std::string mark_path, StorageCounts& counts)
    : db_(std::move(db)), files_(files), mark_path_(std::move(mark_path)), counts_(counts) {}
RocksLogStore::~RocksLogStore() = default;

Result<std::unique_ptr<RocksLogStore>> RocksLogStore::open(std::unique_ptr<rocksdb::DB> db,
                                                           rocksdb::FileSystem& files,
                                                           std::string mark_path,
                                                           StorageCounts& counts) {
    auto store =
        std::make_unique<RocksLogStore>(std::move(db), files, std::move(mark_path), counts);
    if (const Status read = store->read_marks(); !read) return read.error();
    return store;
}

Status RocksLogStore::read_marks() {
    const rocksdb::IOOptions options;
    if (!files_.FileExists(mark_path_, options, nullptr).ok()) return {};
    std::string content;
    const rocksdb::Status status = rocksdb::ReadFileToString(&files_, mark_path_, &content);
    if (!status.ok()) return rocks_error("reading the durable mark", status);
    const Result<std::vector<DurableMark>> marks = decode_marks(content);
    if (!marks) {
        return Error{ErrorCode::Corrupt,
                     mark_path_ +
                         " is damaged: whether the log lost something cannot be told. "
                         "Remove the file to start from what the log holds."};
    }
    for (const DurableMark& mark : *marks) {
        marks_at_start_[mark.group] = mark;
    }
    return {};
}

Status RocksLogStore::write(std::span<const LogBatch> batches, Durability durability) {
    const std::lock_guard lock(mutex_);
    operations_.clear();
    const DatabaseRecords records(*db_);
    for (const LogBatch& batch : batches) {
        const Status translated = table_.translate(batch, records, operations_);
        if (!translated) return translated;
    }
    std::size_t bytes = 0;
    for (const LogOperation& operation : operations_) {
        bytes += operation.key.size() + operation.value.size() + operation.data.size() + 16;
    }
    rocksdb::WriteBatch out(bytes);
    for (const LogOperation& operation : operations_) {
        add(out, operation);
    }
    const auto started = std::chrono::steady_clock::now();
    const rocksdb::Status status = db_->Write(rocksdb::WriteOptions(), &out);
    last_append_ = std::chrono::steady_clock::now() - started;
    operations_.clear();
    if (!status.ok()) return counted(StorageOp::Write, rocks_error("writing the log", status));
    buffered_ = true;
    if (durability == Durability::Buffered) return {};
    if (const Status synced = sync(); !synced) return synced;
    buffered_ = false;
    return {};
}

Status RocksLogStore::sync() {
    const rocksdb::Status status = db_->SyncWAL();
    if (status.ok()) return {};
    return counted(StorageOp::Sync, rocks_error("syncing the log", status));
}

Error RocksLogStore::counted(StorageOp op, Error error) const {
    counts_.count(op, error);
    return error;
}

Result<std::vector<GroupId>> RocksLogStore::groups() const {
    return group_list(DatabaseRecords(*db_));
}

Result<GroupMeta> RocksLogStore::meta(GroupId group) const {
    Result<GroupMeta> meta = group_meta(DatabaseRecords(*db_), group);
    if (!meta && meta.error().code != ErrorCode::NotFound) {
        counts_.count(StorageOp::Read, meta.error());
    }
    return meta;
}

Result<GroupLog> RocksLogStore::load(GroupId group) {
    const std::lock_guard lock(mutex_);
    std::optional<DurableMark> mark;
    if (const auto found = marks_at_start_.find(group); found != marks_at_start_.end()) {
        mark = found->second;
    }
    Result<GroupLog> log = table_.load(group, DatabaseRecords(*db_), mark);
    if (!log) counts_.count(StorageOp::Read, log.error());
    return log;
}

Status RocksLogStore::read(GroupId group, LogIndex from, LogIndex to, std::size_t bytes_max,
                           const EntryCallback& callback) const {
    Status read = read_entries(DatabaseRecords(*db_), group, from, to, bytes_max, callback);
    counts_.count(StorageOp::Read, read);
    return read;
}

Status RocksLogStore::write_durable_mark() {
    const std::lock_guard one_writer(mark_mutex_);
    std::vector<DurableMark> marks;
    {
        const std::lock_guard lock(mutex_);
        if (buffered_) {
            if (const Status synced = sync(); !synced) return synced;
            buffered_ = false;
        }
        marks = table_.marks();
        for (const GroupId group : table_.gone()) {
            marks_at_start_.erase(group);
        }
        // Groups that were not loaded keep what was known of them.
        for (const DurableMark& mark : marks) {
            marks_at_start_.erase(mark.group);
        }
        for (const auto& [group, mark] : marks_at_start_) {
            marks.push_back(mark);
        }
    }
    const std::string content = encode_marks(marks);
    if (content == mark_written_) return {};
    const Status written = replace_mark_file(content);
    if (written) mark_written_ = content;
    return written;
}

Status RocksLogStore::replace_mark_file(const std::string& content) {
    const rocksdb::IOOptions options;
    const std::string temporary = mark_path_ + ".new";
    std::unique_ptr<rocksdb::FSWritableFile> file;
    rocksdb::IOStatus status =
        files_.NewWritableFile(temporary, rocksdb::FileOptions(), &file, nullptr);
    if (status.ok()) status = file->Append(content, options, nullptr);
    if (status.ok()) status = file->Sync(options, nullptr);
    if (status.ok()) status = file->Close(options, nullptr);
    if (status.ok()) status = files_.RenameFile(temporary, mark_path_, options, nullptr);
    std::unique_ptr<rocksdb::FSDirectory> directory;
    if (status.ok()) {
        status = files_.NewDirectory(directory_of(mark_path_), options, &directory, nullptr);
    }
    if (status.ok()) status = directory->Fsync(options, nullptr);
    if (status.ok()) return {};
    return counted(StorageOp::Write, rocks_error("writing the durable mark", status));
}

std::map<GroupId, Generation> RocksLogStore::generations() const {
    const std::lock_guard lock(mutex_);
    return table_.generations();
}

}  // namespace quorate::storage
