// The numbering of Raft groups. Part of the stored format: never change a number.
#pragma once

#include <optional>

#include "proto/base/ids.h"

namespace quorate::cluster {

inline constexpr GroupId kMetaGroup{1};
inline constexpr GroupId kWildcardsGroup{2};
// Below it: groups that exist once. From it on: one group a shard.
inline constexpr uint32_t kFirstShardGroup = 16;

[[nodiscard]] constexpr GroupId group_of(ShardId shard) {
    return GroupId(kFirstShardGroup + shard.value());
}
// Nothing for a group that is not a shard.
[[nodiscard]] constexpr std::optional<ShardId> shard_of_group(GroupId group) {
    if (group.value() < kFirstShardGroup) return std::nullopt;
    return ShardId(group.value() - kFirstShardGroup);
}

}  // namespace quorate::cluster
