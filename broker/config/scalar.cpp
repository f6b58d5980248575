#include "broker/config/scalar.h"

#include <algorithm>

#include <fmt/format.h>

#include "broker/config/address.h"
#include "broker/config/units.h"

namespace quorate::broker {
namespace {

constexpr size_t kTextBytesMax = 4096;

using Refusal = std::optional<std::string>;

// One overload per type of option; `row` gives the bounds.
class Assignment {
  public:
    Assignment(const OptionRow& row, std::string_view text) : row_(row), text_(text) {}

    Refusal operator()(bool* value) const {
        const bool yes = text_ == "true" || text_ == "yes" || text_ == "on";
        const bool no = text_ == "false" || text_ == "no" || text_ == "off";
        if (!yes && !no) return "true or false";
        *value = yes;
        return std::nullopt;
    }
    Refusal operator()(uint32_t* value) const {
        uint64_t wide = 0;
        Refusal refusal = (*this)(&wide);
        if (!refusal) *value = static_cast<uint32_t>(wide);
        return refusal;
    }
    Refusal operator()(uint64_t* value) const {
        const std::optional<uint64_t> n = parse_count(text_);
        if (!n || *n < row_.min || *n > row_.max) {
            return fmt::format("a whole number from {} to {}", row_.min, row_.max);
        }
        *value = *n;
        return std::nullopt;
    }
    Refusal operator()(ByteSize* value) const {
        const std::optional<ByteSize> size = parse_size(text_);
        if (!size || size->value < row_.min || size->value > row_.max) {
            return fmt::format("a size from {} to {}", size_text({row_.min}),
                               size_text({row_.max}));
        }
        *value = *size;
        return std::nullopt;
    }
    Refusal operator()(Milliseconds* value) const {
        const Milliseconds min(static_cast<int64_t>(row_.min));
        const Milliseconds max(static_cast<int64_t>(row_.max));
        const std::optional<Milliseconds> time = parse_duration(text_);
        if (!time || *time < min || *time > max) {
            return fmt::format("a duration such as 30s, from {} to {}", duration_text(min),
                               duration_text(max));
        }
        *value = *time;
        return std::nullopt;
    }
    Refusal operator()(Rate* value) const {
        const std::optional<Rate> rate = parse_rate(text_);
        if (!rate || rate->count > row_.max) return "a rate such as 100/s or 10/min, or off";
        *value = *rate;
        return std::nullopt;
    }
    Refusal operator()(ByteRate* value) const {
        const std::optional<ByteRate> rate = parse_byte_rate(text_);
        if (!rate || rate->per_second > row_.max) return "a size a second such as 1MiB/s, or off";
        *value = *rate;
        return std::nullopt;
    }
    Refusal operator()(std::string* value) const {
        if (text_.size() > kTextBytesMax || text_.find('\0') != std::string_view::npos) {
            return "a text of at most 4096 bytes without NUL";
        }
        *value = text_;
        return std::nullopt;
    }
    Refusal operator()(HostPort* value) const {
        if (text_.empty()) {
            *value = {};
            return std::nullopt;
        }
        const Result<HostPort> parsed = parse_host_port(text_);
        if (!parsed) return "host:port";
        *value = *parsed;
        return std::nullopt;
    }
    Refusal operator()(SyncPolicy* value) const {
        const std::optional<SyncPolicy> policy = parse_sync(text_);
        if (!policy) return "always or interval: and a duration from 1ms to 1m";
        *value = *policy;
        return std::nullopt;
    }
    Refusal operator()(ChoiceRef choice) const {
        const auto name = std::ranges::find(choice.names, text_);
        if (name == choice.names.end()) return "one of " + type_text(row_);
        *choice.value = static_cast<uint8_t>(name - choice.names.begin());
        return std::nullopt;
    }
    Refusal operator()(std::vector<std::string>* /*list*/) const { return type_text(row_); }
    Refusal operator()(std::vector<ListenerConfig>* /*list*/) const { return type_text(row_); }

  private:
    const OptionRow& row_;
    std::string_view text_;
};

}  // namespace

std::optional<std::string> assign_scalar(const OptionRow& row, const OptionRef& ref,
                                         std::string_view text) {
    return std::visit(Assignment(row, text), ref);
}

}  // namespace quorate::broker
