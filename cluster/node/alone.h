// The start of a process that runs alone: a cluster of one node, which leads every group.
//
// Thread: the program's main thread, which it blocks. Errors: Unavailable when no answer came in
// time, or `meta` refused. Spec: R-0 (incarnations).
#pragma once

#include <chrono>

#include "cluster/group/group_host.h"
#include "cluster/node/meta_asker.h"
#include "cluster/node/meta_runner.h"
#include "cluster/node/names.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace quorate::cluster {

// Forms the cluster when the disk is empty, then starts a new incarnation of its node. Requires:
// the host has started.
[[nodiscard]] Result<Incarnation> start_alone(GroupHost& host, MetaRunner& meta, MetaAsker& asker,
                                              const DiskName& name,
                                              std::chrono::milliseconds limit);

}  // namespace quorate::cluster
