// The form of every stored value: what is inside each kind of record, and the frame around it.
//
// *Frame*: [version u8][CRC-32C u32 over key and body][body]. The key is part of the checksum, so
// that a record under another's key is as corrupt as a flipped bit.
// *Thread*: free functions, any. *Errors*: Corrupt, naming the key in hexadecimal; no bytes make
// these functions crash or return something that was not written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "storage/log_store.h"
#include "storage/log_table.h"

namespace quorate::storage {

inline constexpr uint8_t kRecordVersion = 1;
inline constexpr std::size_t kFrameBytes = 5;

// The frame's head for a body that is given in two parts and written by the caller.
void append_frame(std::string& out, std::string_view key, std::string_view body,
                  std::string_view body_rest = {});
// The body, as a view into `stored`.
[[nodiscard]] Result<std::string_view> open_frame(std::string_view key, std::string_view stored);

// Bytes for an error text: hexadecimal, cut after 64 bytes.
[[nodiscard]] std::string printable(std::string_view bytes);

// Bodies of the log's records.
[[nodiscard]] std::string encode_hard_state(const HardState& state);
[[nodiscard]] Result<HardState> decode_hard_state(std::string_view body);
[[nodiscard]] std::string encode_meta(const GroupMeta& meta);
[[nodiscard]] Result<GroupMeta> decode_meta(std::string_view body);
[[nodiscard]] std::string encode_truncations(uint64_t truncations);
[[nodiscard]] Result<uint64_t> decode_truncations(std::string_view body);

// An entry's body is this head and then its data.
[[nodiscard]] std::string encode_entry_head(Term term, uint8_t kind, uint64_t chain);
// `data` views into `body`. The index comes from the key.
[[nodiscard]] Result<StoredEntry> decode_entry(LogIndex index, std::string_view body);

// The chained hash up to an entry, from the one before it.
[[nodiscard]] uint64_t chain_hash(uint64_t previous, EntryId id, uint8_t kind,
                                  std::string_view data);

// The whole file of durable marks, frame included.
[[nodiscard]] std::string encode_marks(const std::vector<DurableMark>& marks);
[[nodiscard]] Result<std::vector<DurableMark>> decode_marks(std::string_view file);

// The file FORMAT, text with a checksum line, and the cluster id in it (empty: none yet).
// `path` is for the error text. Another version than this program's says so before anything else.
inline constexpr uint32_t kFormatVersion = 2;
[[nodiscard]] std::string encode_format(const std::string& cluster_id);
[[nodiscard]] Result<std::string> decode_format(const std::string& path, const std::string& text);

}  // namespace quorate::storage
