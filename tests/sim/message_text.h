// What a trace says of a Raft message. *Thread*: any.
#pragma once

#include <string>

#include "cluster/raft/messages.h"

namespace quorate::sim {

[[nodiscard]] std::string describe_body(const raft::MessageBody& body);

}  // namespace quorate::sim
