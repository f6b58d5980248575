// What a reload (SIGHUP) may change, and what waits for the next start.
//
// Thread: any; a pure function. Errors: none: what cannot change while running stays as it is, and
// is named with the place that asked for it.
#pragma once

#include <string>
#include <vector>

#include "broker/config/config.h"
#include "broker/config/yaml_loader.h"

namespace quorate::broker {

struct ReloadChange {
    std::string option;  // or "listeners[0]"
    std::string place;   // as in ConfigPlaces; empty: it went back to its default
};

struct Reload {
    Config config;  // the running one, with everything of the fresh one that may change
    std::vector<ReloadChange> applied;
    std::vector<ReloadChange> refused;
};

// Requires: both were checked. Of listeners that kept their place and address, `tls` and
// `max_connections` may change; certificates are read again whether or not their names did.
[[nodiscard]] Reload merge_reload(const Config& running, const Config& fresh,
                                  const ConfigPlaces& places);

}  // namespace quorate::broker
