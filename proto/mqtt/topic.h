// Topic Names and Topic Filters: what is valid, and what matches what. Spec: MQTT 5 §4.7, §4.8.2.
// Thread: any; pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace quorate::mqtt {

inline constexpr std::size_t kTopicBytesMax = 65'535;  // [MQTT-4.7.3-3]

// Our own bounds, below those of the specification.
struct TopicLimits {
    uint32_t bytes_max = 4096;
    uint32_t levels_max = 64;
};

// At least one character, at most 65,535 bytes, UTF-8 without U+0000, no `+` or `#`.
// [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3]
[[nodiscard]] bool valid_topic_name(std::string_view topic);

// As above, but `#` may be the whole last level and `+` any whole level. Knows nothing of `$share`:
// parse_filter() does. [MQTT-4.7.1-1] [MQTT-4.7.1-2]
[[nodiscard]] bool valid_topic_filter(std::string_view filter);

// Levels are what stands between slashes: "a" has one, "/a" two, "a/" two.
[[nodiscard]] uint32_t level_count(std::string_view topic);
[[nodiscard]] bool within_limits(std::string_view topic, const TopicLimits& limits);

// True for `+` or `#` anywhere; in a valid filter that means: not an exact one.
[[nodiscard]] bool has_wildcard(std::string_view filter);

// A filter as a client writes it, taken apart. §4.8.2 [MQTT-4.8.2-1] [MQTT-4.8.2-2]
struct ParsedFilter {
    std::string_view share_name;  // empty: not a Shared Subscription
    std::string_view filter;      // what topics are matched with

    [[nodiscard]] bool shared() const { return !share_name.empty(); }
};
// Nothing when the filter, or the ShareName (empty, or with `+ #`), is invalid: 0x8F.
[[nodiscard]] std::optional<ParsedFilter> parse_filter(std::string_view text);

// Walks the levels of a topic or filter: `for (Levels l(topic); !l.done(); l.next()) use(*l);`
class Levels {
  public:
    explicit Levels(std::string_view text) : rest_(text) { cut(); }

    [[nodiscard]] bool done() const { return done_; }
    [[nodiscard]] std::string_view operator*() const { return level_; }
    // True when no level follows this one.
    [[nodiscard]] bool last() const { return last_; }
    void next() {
        done_ = last_;
        if (!done_) cut();
    }

  private:
    void cut() {
        const std::size_t slash = rest_.find('/');
        last_ = slash == std::string_view::npos;
        level_ = rest_.substr(0, slash);
        if (!last_) rest_.remove_prefix(slash + 1);
    }

    std::string_view rest_;
    std::string_view level_;
    bool last_ = false;
    bool done_ = false;
};

// Whether a topic matches a filter, level by level; the plain reading of §4.7 that FilterTree is
// tested against. A wildcard at the first level matches no topic that begins with `$`
// [MQTT-4.7.2-1]. Requires: both valid (else the answer means nothing). Not for hot paths.
[[nodiscard]] bool filter_matches(std::string_view filter, std::string_view topic);

}  // namespace quorate::mqtt
