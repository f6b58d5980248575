#include "cluster/node/names.h"

#include <charconv>

#include <fmt/format.h>

namespace quorate::cluster {
namespace {

template <typename Number>
bool read_number(std::string_view text, int base, Number& out) {
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, out, base);
    return parsed.ec == std::errc() && parsed.ptr == end;
}

}  // namespace

std::string encode(const DiskName& name) {
    return fmt::format("{:016x}-{}-{}", name.cluster_id, name.layout.shards,
                       name.layout.topic_hash_levels);
}

std::optional<DiskName> decode_disk_name(std::string_view text) {
    const auto last = text.rfind('-');
    if (last == std::string_view::npos || last == 0) return std::nullopt;
    const auto middle = text.rfind('-', last - 1);
    if (middle == std::string_view::npos) return std::nullopt;
    DiskName name;
    const bool read =
        read_number(text.substr(0, middle), 16, name.cluster_id) &&
        read_number(text.substr(middle + 1, last - middle - 1), 10, name.layout.shards) &&
        read_number(text.substr(last + 1), 10, name.layout.topic_hash_levels);
    if (!read || name.layout.shards == 0) return std::nullopt;
    return name;
}

std::string link_cluster_id(uint64_t cluster_id) {
    return fmt::format("{:016x}", cluster_id);
}

std::vector<link::Member> link_members(const MetaState& meta, NodeId self) {
    std::vector<link::Member> members;
    for (const auto& [id, node] : meta.nodes()) {
        if (id == self || node.state == NodeState::Gone || node.address.empty()) continue;
        members.push_back({id, node.name, {node.address}});
    }
    return members;
}

}  // namespace quorate::cluster
