// The two hashes of the system. Both are part of stored formats and of placement: never change
// them.
#pragma once

#include <cstdint>
#include <string_view>

#include "proto/base/ids.h"

namespace quorate {

// XXH3, 64 bits, seed 0. Placement, routing caches, chained log hash.
[[nodiscard]] uint64_t hash64(std::string_view bytes);
[[nodiscard]] uint64_t hash64(std::string_view bytes, uint64_t seed);

// CRC-32C (Castagnoli) of every record on disk. `seed` continues an earlier checksum.
[[nodiscard]] uint32_t crc32c(std::string_view bytes, uint32_t seed = 0);

// The shard of a key: one hash for client ids and topics (design: shard = hash(key) mod shards).
// Requires: shards > 0.
[[nodiscard]] ShardId shard_of(std::string_view key, uint32_t shards);

}  // namespace quorate
