#include "broker/config/units.h"

#include <array>
#include <charconv>
#include <limits>

namespace quorate::broker {
namespace {

struct Unit {
    std::string_view name;
    uint64_t factor;
};

// Largest first, so that writing picks the largest unit that divides the value.
constexpr std::array<Unit, 5> kDurationUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};
constexpr std::array<Unit, 4> kSizeUnits = {
    {{"GiB", uint64_t{1} << 30U}, {"MiB", uint64_t{1} << 20U}, {"KiB", 1024}, {"B", 1}}};
constexpr std::array<Unit, 3> kRatePeriods = {{{"h", 3'600'000}, {"min", 60'000}, {"s", 1000}}};

// The digits at the front of `text`, which loses them.
std::optional<uint64_t> take_number(std::string_view& text) {
    uint64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [rest, failure] = std::from_chars(text.data(), end, number);
    if (failure != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(rest - text.data()));
    return number;
}

template <size_t N>
std::optional<uint64_t> factor_of(const std::array<Unit, N>& units, std::string_view name) {
    for (const Unit& unit : units) {
        if (unit.name == name) return unit.factor;
    }
    return std::nullopt;
}

template <size_t N>
std::string number_with_unit(const std::array<Unit, N>& units, uint64_t value) {
    for (const Unit& unit : units) {
        if (value % unit.factor == 0) return std::to_string(value / unit.factor) += unit.name;
    }
    return std::to_string(value);
}

std::optional<uint64_t> multiply(uint64_t a, uint64_t b) {
    if (a != 0 && b > std::numeric_limits<uint64_t>::max() / a) return std::nullopt;
    return a * b;
}

}  // namespace

std::optional<uint64_t> parse_count(std::string_view text) {
    const std::optional<uint64_t> number = take_number(text);
    return text.empty() ? number : std::nullopt;
}

std::optional<Milliseconds> parse_duration(std::string_view text) {
    if (text == "never") return kNever;
    if (text == "0") return Milliseconds(0);
    const std::optional<uint64_t> number = take_number(text);
    const std::optional<uint64_t> factor = factor_of(kDurationUnits, text);
    if (!number || !factor) return std::nullopt;
    const std::optional<uint64_t> value = multiply(*number, *factor);
    if (!value || *value >= static_cast<uint64_t>(kNever.count())) return std::nullopt;
    return Milliseconds(static_cast<int64_t>(*value));
}

std::optional<ByteSize> parse_size(std::string_view text) {
    const std::optional<uint64_t> number = take_number(text);
    const std::optional<uint64_t> factor =
        text.empty() ? std::optional<uint64_t>(1) : factor_of(kSizeUnits, text);
    if (!number || !factor) return std::nullopt;
    const std::optional<uint64_t> value = multiply(*number, *factor);
    if (!value) return std::nullopt;
    return ByteSize{*value};
}

std::optional<Rate> parse_rate(std::string_view text) {
    if (text == "off") return Rate{0, Milliseconds(1000)};
    const std::optional<uint64_t> count = take_number(text);
    if (!count || text.empty() || text[0] != '/') return std::nullopt;
    const std::optional<uint64_t> period = factor_of(kRatePeriods, text.substr(1));
    if (!period) return std::nullopt;
    return Rate{*count, Milliseconds(static_cast<int64_t>(*period))};
}

std::optional<ByteRate> parse_byte_rate(std::string_view text) {
    if (text == "off") return ByteRate{};
    if (!text.ends_with("/s")) return std::nullopt;
    const std::optional<ByteSize> size = parse_size(text.substr(0, text.size() - 2));
    if (!size) return std::nullopt;
    return ByteRate{size->value};
}

std::optional<SyncPolicy> parse_sync(std::string_view text) {
    constexpr std::string_view kPrefix = "interval:";
    if (text == "always") return SyncPolicy{};
    if (!text.starts_with(kPrefix)) return std::nullopt;
    const std::optional<Milliseconds> interval = parse_duration(text.substr(kPrefix.size()));
    if (!interval || interval->count() < 1 || *interval > Milliseconds(60'000)) {
        return std::nullopt;
    }
    return SyncPolicy{interval};
}

std::string duration_text(Milliseconds value) {
    if (value == kNever) return "never";
    if (value.count() == 0) return "0";
    return number_with_unit(kDurationUnits, static_cast<uint64_t>(value.count()));
}

std::string size_text(ByteSize value) {
    return value.value == 0 ? "0" : number_with_unit(kSizeUnits, value.value);
}

std::string rate_text(Rate value) {
    if (value.off()) return "off";
    for (const Unit& period : kRatePeriods) {
        if (static_cast<uint64_t>(value.per.count()) == period.factor) {
            return std::to_string(value.count) + "/" + std::string(period.name);
        }
    }
    return std::to_string(value.count) + "/" + duration_text(value.per);
}

std::string byte_rate_text(ByteRate value) {
    return value.off() ? "off" : size_text({value.per_second}) + "/s";
}

std::string sync_text(const SyncPolicy& value) {
    return value.interval ? "interval:" + duration_text(*value.interval) : "always";
}

}  // namespace quorate::broker
