// How answers and state look in scripts.
#pragma once

#include <optional>
#include <string>

#include "tests/unit/shard/harness.h"

namespace quorate::cluster::testing {

[[nodiscard]] std::string print(const Actions& actions);
// The answer to a question; nothing when `verb` is none.
[[nodiscard]] std::optional<std::string> ask(Harness& harness, const std::string& verb,
                                             const std::string& about);

}  // namespace quorate::cluster::testing
