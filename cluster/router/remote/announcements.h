// What a node says it leads, to all others: groups with their terms, as an item of a link.
//
// Said when a leader begins to serve, on every new link, and again every second, so that nobody has
// to be asked and a lost one does no harm. kAnnouncement, then a group (u32) and a term (u64) each.
//
// Thread: any; values. Errors: nothing for bytes that no version wrote. Spec: R-2, R-3 (who is sent
// to).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// The first byte of an item.
inline constexpr uint8_t kAnnouncement = 4;

using LedGroups = std::vector<std::pair<GroupId, Term>>;

[[nodiscard]] inline std::string encode_announcement(const LedGroups& groups) {
    std::string item;
    RecordWriter out(item);
    out.u8(kAnnouncement);
    for (const auto& [group, term] : groups) {
        out.id(group);
        out.id(term);
    }
    return item;
}

[[nodiscard]] inline std::optional<LedGroups> decode_announcement(std::string_view item) {
    RecordReader in(item);
    if (in.u8() != kAnnouncement) return std::nullopt;
    LedGroups groups;
    while (!in.failed() && !in.rest().empty()) {
        const auto group = in.id<GroupId>();
        groups.emplace_back(group, in.id<Term>());
    }
    if (in.failed()) return std::nullopt;
    return groups;
}

}  // namespace quorate::cluster
