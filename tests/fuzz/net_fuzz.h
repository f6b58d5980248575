// What the fuzz targets of the network stages share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "broker/net/output_buffer.h"
#include "proto/base/bytes.h"

namespace quorate::broker::fuzz {

// The first byte of an input chooses how the rest is split: into pieces of that size.
struct SplitInput {
    SplitInput(const uint8_t* data, std::size_t size)
        : bytes(reinterpret_cast<const char*>(data), size) {
        if (bytes.empty()) return;
        step = 1 + static_cast<std::size_t>(static_cast<uint8_t>(bytes[0])) % 64;
        bytes.remove_prefix(1);
    }
    std::string_view bytes;
    std::size_t step = 1;
};

[[nodiscard]] inline std::string drain(OutputBuffer& buffer) {
    std::string all;
    while (!buffer.empty()) {
        all += as_text(buffer.front());
        buffer.consume(buffer.front().size());
    }
    return all;
}

inline void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace quorate::broker::fuzz
