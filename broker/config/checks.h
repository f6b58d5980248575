// The rules between options, which no row of its own can state.
//
// Thread: any; a pure function.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "broker/config/config.h"

namespace quorate::broker {

struct ConfigProblem {
    std::string option;
    std::string expected;
    std::string because{};  // the option it conflicts with, when that may be the one that was set
};

// Empty when the configuration can be used.
[[nodiscard]] std::vector<ConfigProblem> check_rules(const Config& config);

}  // namespace quorate::broker
