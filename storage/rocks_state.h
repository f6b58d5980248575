// The StateStore on RocksDB: one column family, no write-ahead log.
#pragma once

#include <memory>

#include "storage/state_store.h"

namespace rocksdb {
class DB;
class Status;
}  // namespace rocksdb

namespace quorate::storage {

// What RocksDB said, as one of our errors. Requires: not ok.
[[nodiscard]] Error rocks_error(const char* what, const rocksdb::Status& status);

// *Thread*, *Errors*: as StateStore. *Owner*: RocksEngine.
class RocksStateStore final : public StateStore {
  public:
    explicit RocksStateStore(std::unique_ptr<rocksdb::DB> db);
    ~RocksStateStore() override;

    [[nodiscard]] Status write(const StateBatch& batch) override;
    [[nodiscard]] Result<bool> get(std::string_view key, std::string& value) const override;
    [[nodiscard]] std::unique_ptr<StateCursor> cursor(std::string_view from,
                                                      std::string_view to) const override;
    [[nodiscard]] Status flush() override;
    [[nodiscard]] uint64_t approximate_bytes() const override;

  private:
    std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace quorate::storage
