// The StateStore on RocksDB: one column family, no write-ahead log.
#pragma once

#include <cstdint>
#include <memory>

#include "storage/state_store.h"

namespace rocksdb {
class DB;
class Status;
}  // namespace rocksdb

namespace quorate::storage {

class StorageCounts;
enum class StorageOp : uint8_t;

// What RocksDB said, as one of our errors. Requires: not ok.
[[nodiscard]] Error rocks_error(const char* what, const rocksdb::Status& status);

// *Thread*, *Errors*: as StateStore. *Owner*: RocksEngine; the counts outlive it.
class RocksStateStore final : public StateStore {
  public:
    RocksStateStore(std::unique_ptr<rocksdb::DB> db, StorageCounts& counts);
    ~RocksStateStore() override;

    [[nodiscard]] Status write(const StateBatch& batch) override;
    [[nodiscard]] Result<bool> get(std::string_view key, std::string& value) const override;
    [[nodiscard]] std::unique_ptr<StateCursor> cursor(std::string_view from,
                                                      std::string_view to) const override;
    [[nodiscard]] Status flush() override;
    [[nodiscard]] uint64_t approximate_bytes() const override;

  private:
    [[nodiscard]] Error counted(StorageOp op, Error error) const;

    std::unique_ptr<rocksdb::DB> db_;
    StorageCounts& counts_;
};

}  // namespace quorate::storage
