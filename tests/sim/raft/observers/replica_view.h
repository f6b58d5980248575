// One replica as an observer sees it. *Thread*: a value; dies with the call it is given to.
#pragma once

#include <cstdint>

#include "cluster/raft/raft_node.h"
#include "tests/sim/raft/disk.h"
#include "tests/sim/raft/observers/log_mirror.h"

namespace quorate::sim {

constexpr uint32_t kReplicasEver = 64;  // ids of one run; a rejoining replica takes a new one

struct ReplicaView {
    uint32_t replica = 0;  // index; its id is one more
    const raft::RaftNode& node;
    const SimDisk& disk;
    const LogMirror& log;
    const MachineState& machine;

    [[nodiscard]] ReplicaId id() const { return ReplicaId(uint64_t{replica} + 1); }
};

}  // namespace quorate::sim
