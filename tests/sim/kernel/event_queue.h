// Everything that is to happen in a simulation, ordered by (virtual time, insertion number).
//
// *Thread*: one. *Owner*: the simulation.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace quorate::sim {

// Virtual time since the run began.
using Micros = uint64_t;

template <typename Event>
class EventQueue {
  public:
    struct Item {
        Micros time = 0;
        uint64_t order = 0;
        Event event;
    };

    void push(Micros time, Event event) {
        items_.push_back({time, ++order_, std::move(event)});
        std::push_heap(items_.begin(), items_.end(), later);
    }
    // Requires: !empty().
    [[nodiscard]] Item pop() {
        std::pop_heap(items_.begin(), items_.end(), later);
        Item item = std::move(items_.back());
        items_.pop_back();
        return item;
    }
    [[nodiscard]] bool empty() const { return items_.empty(); }

  private:
    static bool later(const Item& left, const Item& right) {
        return left.time != right.time ? left.time > right.time : left.order > right.order;
    }

    std::vector<Item> items_;  // a binary heap
    uint64_t order_ = 0;
};

}  // namespace quorate::sim
