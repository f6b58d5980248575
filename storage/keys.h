// Every key on disk, in one place, so that two formats can never meet under one key.
//
// *State*: [group u32][generation u32][family u8][rest chosen by the owner of the family]
// *Log*:   [group u32][LogRecord u8][index u64 for entries]
// All integers are big-endian, so that byte order is numeric order and a group, a generation and a
// family are each one contiguous range. A state machine never writes the first eight bytes itself:
// its group gives it a StateBatch and a StateView that put them in front.
// *Thread*: free functions and values, any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/base/ids.h"

namespace quorate::storage {

// First byte of a state machine's own keys. 0 belongs to the group (applied index); the state
// machines choose theirs from 1 to 254.
inline constexpr uint8_t kGroupFamily = 0;

// What a key of the log store holds.
enum class LogRecord : uint8_t { HardState = 1, Meta = 2, Truncations = 3, Entry = 4 };

// Appends integers in big-endian order, so that keys sort by number.
void append_key_u8(std::string& key, uint8_t value);
void append_key_u16(std::string& key, uint16_t value);
void append_key_u32(std::string& key, uint32_t value);
void append_key_u64(std::string& key, uint64_t value);

// Reads the keys back: takes integers from the front; `failed()` once something was missing.
class KeyReader {
  public:
    explicit KeyReader(std::string_view key) : rest_(key) {}
    uint8_t u8() { return static_cast<uint8_t>(integer(1)); }
    uint16_t u16() { return static_cast<uint16_t>(integer(2)); }
    uint32_t u32() { return static_cast<uint32_t>(integer(4)); }
    uint64_t u64() { return integer(8); }
    [[nodiscard]] std::string_view rest() const { return rest_; }
    [[nodiscard]] bool failed() const { return failed_; }

  private:
    uint64_t integer(std::size_t size);
    std::string_view rest_;
    bool failed_ = false;
};

// What all state keys of a group begin with, of whatever generation.
[[nodiscard]] std::string group_prefix(GroupId group);

// (group, generation): what all state keys of one replica of a group begin with. The highest number
// of both together is not used: nothing could be the end of its range.
[[nodiscard]] std::string state_prefix(GroupId group, Generation generation);

// The smallest key greater than every key that starts with `prefix`; empty means "no upper bound".
[[nodiscard]] std::string prefix_end(std::string_view prefix);

[[nodiscard]] std::string log_key(GroupId group, LogRecord record);
[[nodiscard]] std::string entry_key(GroupId group, LogIndex index);

struct LogKey {
    GroupId group;
    LogRecord record = LogRecord::HardState;
    LogIndex index;  // of an entry, else 0
};
// Nothing for bytes that are no key of the log.
[[nodiscard]] std::optional<LogKey> parse_log_key(std::string_view key);

}  // namespace quorate::storage
