// The wires between simulated nodes: when, how often and whether a packet arrives. What is in it is
// the simulation's affair.
//
// Each direction of each pair is a wire of its own: it delays, loses, doubles, reorders, delivers
// very late, breaks (an unknown suffix of what is under way is lost) and can be cut. *Thread*: one.
// *Owner*: the simulation. *Errors*: none; losing is lawful.
#pragma once

#include <cstdint>
#include <vector>

#include "proto/base/environment.h"
#include "tests/sim/kernel/event_queue.h"

namespace quorate::sim {

// Chances are of a thousand.
struct WireFaults {
    Micros delay_us = 100;
    Micros delay_spread_us = 1000;
    bool ordered = true;
    uint32_t loss = 0;
    uint32_t doubles = 0;
    uint32_t late = 0;
    Micros late_us = 1'000'000;
};

class Wires {
  public:
    static constexpr uint32_t kCopiesMax = 2;
    struct Arrival {
        Micros time = 0;
        uint32_t number = 0;  // on its wire
    };

    // Requires: nodes <= 64.
    Wires(uint32_t nodes, const WireFaults& faults, Random random);

    // A packet leaves: how many of its copies are under way, and when they arrive.
    [[nodiscard]] uint32_t send(uint32_t from, uint32_t to, Micros now,
                                Arrival (&arrivals)[kCopiesMax]);
    // Whether a copy that is due arrives: false when its wire was cut or broke meanwhile.
    [[nodiscard]] bool arrives(uint32_t from, uint32_t to, uint32_t number);

    void cut(uint32_t from, uint32_t to) { cut_[from] |= uint64_t{1} << to; }
    void cut_both(uint32_t one, uint32_t other);
    // Between every two nodes of which one is in the set and the other is not.
    void cut_around(uint64_t set);
    void heal();
    [[nodiscard]] bool connected(uint32_t from, uint32_t to) const {
        return (cut_[from] >> to & 1) == 0;
    }
    // Part of what is under way from one to the other is lost.
    void break_wire(uint32_t from, uint32_t to);
    // No loss, no doubles, nothing late from now on, and new connections.
    void calm();

    [[nodiscard]] uint32_t nodes() const { return nodes_; }
    [[nodiscard]] uint64_t lost() const { return lost_; }

  private:
    struct Wire {
        Micros last_arrival = 0;
        uint32_t next = 0;       // number of the next packet
        uint32_t lost_from = 0;  // [lost_from, lost_to) never arrives
        uint32_t lost_to = 0;
    };
    [[nodiscard]] Arrival launch(Wire& wire, Micros now);
    [[nodiscard]] Wire& wire(uint32_t from, uint32_t to) { return wires_[from * nodes_ + to]; }

    const uint32_t nodes_;
    WireFaults faults_;
    Random random_;
    std::vector<Wire> wires_;
    std::vector<uint64_t> cut_;
    uint64_t lost_ = 0;
};

}  // namespace quorate::sim
