#include "proto/mqtt/topic.h"

#include "proto/mqtt/utf8.h"

namespace quorate::mqtt {
namespace {

constexpr std::string_view kSharePrefix = "$share/";

bool valid_text(std::string_view text, const TextTraits& traits) {
    if (text.empty() || text.size() > kTopicBytesMax || traits.null) return false;
    return traits.ascii || valid_utf8(text);
}

bool wildcards_in_place(std::string_view filter) {
    for (Levels level(filter); !level.done(); level.next()) {
        const std::string_view text = *level;
        if (text == "#") {
            if (!level.last()) return false;
        } else if (text != "+" && has_wildcard(text)) {
            return false;
        }
    }
    return true;
}

}  // namespace

bool valid_topic_name(std::string_view topic) {
    const TextTraits traits = traits_of(topic);
    return !traits.wildcard && valid_text(topic, traits);
}

bool valid_topic_filter(std::string_view filter) {
    const TextTraits traits = traits_of(filter);
    return valid_text(filter, traits) && (!traits.wildcard || wildcards_in_place(filter));
}

uint32_t level_count(std::string_view topic) {
    return traits_of(topic).slashes + 1;
}

bool within_limits(std::string_view topic, const TopicLimits& limits) {
    return topic.size() <= limits.bytes_max && level_count(topic) <= limits.levels_max;
}

bool has_wildcard(std::string_view filter) {
    return traits_of(filter).wildcard;
}

std::optional<ParsedFilter> parse_filter(std::string_view text) {
    if (!text.starts_with(kSharePrefix)) {
        if (!valid_topic_filter(text)) return std::nullopt;
        return ParsedFilter{{}, text};
    }
    if (text.size() > kTopicBytesMax) return std::nullopt;
    const std::string_view rest = text.substr(kSharePrefix.size());
    const std::size_t slash = rest.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const std::string_view name = rest.substr(0, slash);
    const std::string_view filter = rest.substr(slash + 1);
    if (name.empty() || has_wildcard(name) || !valid_utf8(name)) return std::nullopt;
    if (!valid_topic_filter(filter)) return std::nullopt;
    return ParsedFilter{name, filter};
}

bool filter_matches(std::string_view filter, std::string_view topic) {
    const bool begins_with_wildcard = filter.starts_with('+') || filter.starts_with('#');
    if (begins_with_wildcard && topic.starts_with('$')) return false;
    Levels wanted(filter);
    Levels given(topic);
    for (; !wanted.done(); wanted.next(), given.next()) {
        if (*wanted == "#") return true;  // the parent level as well as everything below it
        if (given.done()) return false;
        if (*wanted != "+" && *wanted != *given) return false;
    }
    return given.done();
}

}  // namespace quorate::mqtt
