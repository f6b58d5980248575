#include "proto/mqtt/utf8.h"

#include <bit>
#include <cstddef>
#include <cstring>

namespace quorate::mqtt {
namespace {

constexpr uint64_t kOnes = 0x0101010101010101U;
constexpr uint64_t kHighs = 0x8080808080808080U;
constexpr uint64_t kLows = 0x7F7F7F7F7F7F7F7FU;

// A high bit for some byte if and only if a byte of `word` is zero; which byte is not told exactly.
constexpr uint64_t any_zero(uint64_t word) {
    return (word - kOnes) & ~word & kHighs;
}
// The high bit of exactly the zero bytes.
constexpr uint64_t zero_bytes(uint64_t word) {
    return ~(((word & kLows) + kLows) | word | kLows);
}

uint64_t load(const char* at) {
    uint64_t word = 0;
    std::memcpy(&word, at, sizeof(word));
    return word;
}

static_assert(std::endian::native == std::endian::little, "bytes are shifted in reading order");

// The last `size` < 8 bytes of a text of `total` bytes, filled up with bytes that have no trait. In
// loads and shifts alone: a copy to a buffer would stall the load that follows it.
uint64_t load_tail(const char* end, std::size_t size, std::size_t total) {
    constexpr uint64_t kFill = 0x7878787878787878U;  // 'x'
    const uint64_t fill = kFill << (8 * size);
    if (total >= 8) return (load(end - 8) >> (8 * (8 - size))) | fill;
    const char* at = end - size;
    const auto byte = [at](std::size_t i) { return uint64_t{static_cast<uint8_t>(at[i])}; };
    if (size >= 4) {
        uint32_t first = 0;
        uint32_t last = 0;
        std::memcpy(&first, at, 4);
        std::memcpy(&last, end - 4, 4);
        return first | (uint64_t{last} << (8 * (size - 4))) | fill;
    }
    const std::size_t middle = size / 2;
    return byte(0) | (byte(middle) << (8 * middle)) | (byte(size - 1) << (8 * (size - 1))) | fill;
}

// The length of the well-formed sequence at `at` that does not begin with an ASCII byte; 0 if it is
// ill-formed. Unicode, table 3-7.
std::size_t sequence_size(const char* at, std::size_t size) {
    const auto byte = [at](std::size_t i) { return static_cast<uint8_t>(at[i]); };
    const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
    const uint8_t first = byte(0);
    if (first < 0xC2) return 0;
    if (first < 0xE0) return size >= 2 && continues(1) ? 2 : 0;
    if (first < 0xF0) {
        if (size < 3 || !continues(1) || !continues(2)) return 0;
        if (first == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
        if (first == 0xED && byte(1) > 0x9F) return 0;  // a surrogate
        return 3;
    }
    if (first > 0xF4) return 0;
    if (size < 4 || !continues(1) || !continues(2) || !continues(3)) return 0;
    if (first == 0xF0 && byte(1) < 0x90) return 0;  // overlong
    if (first == 0xF4 && byte(1) > 0x8F) return 0;  // above U+10FFFF
    return 4;
}

template <bool null_allowed>
bool valid(std::string_view text) {
    const char* at = text.data();
    std::size_t left = text.size();
    while (left > 0) {
        if (left >= 8) {
            const uint64_t word = load(at);
            if ((word & kHighs) == 0 && (null_allowed || any_zero(word) == 0)) {
                at += 8;
                left -= 8;
                continue;
            }
        }
        std::size_t step = 1;
        if (static_cast<uint8_t>(*at) >= 0x80) {
            step = sequence_size(at, left);
            if (step == 0) return false;
        } else if (!null_allowed && *at == '\0') {
            return false;
        }
        at += step;
        left -= step;
    }
    return true;
}

}  // namespace

bool valid_utf8(std::string_view text) {
    return valid<false>(text);
}

bool valid_utf8_payload(std::string_view payload) {
    return valid<true>(payload);
}

TextTraits traits_of(std::string_view text) {
    uint64_t high = 0;
    uint64_t null = 0;
    uint64_t wildcard = 0;
    TextTraits traits;
    const auto take = [&](uint64_t word) {
        high |= word;
        null |= any_zero(word);
        // `#` and `+` differ in one bit alone.
        wildcard |= any_zero((word & ~(kOnes * 0x08)) ^ (kOnes * 0x23));
        const uint64_t slashes = zero_bytes(word ^ (kOnes * 0x2F)) >> 7;
        traits.slashes += static_cast<uint32_t>((slashes * kOnes) >> 56);
    };
    const char* at = text.data();
    std::size_t left = text.size();
    for (; left >= 8; left -= 8, at += 8)
        take(load(at));
    if (left > 0) take(load_tail(at + left, left, text.size()));
    traits.ascii = (high & kHighs) == 0;
    traits.null = null != 0;
    traits.wildcard = wildcard != 0;
    return traits;
}

}  // namespace quorate::mqtt
