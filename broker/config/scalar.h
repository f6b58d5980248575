// The value of one option from its text, with the bounds of its row.
//
// Thread: any; a pure function.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "broker/config/option_list.h"

namespace quorate::broker {

// Puts `text` into what `ref` points at. Returns what was expected when it cannot be ("a duration
// such as 30s, from 1s to 1h") and leaves the value alone. Lists are not scalars: always refused.
[[nodiscard]] std::optional<std::string> assign_scalar(const OptionRow& row, const OptionRef& ref,
                                                       std::string_view text);

}  // namespace quorate::broker
