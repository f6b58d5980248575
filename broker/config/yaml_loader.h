// From a YAML file, the environment and --set to a checked Config.
//
// Later sources win: default < file < environment < --set. Every problem is told with where it is
// (`quorate.yaml:12`, `--set mqtt.max_qos`, `QUORATE_MQTT__MAX_QOS`), the option, what was expected
// and, for an unknown name, the nearest known one. One problem refuses the whole configuration:
// nothing of it is used.
//
// Thread: any; functions of their arguments (and of the named file). Errors: InvalidArgument with
// one line per problem, at most 20; Io when the file cannot be read.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/config/checks.h"
#include "broker/config/config.h"
#include "proto/base/result.h"

namespace quorate::broker {

struct ConfigSources {
    std::string file;               // path; empty: none
    std::vector<std::string> sets;  // PATH=YAML, in order
    // NAME=VALUE as in environ; only names that begin with QUORATE_ are looked at.
    // QUORATE_NODE__DATA_DIR is node.data_dir.
    std::vector<std::string> environment;
};

// Where each option that some source sets was set last: "quorate.yaml:12", "--set mqtt.max_qos",
// "QUORATE_MQTT__MAX_QOS". Listeners have an entry each, `listeners[0]`, and one for each of their
// keys, `listeners[0].tls.cert`, beside that of the list.
using ConfigPlaces = std::map<std::string, std::string, std::less<>>;

// "quorate.yaml:12: mqtt.max_qos: expected ...", as far as it is known where the option, the list
// or mapping that it is part of, or what it conflicts with was set.
[[nodiscard]] std::string problem_text(const ConfigProblem& problem, const ConfigPlaces& places);

// `places`, when given, is filled as far as the sources could be read.
[[nodiscard]] Result<Config> load_config(const ConfigSources& sources,
                                         ConfigPlaces* places = nullptr);

// The same for the text of a file that is already at hand; `file_name` is for messages.
[[nodiscard]] Result<Config> parse_config(std::string_view yaml, std::string_view file_name);

}  // namespace quorate::broker
