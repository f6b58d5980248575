#include "broker/config/command_line.h"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "broker/config/option_list.h"

namespace quorate::broker {
namespace {

constexpr int kBadConfiguration = 2;

std::string options_text() {
    const Config defaults;
    std::string out = "Options for --config and --set (REFERENCE.md says more):\n";
    for (const OptionRow& row : option_rows()) {
        out += fmt::format("  {} ({}) = {}\n", row.path, type_text(row), value_text(row, defaults));
    }
    return out;
}

}  // namespace

std::variant<StartBroker, ExitNow> parse_command_line(const std::vector<std::string>& arguments,
                                                      const std::vector<std::string>& environment,
                                                      const std::string& version,
                                                      const ConfigCheck& check) {
    CLI::App app("Quorate: an MQTT broker that acknowledges only what a quorum holds.", "quorate");
    app.footer(options_text);
    ConfigSources sources;
    sources.environment = environment;
    bool check_only = false;
    bool print_reference = false;
    app.add_option("--config", sources.file, "YAML file with options")->type_name("FILE");
    // Each --set takes one text, which may itself hold commas and brackets.
    app.add_option("--set", sources.sets, "Override one option; the value is YAML")
        ->type_name("PATH=VALUE")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false);
    app.add_flag("--check-config", check_only, "Check the configuration and exit");
    app.add_flag("--print-config-reference", print_reference, "Print REFERENCE.md and exit");
    app.set_version_flag("--version", "quorate " + version);
    try {
        std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
        app.parse(reversed);
    } catch (const CLI::CallForHelp&) {
        return ExitNow{0, app.help(), ""};
    } catch (const CLI::CallForVersion&) {
        return ExitNow{0, "quorate " + version + "\n", ""};
    } catch (const CLI::ParseError& failure) {
        return ExitNow{kBadConfiguration, "",
                       fmt::format("quorate: {}\nTry quorate --help.\n", failure.what())};
    }
    if (print_reference) return ExitNow{0, reference_page(), ""};
    ConfigPlaces places;
    Result<Config> config = load_config(sources, &places);
    if (!config) return ExitNow{kBadConfiguration, "", config.error().message + "\n"};
    std::string problems;
    for (const ConfigProblem& each : check ? check(*config) : std::vector<ConfigProblem>()) {
        problems += problem_text(each, places) + "\n";
    }
    if (!problems.empty()) return ExitNow{kBadConfiguration, "", problems};
    if (check_only) return ExitNow{0, "configuration ok\n", ""};
    return StartBroker{*config, std::move(sources)};
}

}  // namespace quorate::broker
