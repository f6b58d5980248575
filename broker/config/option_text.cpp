#include <array>

#include <fmt/format.h>

#include "broker/config/option_list.h"
#include "broker/config/units.h"

namespace quorate::broker {
namespace {

template <typename... Handlers>
struct Overloaded : Handlers... {
    using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

std::string joined(std::span<const std::string_view> names) {
    std::string out;
    for (const std::string_view name : names) {
        if (!out.empty()) out += ", ";
        out += fmt::format("`{}`", name);
    }
    return out;
}

std::string quoted(const std::string& text) {
    return fmt::format("\"{}\"", text);
}

std::string listeners_text(const std::vector<ListenerConfig>& listeners) {
    std::string out;
    for (const ListenerConfig& each : listeners) {
        if (!out.empty()) out += ", ";
        out += fmt::format("{{url: \"{}\"}}", each.url.text());
    }
    return "[" + out + "]";
}

std::string seeds_text(const std::vector<std::string>& texts) {
    std::string out;
    for (const std::string& each : texts) {
        if (!out.empty()) out += ", ";
        out += quoted(each);
    }
    return "[" + out + "]";
}

bool may_be_never(const OptionRow& row) {
    return row.max == static_cast<uint64_t>(kNever.count());
}

std::string range_text(const OptionRow& row) {
    Config defaults;
    const auto count = [&] {
        if (row.max >= static_cast<uint64_t>(kNever.count())) return fmt::format("{} –", row.min);
        return fmt::format("{} – {}", row.min, row.max);
    };
    return std::visit(
        Overloaded{
            [&](uint32_t*) { return count(); },
            [&](uint64_t*) { return count(); },
            [&](ByteSize*) { return size_text({row.min}) + " – " + size_text({row.max}); },
            [&](Milliseconds*) {
                const auto bound = [](uint64_t n) {
                    return duration_text(Milliseconds(static_cast<int64_t>(n)));
                };
                return bound(row.min) + " – " + bound(row.max);
            },
            [&](Rate*) { return std::string(); },
            [&](ByteRate*) { return std::string(); },
            [&](bool*) { return std::string(); },
            [&](std::string*) { return std::string(); },
            [&](HostPort*) { return std::string(); },
            [&](SyncPolicy*) { return std::string("1ms – 1m"); },
            [&](ChoiceRef) { return std::string(); },
            [&](std::vector<std::string>*) { return fmt::format("at most {}", row.max); },
            [&](std::vector<ListenerConfig>*) { return fmt::format("at most {}", row.max); },
        },
        row.at(defaults));
}

std::string_view change_text(Change change) {
    switch (change) {
        case Change::Live:
            return "SIGHUP";
        case Change::Restart:
            return "restart";
        case Change::Bootstrap:
            return "first start only";
    }
    return "";
}

constexpr std::string_view kHead = R"(# Configuration reference

Made by `quorate --print-config-reference` from the option list; a test compares. Do not edit.

Options come from the file given with `--config` (YAML), from the environment and from `--set`; the
later one wins. `--set mqtt.max_qos=1` and `QUORATE_MQTT__MAX_QOS=1` (a double underscore is a dot)
set one option; their values are YAML. An empty value keeps the default.

Units: durations `250ms`, `30s`, `5m`, `1h`, `7d`, `never`; sizes `64KiB`, `1MiB`, `2GiB` or plain
bytes; rates `100/s`, `10/min`, `off`. "Changes with" says when a new value takes effect: on
SIGHUP, at the next start, or only when the data directory is made.
)";

struct ListenerKey {
    std::string_view key;
    std::string_view type;
    std::string_view default_value;
    std::string_view text;
};

constexpr std::array<ListenerKey, 7> kListenerKeys = {{
    {"`url`", "text", "required",
     "`tcp://host:port`, `tls://host:port`, `ws://host:port/path`, `wss://host:port/path`, "
     "`unix:///path`; IPv6 hosts in brackets; port 0 lets the system choose; the path of WebSocket "
     "is `/mqtt` if not given"},
    {"`tls.cert`, `tls.key`", "file name", "",
     "certificate with its chain and its key, PEM; required for `tls` and `wss`"},
    {"`tls.ca`", "file name", "", "authority that signs client certificates, PEM"},
    {"`tls.verify_client`", "`none`, `optional`, `require`", "`none`",
     "whether clients show a certificate; needs `tls.ca`"},
    {"`proxy_protocol`", "true or false", "false",
     "every connection begins with a PROXY protocol header (version 1 or 2)"},
    {"`max_connections`", "count", "100000",
     "connections of this listener; further ones are closed"},
    {"`origins`", "list of texts", "any",
     "of `ws` and `wss`: the pages that browsers may connect from, such as `https://example.org`; "
     "others get 403, clients that name no origin are let in"},
}};

std::string listener_keys_text() {
    std::string out =
        "\nKeys of a listener:\n\n| key | type | default | meaning |\n|---|---|---|---|\n";
    for (const ListenerKey& row : kListenerKeys) {
        out +=
            fmt::format("| {} | {} | {} | {} |\n", row.key, row.type, row.default_value, row.text);
    }
    return out;
}

}  // namespace

std::string type_text(const OptionRow& row) {
    Config defaults;
    return std::visit(
        Overloaded{
            [](bool*) { return std::string("true or false"); },
            [](uint32_t*) { return std::string("count"); },
            [](uint64_t*) { return std::string("count"); },
            [](ByteSize*) { return std::string("size"); },
            [&](Milliseconds*) {
                return std::string(may_be_never(row) ? "duration or `never`" : "duration");
            },
            [](Rate*) { return std::string("rate or `off`"); },
            [](ByteRate*) { return std::string("size a second or `off`"); },
            [](std::string*) { return std::string("text"); },
            [](HostPort*) { return std::string("host:port"); },
            [](SyncPolicy*) { return std::string("`always` or `interval:` duration"); },
            [](ChoiceRef choice) { return joined(choice.names); },
            [](std::vector<std::string>*) { return std::string("list of host:port"); },
            [](std::vector<ListenerConfig>*) { return std::string("list of listeners"); },
        },
        row.at(defaults));
}

std::string value_text(const OptionRow& row, const Config& config) {
    Config copy = config;
    const OptionRef ref = row.at(copy);
    const std::string text = std::visit(
        Overloaded{
            [](const bool* value) { return std::string(*value ? "true" : "false"); },
            [](const uint32_t* value) { return std::to_string(*value); },
            [](const uint64_t* value) { return std::to_string(*value); },
            [](const ByteSize* value) { return size_text(*value); },
            [](const Milliseconds* value) { return duration_text(*value); },
            [](const Rate* value) { return rate_text(*value); },
            [](const ByteRate* value) { return byte_rate_text(*value); },
            [](const std::string* value) { return quoted(*value); },
            [](const HostPort* value) { return quoted(value->text()); },
            [](const SyncPolicy* value) { return sync_text(*value); },
            [](const ChoiceRef& choice) { return std::string(choice.names[*choice.value]); },
            [](const std::vector<std::string>* value) { return seeds_text(*value); },
            [](const std::vector<ListenerConfig>* value) { return listeners_text(*value); },
        },
        ref);
    return row.secret && text != "\"\"" ? "(secret)" : text;
}

void copy_option(const OptionRow& row, const Config& from, Config& to) {
    Config source = from;
    const OptionRef target = row.at(to);
    std::visit(
        [&target](const auto& value) {
            using Ref = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<Ref, ChoiceRef>) {
                *std::get<ChoiceRef>(target).value = *value.value;
            } else {
                *std::get<Ref>(target) = *value;
            }
        },
        row.at(source));
}

bool same_option(const OptionRow& row, const Config& one, const Config& other) {
    Config left = one;
    Config right = other;
    const OptionRef against = row.at(right);
    return std::visit(
        [&against](const auto& value) {
            using Ref = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<Ref, ChoiceRef>) {
                return *std::get<ChoiceRef>(against).value == *value.value;
            } else {
                return *std::get<Ref>(against) == *value;
            }
        },
        row.at(left));
}

std::string reference_page() {
    const Config defaults;
    std::string out(kHead);
    std::string section;
    for (const OptionRow& row : option_rows()) {
        const std::string here(row.path.substr(0, row.path.find('.')));
        if (here != section) {
            out += fmt::format(
                "\n## {}\n\n| option | type | default | range | changes with | meaning |\n"
                "|---|---|---|---|---|---|\n",
                here);
            section = here;
        }
        out += fmt::format("| `{}` | {} | `{}` | {} | {} | {} |\n", row.path, type_text(row),
                           value_text(row, defaults), range_text(row), change_text(row.change),
                           row.text);
        if (here == "listeners") out += listener_keys_text();
    }
    return out;
}

}  // namespace quorate::broker
