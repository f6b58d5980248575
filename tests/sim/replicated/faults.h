// Who breaks things, and who heals them for the second phase of a run.
//
// *Thread*: one. *Owner*: the simulation.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/sim/replicated/front.h"
#include "tests/sim/replicated/placement.h"
#include "tests/sim/replicated/replica.h"

namespace quorate::sim::replicated {

using Fronts = std::vector<std::unique_ptr<Front>>;

class Faults {
  public:
    Faults(Stage& stage, Replicas& replicas, Fronts& fronts, Placement& placement);

    // Plans the first fault of each kind that the seed knows.
    void begin();
    void handle(const Event& event);
    // No faults from now on. A majority at least runs, is connected and has quick disks; the others
    // may stay as they are, without a way to the majority. Returns a bit per healed replica.
    [[nodiscard]] uint64_t heal_core();

  private:
    void plan_next(EventKind kind, Micros every);
    void crash();
    [[nodiscard]] bool may_crash(uint32_t node) const;
    void pause();
    void partition();
    void fill();
    [[nodiscard]] uint32_t any_replica();

    Stage& stage_;
    Replicas& replicas_;
    Fronts& fronts_;
    Placement& placement_;
    Random random_;
    bool over_ = false;
    uint32_t partition_ = 0;  // number of the one in force
};

}  // namespace quorate::sim::replicated
