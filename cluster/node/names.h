// What a cluster and its nodes are called: on the disk, by the links, in certificates.
//
// On the disk the cluster's id carries what was fixed when it was formed, so that a later start
// with other options finds its data: "<16 hex digits>-<shards>-<levels>". The links, and with them
// certificates (quorate://<cluster id>/node/<node id>), use the 16 digits alone.
//
// Pure functions. Thread: any. Errors: nothing for a text that no cluster wrote.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/link/link.h"
#include "cluster/meta/meta_state.h"
#include "cluster/topics/destination.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

struct DiskName {
    uint64_t cluster_id = 0;
    ShardLayout layout;
};
[[nodiscard]] std::string encode(const DiskName& name);
[[nodiscard]] std::optional<DiskName> decode_disk_name(std::string_view text);

[[nodiscard]] std::string link_cluster_id(uint64_t cluster_id);

// Every node but `self` that may still have something to say, with the address of its last start.
[[nodiscard]] std::vector<link::Member> link_members(const MetaState& meta, NodeId self);

}  // namespace quorate::cluster
