// Listener URLs and host:port pairs, from text.
//
// Thread: any; pure functions. Errors: InvalidArgument with what was expected.
#pragma once

#include <string_view>

#include "broker/config/config.h"
#include "proto/base/result.h"

namespace quorate::broker {

// Names, IPv4 and bracketed IPv6 addresses; port 0 lets the system choose.
[[nodiscard]] Result<HostPort> parse_host_port(std::string_view text);
[[nodiscard]] Result<ListenerUrl> parse_listener_url(std::string_view text);
// What a browser sends as Origin: scheme://host with an optional port, or null (RFC 6454 §6.2).
[[nodiscard]] bool valid_origin(std::string_view text);

}  // namespace quorate::broker
