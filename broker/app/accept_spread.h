// Spreads accepted sockets over the loops in turn, for listeners whose sockets the kernel does not
// spread itself: a Unix socket has one queue, which loop 0 reads.
//
// Thread: on_accepted() on loop 0. Owner: the broker; outlives the listeners.
// Errors: a socket for a loop that has stopped is closed with its task.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "broker/app/front_end.h"
#include "broker/net/listener.h"

namespace quorate::broker {

class AcceptSpread final : public AcceptRouter {
  public:
    // Before the loops run, in the order of the loops.
    void add(FrontEnd& front_end) { front_ends_.push_back(&front_end); }

    void on_accepted(AcceptedSocket accepted) override {
        FrontEnd& front_end = *front_ends_[next_];
        next_ = (next_ + 1) % front_ends_.size();
        front_end.post([&front_end, held = std::move(accepted)]() mutable {
            front_end.adopt(std::move(held));
        });
    }

  private:
    std::vector<FrontEnd*> front_ends_;
    std::size_t next_ = 0;
};

}  // namespace quorate::broker
