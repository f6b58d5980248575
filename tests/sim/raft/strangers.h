// What somebody says who is in no configuration, or who means somebody else: nothing may follow.
//
// *Thread*: one. *Errors*: none.
#pragma once

#include "cluster/raft/raft_node.h"
#include "proto/base/environment.h"

namespace quorate::sim {

// A message that would do as much harm as it can to this replica, if that listened.
[[nodiscard]] raft::Message message_of_stranger(const raft::RaftNode& to, Random& random);

}  // namespace quorate::sim
