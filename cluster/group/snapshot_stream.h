// A group's state as a stream of bytes, and back: what a snapshot's chunks consist of.
//
//     [key size u32][value size u32][key][value] ...   [UINT32_MAX][hash u64 over all before]
//
// Keys are without the prefix of group and generation. Chunks are cut anywhere.
// *Thread*: the worker of the group. *Owner*: the group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proto/base/bytes.h"
#include "proto/base/result.h"
#include "storage/state_store.h"

namespace quorate::cluster {

// Reads the state as it was when this was made. *Errors*: Corrupt and Io as the store's.
class SnapshotReader {
  public:
    explicit SnapshotReader(const storage::StateStore& state) : cursor_(state.cursor({}, {})) {}

    // The next bytes, `bytes_max` of them except at the end.
    [[nodiscard]] Result<SharedBytes> next(std::size_t bytes_max);
    [[nodiscard]] uint64_t offset() const { return offset_; }
    // The last chunk was read.
    [[nodiscard]] bool done() const { return ended_ && buffer_.empty(); }

  private:
    [[nodiscard]] Status fill(std::size_t bytes);

    std::unique_ptr<storage::StateCursor> cursor_;
    std::string buffer_;
    uint64_t offset_ = 0;
    uint64_t hash_ = 0;
    bool ended_ = false;
};

// Writes what arrives under a prefix of its own. A peer may send anything: keys and values are
// bounded, and memory never exceeds what was received of one record.
// *Errors*: Corrupt for bytes that no SnapshotReader made; Io of the store.
class SnapshotWriter {
  public:
    static constexpr uint32_t kKeyBytesMax = uint32_t{1} << 20;
    static constexpr uint32_t kValueBytesMax = uint32_t{1} << 30;

    // Removes what an earlier attempt left under the prefix.
    SnapshotWriter(storage::StateStore& store, std::string prefix);

    [[nodiscard]] Status add(std::string_view bytes);
    // Nothing is missing, and everything is what was sent.
    [[nodiscard]] bool complete() const { return ended_ && buffer_.empty(); }

  private:
    storage::StateStore& store_;
    storage::StateBatch batch_;
    std::string buffer_;  // of the record that is not complete
    uint64_t hash_ = 0;
    bool ended_ = false;
};

}  // namespace quorate::cluster
