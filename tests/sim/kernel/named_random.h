// The generators of a simulation: one for each component, derived from the seed and its name, so
// that a new draw in one does not shift the others. *Thread*: values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proto/base/environment.h"
#include "proto/base/hash.h"

namespace quorate::sim {

[[nodiscard]] inline Random named_random(uint64_t seed, std::string_view name) {
    return Random(hash64(name, seed * 0x9E3779B97F4A7C15ULL + 1));
}

// One of a few values, all equally likely.
template <typename Value, std::size_t kSize>
[[nodiscard]] Value one_of(Random& random, const Value (&values)[kSize]) {
    return values[random.below(kSize)];
}

}  // namespace quorate::sim
