#include "bench/load/client/payload.h"

#include <array>
#include <bit>
#include <cstring>
#include <ctime>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace quorate::bench {
namespace {

static_assert(std::endian::native == std::endian::little, "the layout is written by memcpy");

constexpr std::size_t kChecksumOffset = 24;

constexpr std::array<std::uint32_t, 256> make_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) {
            value = (value >> 1U) ^ ((value & 1U) != 0 ? 0x82F63B78U : 0U);
        }
        table[i] = value;
    }
    return table;
}

constexpr std::array<std::uint32_t, 256> kTable = make_table();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(std::uint32_t crc,
                                                                      ByteSpan data) noexcept {
    std::uint64_t state = ~crc;
    const std::uint8_t* at = data.data();
    std::size_t left = data.size();
    for (; left >= 8; left -= 8, at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, 8);
        state = _mm_crc32_u64(state, word);
    }
    auto narrow = static_cast<std::uint32_t>(state);
    for (; left > 0; --left, ++at)
        narrow = _mm_crc32_u8(narrow, *at);
    return ~narrow;
}
#endif

}  // namespace

Nanos monotonic_now() noexcept {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::chrono::seconds(now.tv_sec) + Nanos(now.tv_nsec);
}

std::uint32_t crc32c_by_table(std::uint32_t crc, ByteSpan data) noexcept {
    std::uint32_t state = ~crc;
    for (const std::uint8_t byte : data)
        state = (state >> 8U) ^ kTable[(state ^ byte) & 0xFFU];
    return ~state;
}

std::uint32_t crc32c(std::uint32_t crc, ByteSpan data) noexcept {
#if defined(__x86_64__)
    static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
    if (has_instruction) return crc32c_by_instruction(crc, data);
#endif
    return crc32c_by_table(crc, data);
}

Stamper::Stamper(std::uint32_t run_id, std::span<std::uint8_t> payload) : run_id_(run_id) {
    const std::span<std::uint8_t> filling = payload.subspan(kPayloadBytesMin);
    for (std::size_t i = 0; i < filling.size(); ++i) {
        filling[i] = static_cast<std::uint8_t>('a' + (i * 7 + run_id) % 26);
    }
    filling_crc_ = crc32c(0, filling);
}

void Stamper::stamp(std::uint8_t* payload, const Stamp& stamp) const noexcept {
    const auto sent = static_cast<std::uint64_t>(stamp.sent.count());
    std::memcpy(payload, &run_id_, 4);
    std::memcpy(payload + 4, &stamp.publisher, 4);
    std::memcpy(payload + 8, &stamp.sequence, 8);
    std::memcpy(payload + 16, &sent, 8);
    const std::uint32_t checksum = crc32c(filling_crc_, ByteSpan(payload, kChecksumOffset));
    std::memcpy(payload + kChecksumOffset, &checksum, 4);
}

std::optional<Stamp> read_stamp(ByteSpan payload, std::uint32_t run_id) noexcept {
    if (payload.size() < kPayloadBytesMin) return std::nullopt;
    std::uint32_t found_run = 0;
    std::uint32_t checksum = 0;
    std::uint64_t sent = 0;
    Stamp stamp;
    std::memcpy(&found_run, payload.data(), 4);
    std::memcpy(&stamp.publisher, payload.data() + 4, 4);
    std::memcpy(&stamp.sequence, payload.data() + 8, 8);
    std::memcpy(&sent, payload.data() + 16, 8);
    std::memcpy(&checksum, payload.data() + kChecksumOffset, 4);
    const std::uint32_t filling = crc32c(0, payload.subspan(kPayloadBytesMin));
    if (found_run != run_id) return std::nullopt;
    if (checksum != crc32c(filling, payload.first(kChecksumOffset))) return std::nullopt;
    stamp.sent = Nanos(static_cast<Nanos::rep>(sent));
    return stamp;
}

}  // namespace quorate::bench
