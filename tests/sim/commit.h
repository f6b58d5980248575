// The commit that a simulator was built from, for the line that a failure prints: with it the line
// repeats the run. *Thread*: any.
#pragma once

#include <string_view>

namespace quorate::sim {

// Twelve digits; with a `+` when the tree had changes of its own; `unknown` outside a repository.
[[nodiscard]] std::string_view built_from();

}  // namespace quorate::sim
