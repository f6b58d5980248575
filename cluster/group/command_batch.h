// What a Raft entry of kind Command holds: the cluster time its leader stamped, and all commands
// that were proposed in one turn; or, of the group itself, what its leader's state was.
//
//     [1 u8][time u64, ms][count u32] count times: [size u32][bytes]
//     [2 u8][index u64][digest u64]
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/base/bytes.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// Collects commands until they are sealed into one entry. *Thread*, *Owner*: the group.
class CommandBatch {
  public:
    CommandBatch();

    // Requires: smaller than 4 GiB.
    void add(std::string_view command);
    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] uint32_t count() const { return count_; }
    [[nodiscard]] std::size_t bytes() const { return buffer_.size(); }
    // Of the commands alone, as they were added.
    [[nodiscard]] std::size_t command_bytes() const { return command_bytes_; }
    // The entry's data; the batch is empty afterwards and keeps its memory.
    [[nodiscard]] SharedBytes seal(ClusterTime time);

  private:
    std::string buffer_;
    uint32_t count_ = 0;
    std::size_t command_bytes_ = 0;
};

// R4: what every replica has written up to an entry, hashed; 0 at the beginning.
struct StateDigest {
    LogIndex index;
    uint64_t digest = 0;
    bool operator==(const StateDigest&) const = default;
};
[[nodiscard]] SharedBytes encode_state_check(const StateDigest& digest);
// Nothing for an entry that is no such check.
[[nodiscard]] std::optional<StateDigest> decode_state_check(std::string_view data);

// Reads an entry's data. Views point into it. *Errors*: `finished()` is false after the last
// command when the bytes are not what CommandBatch wrote.
class CommandReader {
  public:
    explicit CommandReader(std::string_view data);

    [[nodiscard]] ClusterTime time() const { return time_; }
    [[nodiscard]] uint32_t count() const { return count_; }
    // The next command; nothing at the end or at damage.
    [[nodiscard]] std::optional<std::string_view> next();
    [[nodiscard]] bool failed() const { return reader_.failed(); }
    [[nodiscard]] bool finished() const { return left_ == 0 && reader_.finished(); }

  private:
    RecordReader reader_;
    ClusterTime time_;
    uint32_t count_ = 0;
    uint32_t left_ = 0;
};

}  // namespace quorate::cluster
