// `quorate`'s command line: decides whether the program starts a broker or prints and exits.
//
// Thread: main, once. Errors: a wrong command line or configuration gives exit code 2.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "broker/config/checks.h"
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

// What a configuration asks of the machine it is for: empty when it can be had.
using ConfigCheck = std::function<std::vector<ConfigProblem>(const Config&)>;

// `arguments` without the program's name; `environment` as environ. `version` is printed by
// --version as `quorate VERSION`. `check` is asked about a configuration that is good in itself.
[[nodiscard]] std::variant<StartBroker, ExitNow> parse_command_line(
    const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
    const std::string& version, const ConfigCheck& check = {});

}  // namespace quorate::broker
