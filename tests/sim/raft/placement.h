// Who allots replicas: makes them, changes the membership through whoever leads, replaces those
// whose disks are lost, and lets go of those that nobody needs.
//
// Never takes away what a group needs to go on: of every configuration in any log a majority of
// voters keeps its disk. *Thread*: one. *Owner*: RaftSimulation.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/sim/raft/replica.h"

namespace quorate::sim {

using SimReplicas = std::vector<std::unique_ptr<SimReplica>>;

class SimPlacement {
  public:
    SimPlacement(SimWorld& world, SimReplicas& replicas);

    // The first replicas.
    void begin();
    // Asks whoever leads for some change.
    void change();
    // Asks a leader to hand over to anybody.
    void transfer();
    // A disk is lost, unless too many are already; another replica will take the place.
    void lose_disk();
    // A log is corrupted, under the same condition.
    void corrupt();
    // Whether of every configuration in any log a majority of voters is among these, a bit each.
    [[nodiscard]] bool enough(uint64_t among) const;
    // A bit for each that is not gone.
    [[nodiscard]] uint64_t present() const;

  private:
    [[nodiscard]] SimReplica* some_to_lose();
    void add(const raft::Configuration& configuration);
    void retire();
    void tell_known();
    [[nodiscard]] bool mentioned(ReplicaId id) const;
    [[nodiscard]] raft::Configuration some_target(const raft::Configuration& now);

    SimWorld& world_;
    SimReplicas& replicas_;
    Random random_;
};

// The one of the highest term that leads, among some: a bit each. Null when nobody does.
[[nodiscard]] SimReplica* leader_of(const SimReplicas& replicas, uint64_t among = UINT64_MAX);

}  // namespace quorate::sim
