// When to look at which client next: a hashed wheel of one-second slots with lazy re-arming.
//
// A packet only moves its channel's own deadline. The wheel looks at a client when the slot it was
// put into comes up, asks for the deadline of then, and puts it into that slot; so keeping a busy
// client alive costs nothing per packet.
//
// Thread: the loop's. Owner: the front-end. Bounded by the number of clients: one place each, plus
// stale ones that are dropped when their slot comes up.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

namespace quorate::broker {

class TimeWheel {
  public:
    struct Entry {
        uint32_t slot = 0;
        uint32_t generation = 0;
    };

    // `now`: any time not after the first entry's.
    explicit TimeWheel(std::chrono::milliseconds now) : current_(second_of(now)) {}

    // To be looked at when `at` has passed; what lies beyond the wheel is looked at earlier.
    void put(Entry entry, std::chrono::milliseconds at) {
        uint64_t second = second_of(at) + 1;
        if (second <= current_) second = current_ + 1;
        if (second - current_ >= kSlots) second = current_ + kSlots - 1;
        slots_[second % kSlots].push_back(entry);
    }

    // Calls `visit(Entry)` for what is due. A visit may put entries.
    template <typename Visit>
    void advance(std::chrono::milliseconds now, Visit&& visit) {
        const uint64_t second = second_of(now);
        while (current_ < second) {
            ++current_;
            due_.swap(slots_[current_ % kSlots]);
            for (const Entry& entry : due_)
                visit(entry);
            due_.clear();
        }
    }

  private:
    static constexpr uint64_t kSlots = 1024;
    static uint64_t second_of(std::chrono::milliseconds time) {
        return static_cast<uint64_t>(time.count() / 1000);
    }

    std::array<std::vector<Entry>, kSlots> slots_;
    std::vector<Entry> due_;
    uint64_t current_;
};

}  // namespace quorate::broker
