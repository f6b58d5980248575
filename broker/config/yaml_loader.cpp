#include "broker/config/yaml_loader.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <set>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "broker/config/address.h"
#include "broker/config/checks.h"
#include "broker/config/option_list.h"
#include "broker/config/scalar.h"

namespace quorate::broker {
namespace {

constexpr size_t kProblemsMax = 20;
constexpr size_t kShownBytesMax = 64;
constexpr size_t kFileBytesMax = 1U << 20U;

// Client-proof for a terminal: short, and without control characters.
std::string shown(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, kShownBytesMax)) {
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
    }
    return text.size() > kShownBytesMax ? out + "..." : out;
}

// What the sources have made so far.
struct Loading {
    Config config;
    ConfigPlaces places;
    std::vector<std::string> problems;
};

// Puts the values of one document into a Config and collects what is wrong with it.
//
// Thread: its owner's. Owner: load() below, one per source.
class Reader {
  public:
    // `place` says where a node stands: the file with its line, or the name of the setting.
    Reader(Loading& into, std::string place, bool lines)
        : config_(into.config),
          problems_(into.problems),
          places_(into.places),
          place_(std::move(place)),
          lines_(lines) {}

    // A mapping of sections and options below `prefix`, or the value of the option itself.
    void read(const YAML::Node& node, const std::string& path) {
        if (const OptionRow* row = find_option(path)) {
            if (!node.IsNull()) assign(*row, node);
            return;
        }
        if (!path.empty() && !is_section(path)) {
            unknown(node, path, nearest_option(path));
            return;
        }
        if (node.IsNull()) return;
        if (!node.IsMap()) {
            wrong(node, path.empty() ? "file" : path, "expected a mapping of options");
            return;
        }
        std::set<std::string> seen;
        for (const auto& item : node) {
            const std::string key = item.first.IsScalar() ? item.first.Scalar() : std::string();
            const std::string here = path.empty() ? key : path + "." + key;
            if (key.empty()) {
                wrong(item.first, here, "expected the name of an option");
            } else if (!seen.insert(key).second) {
                wrong(item.first, here, "set twice");
            } else if (find_option(here) == nullptr && !is_section(here)) {
                unknown(item.first, here, nearest_option(here));
            } else {
                read(item.second, here);
            }
        }
    }

  private:
    static bool is_section(const std::string& path) {
        const std::string prefix = path + ".";
        return std::ranges::any_of(
            option_rows(), [&](const OptionRow& row) { return row.path.starts_with(prefix); });
    }

    [[nodiscard]] std::string place_of(const YAML::Node& node) const {
        const bool has_line = lines_ && node.Mark().line >= 0;
        return has_line ? fmt::format("{}:{}", place_, node.Mark().line + 1) : place_;
    }
    void add(const YAML::Node& node, const std::string& text) {
        if (problems_.size() >= kProblemsMax) return;
        problems_.push_back(fmt::format("{}: {}", place_of(node), text));
    }
    void wrong(const YAML::Node& node, std::string_view option, const std::string& expected) {
        add(node, fmt::format("{}: {}", shown(option), expected));
    }
    void wrong_value(const YAML::Node& node, std::string_view option, const std::string& expected) {
        const std::string got = node.IsScalar() ? shown(node.Scalar())
                                : node.IsMap()  ? "a mapping"
                                                : "a list";
        wrong(node, option, fmt::format("expected {}, got \"{}\"", expected, got));
    }
    void unknown(const YAML::Node& node, std::string_view option, std::string_view nearest) {
        wrong(node, option,
              nearest.empty() ? std::string("unknown option")
                              : fmt::format("unknown option; did you mean {}?", nearest));
    }

    void assign(const OptionRow& row, const YAML::Node& node) {
        const OptionRef ref = row.at(config_);
        places_[std::string(row.path)] = place_of(node);
        if (auto* const* list = std::get_if<std::vector<ListenerConfig>*>(&ref)) {
            assign_listeners(row, node, **list);
        } else if (auto* const* texts = std::get_if<std::vector<std::string>*>(&ref)) {
            assign_list(row, node, **texts);
        } else {
            assign_single(row, ref, node);
        }
    }

    void assign_single(const OptionRow& row, const OptionRef& ref, const YAML::Node& node) {
        if (!node.IsScalar()) {
            wrong_value(node, row.path, type_text(row));
        } else if (const auto expected = assign_scalar(row, ref, node.Scalar())) {
            wrong_value(node, row.path, *expected);
        }
    }

    void assign_list(const OptionRow& row, const YAML::Node& node,
                     std::vector<std::string>& value) {
        if (!node.IsSequence() || node.size() > row.max) {
            wrong_value(node, row.path, fmt::format("a list of at most {} host:port", row.max));
            return;
        }
        std::vector<std::string> out;
        for (const auto& item : node) {
            if (item.IsScalar() && parse_host_port(item.Scalar())) {
                out.push_back(item.Scalar());
            } else {
                wrong_value(item, row.path, "host:port");
            }
        }
        value = std::move(out);
    }

    void assign_listeners(const OptionRow& row, const YAML::Node& node,
                          std::vector<ListenerConfig>& value) {
        if (!node.IsSequence() || node.size() > row.max) {
            wrong_value(node, row.path, fmt::format("a list of at most {} listeners", row.max));
            return;
        }
        std::vector<ListenerConfig> out;
        for (const auto& item : node) {
            const std::string option = fmt::format("listeners[{}]", out.size());
            places_[option] = place_of(item);
            out.push_back(read_listener(item, option));
        }
        value = std::move(out);
    }

    // Calls `take(key, value, option)` for each key of a mapping that is in `known`.
    template <typename Take>
    void each_key(const YAML::Node& node, const std::string& option,
                  std::initializer_list<std::string_view> known, Take take) {
        if (!node.IsMap()) {
            wrong_value(node, option, "a mapping");
            return;
        }
        std::set<std::string> seen;
        for (const auto& item : node) {
            const std::string key = item.first.IsScalar() ? item.first.Scalar() : std::string();
            const std::string here = option + "." + key;
            if (std::ranges::find(known, std::string_view(key)) == known.end()) {
                std::string names;
                for (const std::string_view name : known) {
                    names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
                }
                wrong(item.first, here, "unknown key; expected one of " + names);
            } else if (!seen.insert(key).second) {
                wrong(item.first, here, "set twice");
            } else if (!item.second.IsNull()) {
                places_[here] = place_of(item.second);
                take(key, item.second, here);
            }
        }
    }

    // The value of one key, by the rules of an option of that type; a count is from 1 to `max`.
    void set_key(const YAML::Node& node, const std::string& here, const OptionRef& ref,
                 uint64_t max = 0) {
        assign_single({here, nullptr, 1, max, Change::Restart, false, ""}, ref, node);
    }

    ListenerConfig read_listener(const YAML::Node& node, const std::string& option) {
        ListenerConfig out;
        bool has_url = false;
        each_key(node, option, {"url", "tls", "proxy_protocol", "max_connections", "origins"},
                 [&](const std::string& key, const YAML::Node& value, const std::string& here) {
                     if (key == "url") {
                         has_url = true;
                         read_url(value, here, out.url);
                     } else if (key == "tls") {
                         read_tls(value, here, out.tls);
                     } else if (key == "proxy_protocol") {
                         set_key(value, here, &out.proxy_protocol);
                     } else if (key == "origins") {
                         read_origins(value, here, out.origins);
                     } else {
                         set_key(value, here, &out.max_connections, 10'000'000);
                     }
                 });
        if (!has_url && node.IsMap()) wrong(node, option, "expected the key url");
        return out;
    }

    void read_url(const YAML::Node& node, const std::string& here, ListenerUrl& out) {
        const Result<ListenerUrl> url =
            parse_listener_url(node.IsScalar() ? node.Scalar() : std::string());
        if (url) {
            out = *url;
        } else {
            wrong(node, here,
                  fmt::format("{}, got \"{}\"", url.error().message,
                              node.IsScalar() ? shown(node.Scalar()) : "no text"));
        }
    }

    void read_origins(const YAML::Node& node, const std::string& here,
                      std::vector<std::string>& out) {
        constexpr size_t kOriginsMax = 256;
        if (!node.IsSequence() || node.size() > kOriginsMax) {
            wrong_value(node, here, fmt::format("a list of at most {} origins", kOriginsMax));
            return;
        }
        for (const auto& item : node) {
            const std::string origin = item.IsScalar() ? item.Scalar() : std::string();
            if (valid_origin(origin)) {
                out.push_back(origin);
            } else {
                wrong_value(item, here, "an origin such as https://example.org");
            }
        }
    }

    void read_tls(const YAML::Node& node, const std::string& option, TlsFiles& out) {
        each_key(node, option, {"cert", "key", "ca", "verify_client"},
                 [&](const std::string& key, const YAML::Node& value, const std::string& here) {
                     if (key == "cert") {
                         set_key(value, here, &out.cert);
                     } else if (key == "key") {
                         set_key(value, here, &out.key);
                     } else if (key == "ca") {
                         set_key(value, here, &out.ca);
                     } else {
                         set_key(value, here, verify_ref(out.verify_client));
                     }
                 });
    }

    Config& config_;
    std::vector<std::string>& problems_;
    ConfigPlaces& places_;
    std::string place_;
    bool lines_;
};

void read_text(std::string_view yaml, const std::string& path, const std::string& place, bool lines,
               Loading& into) {
    try {
        Reader(into, place, lines).read(YAML::Load(std::string(yaml)), path);
    } catch (const YAML::Exception& failure) {
        const std::string at =
            lines && failure.mark.line >= 0 ? fmt::format(":{}", failure.mark.line + 1) : "";
        into.problems.push_back(fmt::format("{}{}: not YAML: {}", place, at, failure.msg));
    }
}

// QUORATE_NODE__DATA_DIR=x. Other names that begin with QUORATE_ are not options: a container
// runtime makes such for a service of that name.
void read_environment(const std::string& variable, Loading& into) {
    constexpr std::string_view kPrefix = "QUORATE_";
    const size_t equals = variable.find('=');
    if (equals == std::string::npos || !variable.starts_with(kPrefix)) return;
    const std::string name = variable.substr(0, equals);
    const std::string_view tail = std::string_view(name).substr(kPrefix.size());
    if (tail.find("__") == std::string_view::npos && tail != "LISTENERS") return;
    std::string path;
    for (size_t i = 0; i < tail.size(); ++i) {
        if (tail.substr(i).starts_with("__")) {
            path += '.';
            ++i;
        } else {
            const char c = tail[i];
            path += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        }
    }
    read_text(variable.substr(equals + 1), path, name, false, into);
}

void read_set(const std::string& setting, Loading& into) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
        into.problems.push_back(fmt::format("--set {}: expected PATH=VALUE", shown(setting)));
        return;
    }
    const std::string path = setting.substr(0, equals);
    read_text(setting.substr(equals + 1), path, "--set " + shown(path), false, into);
}

Result<Config> finish(Loading loaded) {
    std::vector<std::string>& problems = loaded.problems;
    if (problems.empty()) {
        for (const ConfigProblem& each : check_rules(loaded.config)) {
            problems.push_back(problem_text(each, loaded.places));
        }
    }
    if (problems.empty()) return std::move(loaded.config);
    if (problems.size() > kProblemsMax) problems.resize(kProblemsMax);
    std::string message;
    for (const std::string& each : problems)
        message += (message.empty() ? "" : "\n") + each;
    return Error{ErrorCode::InvalidArgument, message};
}

Result<std::string> read_file(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return Error{ErrorCode::Io, file + ": cannot be read"};
    std::string text(kFileBytesMax + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (in.bad()) return Error{ErrorCode::Io, file + ": cannot be read"};
    text.resize(static_cast<size_t>(in.gcount()));
    if (text.size() > kFileBytesMax) {
        return Error{ErrorCode::InvalidArgument, file + ": expected at most 1 MiB"};
    }
    return text;
}

}  // namespace

std::string problem_text(const ConfigProblem& problem, const ConfigPlaces& places) {
    const std::string text = problem.option + ": " + problem.expected;
    for (std::string option : {problem.option, problem.because}) {
        for (;;) {
            const auto found = places.find(option);
            if (found != places.end()) return found->second + ": " + text;
            const std::size_t end = option.find_last_of(".[");
            if (end == std::string::npos) break;
            option.resize(end);
        }
    }
    return text;
}

Result<Config> parse_config(std::string_view yaml, std::string_view file_name) {
    Loading loading;
    read_text(yaml, "", std::string(file_name), true, loading);
    return finish(std::move(loading));
}

Result<Config> load_config(const ConfigSources& sources, ConfigPlaces* places) {
    Loading loading;
    if (!sources.file.empty()) {
        const Result<std::string> text = read_file(sources.file);
        if (!text) return text.error();
        read_text(*text, "", sources.file, true, loading);
    }
    for (const std::string& each : sources.environment)
        read_environment(each, loading);
    for (const std::string& each : sources.sets)
        read_set(each, loading);
    if (places != nullptr) *places = loading.places;
    return finish(std::move(loading));
}

}  // namespace quorate::broker
