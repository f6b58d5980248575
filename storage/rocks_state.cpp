#include "storage/rocks_state.h"

#include <algorithm>
#include <array>

#include <rocksdb/db.h>

#include "storage/records.h"
#include "storage/rocks_engine.h"

namespace quorate::storage {
namespace {

rocksdb::Slice slice(std::string_view bytes) {
    return {bytes.data(), bytes.size()};
}
std::string_view view(const rocksdb::Slice& bytes) {
    return {bytes.data(), bytes.size()};
}

class RocksCursor final : public StateCursor {
  public:
    RocksCursor(rocksdb::DB& db, StorageCounts& counts, std::string_view from, std::string_view to)
        : counts_(counts), from_(from), to_(to), to_slice_(to_) {
        rocksdb::ReadOptions options;
        if (!to_.empty()) options.iterate_upper_bound = &to_slice_;
        iterator_.reset(db.NewIterator(options));
        seek(from_);
    }

    [[nodiscard]] bool valid() const override { return status_.ok() && iterator_->Valid(); }
    [[nodiscard]] std::string_view key() const override { return view(iterator_->key()); }
    [[nodiscard]] std::string_view value() const override { return value_; }
    void next() override {
        iterator_->Next();
        open();
    }
    void seek(std::string_view key) override {
        iterator_->Seek(slice(std::max<std::string_view>(key, from_)));
        open();
    }
    [[nodiscard]] Status status() const override { return status_; }

  private:
    void open() {
        if (!iterator_->Valid()) {
            const rocksdb::Status ended = iterator_->status();
            if (!ended.ok()) fail(rocks_error("reading state", ended));
            return;
        }
        const Result<std::string_view> body =
            open_frame(view(iterator_->key()), view(iterator_->value()));
        if (body) {
            value_ = *body;
        } else {
            fail(body.error());
        }
    }
    void fail(Error error) {
        status_ = std::move(error);
        counts_.count(StorageOp::Read, status_);
    }

    StorageCounts& counts_;
    const std::string from_;
    const std::string to_;
    const rocksdb::Slice to_slice_;
    std::unique_ptr<rocksdb::Iterator> iterator_;
    std::string_view value_;
    Status status_;
};

void put_framed(rocksdb::WriteBatch& out, const StateChange& change) {
    std::string frame;
    append_frame(frame, change.key, change.value);
    const rocksdb::Slice key = slice(change.key);
    const std::array<rocksdb::Slice, 2> value = {rocksdb::Slice(frame), slice(change.value)};
    out.Put(rocksdb::SliceParts(&key, 1),
            rocksdb::SliceParts(value.data(), static_cast<int>(value.size())))
        .PermitUncheckedError();
}

}  // namespace

Error rocks_error(const char* what, const rocksdb::Status& status) {
    const ErrorCode code = status.IsCorruption() ? ErrorCode::Corrupt : ErrorCode::Io;
    return Error{code, std::string(what) + ": " + status.ToString()};
}

RocksStateStore::RocksStateStore(std::unique_ptr<rocksdb::DB> db, StorageCounts& counts)
    : db_(std::move(db)), counts_(counts) {}
RocksStateStore::~RocksStateStore() = default;

Status RocksStateStore::write(const StateBatch& batch) {
    rocksdb::WriteBatch out(batch.bytes() + batch.count() * (kFrameBytes + 4));
    batch.for_each([&](const StateChange& change) {
        switch (change.op) {
            case StateOp::Put:
                put_framed(out, change);
                break;
            case StateOp::Remove:
                out.Delete(slice(change.key)).PermitUncheckedError();
                break;
            case StateOp::RemoveRange:
                out.DeleteRange(slice(change.key), slice(change.value)).PermitUncheckedError();
                break;
        }
    });
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    // No insert hint per batch: with two workers writing at once RocksDB 7.8 inserts out of order
    // and fails its own assertions (a crash test of the whole broker found it).
    const rocksdb::Status status = db_->Write(options, &out);
    if (status.ok()) return {};
    return counted(StorageOp::Write, rocks_error("writing state", status));
}

Result<bool> RocksStateStore::get(std::string_view key, std::string& value) const {
    rocksdb::PinnableSlice stored;
    const rocksdb::Status status =
        db_->Get(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), slice(key), &stored);
    if (status.IsNotFound()) return false;
    if (!status.ok()) return counted(StorageOp::Read, rocks_error("reading state", status));
    const Result<std::string_view> body = open_frame(key, view(stored));
    if (!body) return counted(StorageOp::Read, body.error());
    value.assign(*body);
    return true;
}

Error RocksStateStore::counted(StorageOp op, Error error) const {
    counts_.count(op, error);
    return error;
}

std::unique_ptr<StateCursor> RocksStateStore::cursor(std::string_view from,
                                                     std::string_view to) const {
    return std::make_unique<RocksCursor>(*db_, counts_, from, to);
}

Status RocksStateStore::flush() {
    rocksdb::FlushOptions options;
    options.allow_write_stall = true;
    const rocksdb::Status status = db_->Flush(options);
    if (!status.ok()) return rocks_error("flushing state", status);
    return {};
}

uint64_t RocksStateStore::approximate_bytes() const {
    uint64_t tables = 0;
    uint64_t memory = 0;
    db_->GetIntProperty(rocksdb::DB::Properties::kEstimateLiveDataSize, &tables);
    db_->GetIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &memory);
    return tables + memory;
}

}  // namespace quorate::storage
