// Every option, one row each: the loader, --help and the reference page are made from these rows.
//
// A new option is a member of a struct in config.h (with its default) and a row in option_list.cpp
// that points at it. Lower layers get plain structs of their own and never see this list.
//
// Thread: any; immutable.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "broker/config/config.h"

namespace quorate::broker {

// An enum class over uint8_t as the loader sees it: its storage and the name of each value.
struct ChoiceRef {
    uint8_t* value;
    std::span<const std::string_view> names;
};

// A pointer into a Config; its type says how the text of the option is read.
using OptionRef = std::variant<bool*, uint32_t*, uint64_t*, ByteSize*, Milliseconds*, Rate*,
                               ByteRate*, std::string*, HostPort*, SyncPolicy*, ChoiceRef,
                               std::vector<std::string>*, std::vector<ListenerConfig>*>;

enum class Change : uint8_t {
    Live,       // takes effect on SIGHUP
    Restart,    // takes effect at the next start
    Bootstrap,  // fixed when the data directory is made
};

struct OptionRow {
    std::string_view path;
    OptionRef (*at)(Config&);
    // Inclusive bounds in the unit of the value (bytes, milliseconds, count); ignored for texts.
    // A Duration may also be `never` when max is kNever's count.
    uint64_t min;
    uint64_t max;
    Change change;
    bool secret;  // the value is never printed
    std::string_view text;
};

[[nodiscard]] std::span<const OptionRow> option_rows();

// The names of verify_client, which listeners share with the admin service.
[[nodiscard]] OptionRef verify_ref(VerifyClient& value);

// Null when no option has this path.
[[nodiscard]] const OptionRow* find_option(std::string_view path);

// The known path that needs the fewest edits to become `path`; empty when none is near.
[[nodiscard]] std::string_view nearest_option(std::string_view path);

// What the reference shows: "size", "duration or `never`", "one of a, b".
[[nodiscard]] std::string type_text(const OptionRow& row);
// The value as it would be written in YAML; "(secret)" for a secret that is set.
[[nodiscard]] std::string value_text(const OptionRow& row, const Config& config);

// Makes the option of `to` what it is in `from`.
void copy_option(const OptionRow& row, const Config& from, Config& to);
[[nodiscard]] bool same_option(const OptionRow& row, const Config& one, const Config& other);

// REFERENCE.md, whole.
[[nodiscard]] std::string reference_page();

}  // namespace quorate::broker
