// What a benchmark message carries, so that the receiver can tell loss, repetition, disorder and
// damage apart without asking the sender:
//
//     offset  0  run id        u32   a message of another run is not ours
//             4  publisher     u32
//             8  sequence      u64   0, 1, 2 ... of this publisher
//            16  sent          u64   nanoseconds of the monotonic clock, for the end-to-end latency
//            24  checksum      u32   CRC-32C of bytes 28.. and then of bytes 0..23
//            28  filling             up to the size asked for
//
// All little-endian. The filling comes first in the checksum: it never changes, so a sender
// computes its part once.
//
// Thread: none; values and pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "bench/load/client/wire.h"

namespace quorate::bench {

// Time since the start of the monotonic clock.
using Nanos = std::chrono::nanoseconds;

[[nodiscard]] Nanos monotonic_now() noexcept;

inline constexpr std::size_t kPayloadBytesMin = 28;

struct Stamp {
    std::uint32_t publisher = 0;
    std::uint64_t sequence = 0;
    Nanos sent{0};
};

// Writes stamps into copies of one payload. Owner: the publisher whose messages it stamps.
class Stamper {
  public:
    // Writes the filling into `payload`. Requires: at least kPayloadBytesMin bytes; every payload
    // stamped later is a copy of this one.
    Stamper(std::uint32_t run_id, std::span<std::uint8_t> payload);

    void stamp(std::uint8_t* payload, const Stamp& stamp) const noexcept;

  private:
    std::uint32_t run_id_;
    std::uint32_t filling_crc_;
};

// Empty when the payload is damaged, too short, or of another run.
[[nodiscard]] std::optional<Stamp> read_stamp(ByteSpan payload, std::uint32_t run_id) noexcept;

// CRC-32C (Castagnoli), continued from `crc`; 0 to begin.
[[nodiscard]] std::uint32_t crc32c(std::uint32_t crc, ByteSpan data) noexcept;
// The same by table, for processors without the instruction; exposed so that a test compares the
// two.
[[nodiscard]] std::uint32_t crc32c_by_table(std::uint32_t crc, ByteSpan data) noexcept;

}  // namespace quorate::bench
