// Fields that commands, answers and parcels have in common, written and read with everything
// checked.
//
// Thread: any. Errors: a reader that meets what nobody writes fails.
#pragma once

#include <cstddef>
#include <cstdint>

#include "proto/base/bytes.h"

namespace quorate::cluster {

inline void write_flag(RecordWriter& out, bool flag) {
    out.u8(flag ? 1 : 0);
}

[[nodiscard]] inline bool read_flag(RecordReader& in) {
    const uint8_t value = in.u8();
    if (value > 1) in.fail();
    return value == 1;
}

// A count of items of at least `item_bytes` each: nothing is reserved that cannot follow.
[[nodiscard]] inline uint32_t read_count(RecordReader& in, std::size_t item_bytes) {
    const uint32_t count = in.u32();
    if (count <= in.rest().size() / item_bytes) return count;
    in.fail();
    return 0;
}

}  // namespace quorate::cluster
