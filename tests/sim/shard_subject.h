// The real state machine of a shard as a Subject of the disk layer: ShardState in a real Group, its
// clients in a ShardWorld, and of its leader what decides about state: hand-overs of the outbox,
// what is owed to dead incarnations, ticks.
//
// The shard is a cluster of its own: every topic is its own, so it hands over to itself.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "proto/base/ids.h"
#include "tests/sim/disk_simulation.h"
#include "tests/sim/shard_world.h"

namespace quorate::sim {

// Deliberate mistakes of a shard: records that are kept in memory and not written.
enum class ShardMutant : uint8_t {
    None,
    ForgetReceived,  // packet identifiers of QoS 2 that were received
    ForgetRepeats,   // numbers of outbox entries that were taken over
    ForgetCursor,    // first, next and mark of a queue
};

// The worlds of one simulation. *Thread*: the simulation's. *Owner*: who runs it; outlives it.
class ShardWorlds {
  public:
    explicit ShardWorlds(ShardMutant mutant = ShardMutant::None) : mutant_(mutant) {}

    [[nodiscard]] SubjectFactory factory();
    // Sums over all shards.
    [[nodiscard]] ShardSimCounts counts() const;

  private:
    const ShardMutant mutant_;
    std::map<GroupId, ShardWorld> worlds_;
};

}  // namespace quorate::sim
