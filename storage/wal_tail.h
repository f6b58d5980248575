// Tells a torn end of RocksDB's write-ahead log from damage in its middle, before RocksDB opens it.
//
// With a sync per write, a write begins only after the one before it is on the disk. So whatever is
// unreadable and has nothing behind it is a write that never completed: nobody was promised
// anything, it may go. What is unreadable and has a readable later write behind it was durable
// once: that is damage, and must never be cut away in silence (RocksDB's default would).
// *Thread*: the opener's. *Errors*: Corrupt for damage, Io. *Spec*: RocksDB's log format: blocks of
// 32 KiB, records of [CRC-32C u32, masked][size u16][type u8][bytes], a write in one FULL record or
// FIRST, MIDDLE..., LAST.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/base/result.h"

namespace rocksdb {
class FileSystem;
}

namespace quorate::storage {

enum class WalEnd : uint8_t { Whole, Torn, Damaged };

struct WalTail {
    WalEnd end = WalEnd::Whole;
    uint64_t whole_bytes = 0;  // up to here every write is complete
};

// Judges the bytes of one log file. Takes a time linear in their number, whatever they are.
[[nodiscard]] WalTail inspect_wal(std::string_view bytes);

// Inspects the newest log file in the directory of a RocksDB instance and shortens it to its last
// complete write when its end is torn. With `forgive_damage` (writes are not synced one by one)
// everything from the first unreadable record on goes; the durable mark then tells whether
// something promised went with it. A missing directory is fine.
[[nodiscard]] Status repair_wal_tail(rocksdb::FileSystem& files, const std::string& directory,
                                     bool forgive_damage);

}  // namespace quorate::storage
