// What a trace says of an event. *Thread*: one.
#pragma once

#include <string>

#include "tests/sim/raft/faults.h"

namespace quorate::sim {

// What happens, and how the replica stands before it. `message` is the one of a Deliver.
[[nodiscard]] std::string describe_event(const SimEvent& event, const raft::Message& message,
                                         Micros now, const SimReplicas& replicas);

}  // namespace quorate::sim
