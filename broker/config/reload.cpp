#include "broker/config/reload.h"

#include <string_view>

#include "broker/config/option_list.h"

namespace quorate::broker {
namespace {

constexpr std::string_view kListeners = "listeners";

std::string place_of(const ConfigPlaces& places, std::string_view option) {
    const auto found = places.find(option);
    return found == places.end() ? std::string() : found->second;
}

void merge_listener(const ListenerConfig& fresh, const ReloadChange& change, ListenerConfig& own,
                    Reload& out) {
    if (fresh == own) return;
    ListenerConfig changed = own;
    changed.tls = fresh.tls;
    changed.max_connections = fresh.max_connections;
    if (changed != fresh) {
        out.refused.push_back(change);
        return;
    }
    own = std::move(changed);
    out.applied.push_back(change);
}

void merge_listeners(const Config& fresh, const ConfigPlaces& places, Reload& out) {
    if (fresh.listeners.size() != out.config.listeners.size()) {
        out.refused.push_back({std::string(kListeners), place_of(places, kListeners)});
        return;
    }
    for (std::size_t i = 0; i < fresh.listeners.size(); ++i) {
        const std::string option = std::string(kListeners) + "[" + std::to_string(i) + "]";
        merge_listener(fresh.listeners[i], {option, place_of(places, option)},
                       out.config.listeners[i], out);
    }
}

}  // namespace

Reload merge_reload(const Config& running, const Config& fresh, const ConfigPlaces& places) {
    Reload out;
    out.config = running;
    for (const OptionRow& row : option_rows()) {
        if (row.path == kListeners) {
            merge_listeners(fresh, places, out);
            continue;
        }
        if (same_option(row, running, fresh)) continue;
        const ReloadChange change{std::string(row.path), place_of(places, row.path)};
        if (row.change == Change::Live) {
            copy_option(row, fresh, out.config);
            out.applied.push_back(change);
        } else {
            out.refused.push_back(change);
        }
    }
    return out;
}

}  // namespace quorate::broker
