// A front-end: the clients that are connected to it, and its lanes. When it dies or is declared
// down a new incarnation takes its place; what is left of the old one may still speak.
//
// *Thread*: one. *Owner*: the simulation.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/sim/replicated/lane_sender.h"
#include "tests/sim/replicated/replica.h"
#include "tests/sim/replicated/stage.h"

namespace quorate::sim::replicated {

class Front {
  public:
    Front(Stage& stage, Replicas& replicas, uint32_t index);

    // Its clients receive and act.
    void step();
    void take(const Event& event, const Packet& packet);
    // A new incarnation. `straggler`: the old one lives on for a while and does not know.
    void restart(bool straggler);
    void suspect(uint32_t life);
    void straggle();

    // Everything is answered, and nobody wanted anything for so long.
    [[nodiscard]] Micros idle_since() const { return idle_since_; }

  private:
    void receive();
    [[nodiscard]] Replica* leader();

    Stage& stage_;
    Replicas& replicas_;
    const uint32_t index_;
    Random random_;
    uint32_t life_ = 0;
    std::unique_ptr<LaneSender> sender_;
    std::vector<std::unique_ptr<LaneSender>> stragglers_;
    Micros idle_since_ = 0;
};

// The time of the newest leader as the clients may know it.
[[nodiscard]] ClusterTime leader_time(Stage& stage, const Replicas& replicas);

}  // namespace quorate::sim::replicated
