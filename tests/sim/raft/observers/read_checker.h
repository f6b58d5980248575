// R8: a read that a quorum confirmed sees everything that was committed before it was asked for.
//
// *Thread*: one. *Owner*: SimReplica, one life.
#pragma once

#include <string>
#include <vector>

#include "cluster/raft/ready.h"

namespace quorate::sim {

class ReadChecker {
  public:
    // A replica was asked to read; `committed` is what anybody has committed by then.
    // Returns a violation, or nothing.
    [[nodiscard]] std::string asked(raft::ReadId id, LogIndex committed);
    [[nodiscard]] std::string answered(const raft::ReadState& read);
    void failed(raft::ReadId id);
    void clear();
    [[nodiscard]] std::size_t open() const { return open_.size(); }

  private:
    struct Open {
        raft::ReadId id;
        LogIndex committed;
    };
    std::vector<Open> open_;
    raft::ReadId last_;
};

}  // namespace quorate::sim
