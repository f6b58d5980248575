// The client's side of WebSocket frames, written by hand so that tests can also write wrong ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::broker::test {

struct FrameOptions {
    bool fin = true;
    bool masked = true;
    uint8_t reserved = 0;
};

inline constexpr uint8_t kOpContinuation = 0;
inline constexpr uint8_t kOpText = 1;
inline constexpr uint8_t kOpBinary = 2;
inline constexpr uint8_t kOpClose = 8;
inline constexpr uint8_t kOpPing = 9;
inline constexpr uint8_t kOpPong = 10;

// A header that declares `length` bytes, as short as it can be.
[[nodiscard]] inline std::string frame_header(uint8_t opcode, uint64_t length,
                                              FrameOptions options = {}) {
    std::string out;
    out += static_cast<char>((options.fin ? 0x80 : 0) | (options.reserved << 4) | opcode);
    int mask_bit = options.masked ? 0x80 : 0;
    int extended = length <= 125 ? 0 : length <= 0xFFFF ? 2 : 8;
    uint64_t first = extended == 0 ? length : extended == 2 ? 126 : 127;
    out += static_cast<char>(static_cast<uint64_t>(mask_bit) | first);
    for (int i = extended - 1; i >= 0; --i)
        out += static_cast<char>(length >> (8 * i));
    return out;
}

[[nodiscard]] inline std::string frame(uint8_t opcode, std::string_view payload,
                                       FrameOptions options = {}) {
    std::string out = frame_header(opcode, payload.size(), options);
    const char mask[4] = {'\x12', '\x34', '\x56', '\x78'};
    if (options.masked) out.append(mask, 4);
    for (std::size_t i = 0; i < payload.size(); ++i)
        out += options.masked ? static_cast<char>(payload[i] ^ mask[i % 4]) : payload[i];
    return out;
}

struct ServerFrame {
    uint8_t opcode = 0;
    std::string payload;
};

// Takes whole frames of a server (unmasked, final) from the front of `bytes`.
[[nodiscard]] inline std::vector<ServerFrame> take_frames(std::string& bytes) {
    std::vector<ServerFrame> frames;
    auto byte = [&](std::size_t i) {
        return static_cast<uint64_t>(static_cast<uint8_t>(bytes[i]));
    };
    while (bytes.size() >= 2) {
        std::size_t extended = byte(1) < 126 ? 0 : byte(1) == 126 ? 2 : 8;
        if (bytes.size() < 2 + extended) break;
        uint64_t length = extended == 0 ? byte(1) : 0;
        for (std::size_t i = 0; i < extended; ++i)
            length = (length << 8) | byte(2 + i);
        if (bytes.size() < 2 + extended + length) break;
        frames.push_back(
            {static_cast<uint8_t>(byte(0) & 0x0F), bytes.substr(2 + extended, length)});
        bytes.erase(0, 2 + extended + length);
    }
    return frames;
}

}  // namespace quorate::broker::test
