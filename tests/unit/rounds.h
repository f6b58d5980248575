// How much of a long random or exhaustive test runs: all of it, or a tenth under a sanitizer, which
// is there for how memory is used and not for the law the test is about.
#pragma once

#include <cstdint>

namespace quorate::test {

#if defined(QUORATE_SANITIZED)
inline constexpr uint64_t kShare = 10;
#else
inline constexpr uint64_t kShare = 1;
#endif

// Whether all of it runs: only then what it came across has to be of every kind.
inline constexpr bool kWhole = kShare == 1;

// At least one.
constexpr uint64_t rounds(uint64_t full) {
    return full < kShare ? 1 : full / kShare;
}

}  // namespace quorate::test
