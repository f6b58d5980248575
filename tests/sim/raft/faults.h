// Who breaks things, and who heals them for the second phase of a run.
//
// *Thread*: one. *Owner*: RaftSimulation.
#pragma once

#include <cstdint>

#include "tests/sim/raft/placement.h"

namespace quorate::sim {

class SimFaults {
  public:
    SimFaults(SimWorld& world, SimReplicas& replicas, SimPlacement& placement);

    // Plans the first fault of each kind that the seed knows.
    void begin();
    void handle(const SimEvent& event);
    // No faults from now on. A majority at least runs, is connected and has quick disks; the others
    // may stay as they are, without a way to the majority. Returns a bit per healed replica.
    uint64_t heal_core();

  private:
    void handle_rare(const SimEvent& event);
    void plan_next(SimEventKind kind, Micros every);
    void partition();
    void cut_halves(uint64_t one_half);
    void pause();
    void fill();
    [[nodiscard]] uint32_t any();

    SimWorld& world_;
    SimReplicas& replicas_;
    SimPlacement& placement_;
    Random random_;
    bool over_ = false;
    uint64_t partition_ = 0;  // number of the one in force
};

}  // namespace quorate::sim
