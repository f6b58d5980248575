// Durations, sizes and rates as people write them, both ways.
//
// Thread: any; pure functions. Errors: nothing is returned for what is malformed or overflows.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "broker/config/config.h"

namespace quorate::broker {

// `250ms`, `30s`, `5m`, `1h`, `7d`, `0`, `never`.
[[nodiscard]] std::optional<Milliseconds> parse_duration(std::string_view text);
// `512`, `512B`, `64KiB`, `1MiB`, `2GiB`.
[[nodiscard]] std::optional<ByteSize> parse_size(std::string_view text);
// `100/s`, `10/min`, `500/h`, `off`.
[[nodiscard]] std::optional<Rate> parse_rate(std::string_view text);
// `1MiB/s`, `off`.
[[nodiscard]] std::optional<ByteRate> parse_byte_rate(std::string_view text);
// `always`, `interval:100ms`.
[[nodiscard]] std::optional<SyncPolicy> parse_sync(std::string_view text);
// Decimal digits only.
[[nodiscard]] std::optional<uint64_t> parse_count(std::string_view text);

[[nodiscard]] std::string duration_text(Milliseconds value);
[[nodiscard]] std::string size_text(ByteSize value);
[[nodiscard]] std::string rate_text(Rate value);
[[nodiscard]] std::string byte_rate_text(ByteRate value);
[[nodiscard]] std::string sync_text(const SyncPolicy& value);

}  // namespace quorate::broker
