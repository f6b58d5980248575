// Which followers of a group are close enough behind to become voters: those that hold everything
// that was committed a second ago.
//
// How it is driven: the group's leader calls `sample` with each tick or so, and `caught_up` with
// the match index of a follower (of RaftNode's Progress). A new leader begins with a new object;
// until a second of samples is there, a follower has to hold everything.
//
// Pure; time is an argument. Thread: the group's worker. Owner: the group's runner. Bounded: at
// most sixteen samples. Errors: none. Spec: R-8 ("caught up").
#pragma once

#include <chrono>
#include <deque>

#include "proto/base/ids.h"

namespace quorate::cluster {

class CatchUp {
  public:
    explicit CatchUp(std::chrono::nanoseconds behind_max = std::chrono::seconds(1))
        : behind_max_(behind_max) {}

    void sample(LogIndex committed, std::chrono::nanoseconds now);
    [[nodiscard]] bool caught_up(LogIndex match) const;

  private:
    struct Sample {
        LogIndex committed;
        std::chrono::nanoseconds at{};
    };

    std::chrono::nanoseconds behind_max_;
    LogIndex needed_;             // committed at least behind_max_ ago
    std::deque<Sample> younger_;  // oldest first
    bool old_enough_ = false;     // needed_ is from a sample
};

}  // namespace quorate::cluster
