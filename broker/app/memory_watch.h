// How much memory this process uses of what it may use, and what that means.
//
// Thread: any; functions of the system's files. Errors: what the system does not tell reads as 0.
#pragma once

#include <cstdint>
#include <string>

namespace quorate::broker {

// Resident memory of this process.
[[nodiscard]] uint64_t resident_bytes();

// What the machine has, or the smallest limit of the control groups (version 1 or 2) this process
// lives in. `root` is put before the paths it reads, for tests.
[[nodiscard]] uint64_t machine_memory(const std::string& root = {});

// 0: below 70 percent of `limit`, or no limit; 1: publishers wait; from 80 percent on 2: CONNECT is
// refused as well; from 90 on 3: the largest buffers are given up.
[[nodiscard]] uint8_t overload_level(uint64_t used, uint64_t limit);

// How much has to go for the level to fall below 3.
[[nodiscard]] uint64_t excess_bytes(uint64_t used, uint64_t limit);

}  // namespace quorate::broker
