// `quorate`'s command line: decides whether the program starts a broker or prints and exits.
//
// Thread: main, once. Errors: a wrong command line or configuration gives exit code 2.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "broker/config/config.h"
#include "broker/config/yaml_loader.h"

namespace quorate::broker {

// Print and leave: --help, --version, --check-config, or a mistake.
struct ExitNow {
    int code = 0;
    std::string out;  // to standard output
    std::string err;  // to standard error
};

// Start a broker. `sources` stays valid for a reload on SIGHUP: load_config(sources) again.
struct StartBroker {
    Config config;
    ConfigSources sources;
};

// `arguments` without the program's name; `environment` as environ. `version` is printed by
// --version as `quorate VERSION`.
[[nodiscard]] std::variant<StartBroker, ExitNow> parse_command_line(
    const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
    const std::string& version);

}  // namespace quorate::broker
