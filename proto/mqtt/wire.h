// The data types of the wire, read and written: big-endian integers, Variable Byte Integers,
// strings with a length. For the codec's own sources; nobody else needs it. Spec: MQTT 5 §1.5.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "proto/base/bytes.h"
#include "proto/mqtt/properties.h"
#include "proto/mqtt/types.h"

namespace quorate::mqtt {

// Reads from the front of a byte string. Each function answers false, and reads nothing, when the
// bytes do not suffice.
class WireReader {
  public:
    explicit WireReader(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}
    explicit WireReader(ByteView bytes) : WireReader(as_text(bytes)) {}

    [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(end_ - at_); }
    [[nodiscard]] bool empty() const { return at_ == end_; }
    [[nodiscard]] std::string_view rest() const { return {at_, size()}; }

    [[nodiscard]] bool u8(uint8_t& out) {
        if (at_ == end_) return false;
        out = static_cast<uint8_t>(*at_++);
        return true;
    }
    [[nodiscard]] bool u16(uint16_t& out) {
        if (size() < 2) return false;
        out = static_cast<uint16_t>((byte(0) << 8) | byte(1));
        at_ += 2;
        return true;
    }
    [[nodiscard]] bool u32(uint32_t& out) {
        if (size() < 4) return false;
        out = (byte(0) << 24) | (byte(1) << 16) | (byte(2) << 8) | byte(3);
        at_ += 4;
        return true;
    }
    [[nodiscard]] bool raw(std::size_t length, std::string_view& out) {
        if (size() < length) return false;
        out = {at_, length};
        at_ += length;
        return true;
    }
    // A UTF-8 Encoded String or Binary Data, without a look at its contents.
    [[nodiscard]] bool text(std::string_view& out) {
        if (size() < 2) return false;
        const std::size_t length = (byte(0) << 8) | byte(1);
        if (size() - 2 < length) return false;
        out = {at_ + 2, length};
        at_ += 2 + length;
        return true;
    }
    // False, too, for more than four bytes and for a form longer than needed [MQTT-1.5.5-1].
    [[nodiscard]] bool variable(uint32_t& out) {
        uint32_t value = 0;
        for (std::size_t i = 0; i < 4 && i < size(); ++i) {
            const uint32_t digit = byte(i);
            value |= (digit & 0x7FU) << (7 * i);
            if ((digit & 0x80U) == 0) {
                if (digit == 0 && i > 0) return false;
                out = value;
                at_ += i + 1;
                return true;
            }
        }
        return false;
    }

  private:
    [[nodiscard]] uint32_t byte(std::size_t i) const { return static_cast<uint8_t>(at_[i]); }

    const char* at_;
    const char* end_;
};

// Takes a Property Length and that many bytes off the reader, and checks them.
[[nodiscard]] DecodeResult take_properties(WireReader& reader, PropertyOwner owner,
                                           const PropertyLimits& limits, PropertyView& out);

struct Frame;
// DUP is a flag of PUBLISH alone, but version 3.1 also has it in PUBREL, SUBSCRIBE and UNSUBSCRIBE;
// `scan_frame` cannot know the version and lets it pass. [MQTT-2.1.3-1]
[[nodiscard]] DecodeResult check_flags(ProtocolVersion version, const Frame& frame);

[[nodiscard]] constexpr std::size_t variable_size(uint32_t value) {
    return value < 128 ? 1 : value < 16'384 ? 2 : value < 2'097'152 ? 3 : 4;
}

// Writes to memory the caller has measured.
class WireWriter {
  public:
    explicit WireWriter(std::byte* at) : at_(at) {}

    [[nodiscard]] std::byte* at() const { return at_; }
    void u8(uint32_t value) { *at_++ = static_cast<std::byte>(value); }
    void u16(uint32_t value) {
        u8(value >> 8);
        u8(value & 0xFFU);
    }
    void u32(uint32_t value) {
        u16(value >> 16);
        u16(value & 0xFFFFU);
    }
    void variable(uint32_t value) {
        while (value >= 128) {
            u8((value & 0x7FU) | 0x80U);
            value >>= 7;
        }
        u8(value);
    }
    void raw(std::string_view bytes) {
        if (bytes.empty()) return;
        std::memcpy(at_, bytes.data(), bytes.size());
        at_ += bytes.size();
    }
    void text(std::string_view bytes) {
        u16(static_cast<uint32_t>(bytes.size()));
        raw(bytes);
    }

  private:
    std::byte* at_;
};

inline void append_u8(std::string& out, uint32_t value) {
    out.push_back(static_cast<char>(static_cast<uint8_t>(value)));
}
inline void append_u16(std::string& out, uint32_t value) {
    append_u8(out, (value >> 8) & 0xFFU);
    append_u8(out, value & 0xFFU);
}
inline void append_u32(std::string& out, uint32_t value) {
    append_u16(out, value >> 16);
    append_u16(out, value & 0xFFFFU);
}
inline void append_variable(std::string& out, uint32_t value) {
    while (value >= 128) {
        append_u8(out, (value & 0x7FU) | 0x80U);
        value >>= 7;
    }
    append_u8(out, value);
}
inline void append_text(std::string& out, std::string_view bytes) {
    append_u16(out, static_cast<uint32_t>(bytes.size()));
    out.append(bytes);
}

}  // namespace quorate::mqtt
