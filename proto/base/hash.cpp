#include "proto/base/hash.h"

#include <array>
#include <cstring>

#include <xxhash.h>

#include "proto/base/assert.h"

namespace quorate {
namespace {

constexpr std::array<uint32_t, 256> make_crc_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) {
            value = (value & 1U) != 0 ? (value >> 1) ^ 0x82F63B78U : value >> 1;
        }
        table[i] = value;
    }
    return table;
}

constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

uint32_t crc_software(const char* data, std::size_t size, uint32_t state) {
    for (std::size_t i = 0; i < size; ++i) {
        state = kCrcTable[(state ^ static_cast<uint8_t>(data[i])) & 0xFFU] ^ (state >> 8);
    }
    return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t crc_hardware(const char* data, std::size_t size,
                                                        uint32_t state) {
    while (size >= 8) {
        uint64_t word = 0;
        std::memcpy(&word, data, 8);
        state = static_cast<uint32_t>(__builtin_ia32_crc32di(state, word));
        data += 8;
        size -= 8;
    }
    while (size > 0) {
        state = __builtin_ia32_crc32qi(state, static_cast<uint8_t>(*data));
        ++data;
        --size;
    }
    return state;
}
#endif

}  // namespace

uint64_t hash64(std::string_view bytes) {
    return XXH3_64bits(bytes.data(), bytes.size());
}

uint64_t hash64(std::string_view bytes, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

uint32_t crc32c(std::string_view bytes, uint32_t seed) {
    const uint32_t state = ~seed;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return ~crc_hardware(bytes.data(), bytes.size(), state);
    }
#endif
    return ~crc_software(bytes.data(), bytes.size(), state);
}

ShardId shard_of(std::string_view key, uint32_t shards) {
    ASSERT(shards > 0, "a cluster has at least one shard");
    return ShardId(static_cast<uint32_t>(hash64(key) % shards));
}

}  // namespace quorate
