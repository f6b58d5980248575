#include "tests/sim/kernel/wires.h"

#include <algorithm>

#include "proto/base/assert.h"

namespace quorate::sim {
namespace {

// What one break takes at most.
constexpr uint32_t kSuffixMax = 20;

}  // namespace

Wires::Wires(uint32_t nodes, const WireFaults& faults, Random random)
    : nodes_(nodes),
      faults_(faults),
      random_(random),
      wires_(std::size_t{nodes} * nodes),
      cut_(nodes) {
    ASSERT(nodes <= 64, "a set of nodes is one word");
}

uint32_t Wires::send(uint32_t from, uint32_t to, Micros now, Arrival (&arrivals)[kCopiesMax]) {
    if (!connected(from, to) || (faults_.loss != 0 && random_.chance(faults_.loss, 1000))) {
        ++lost_;
        return 0;
    }
    uint32_t copies = 0;
    arrivals[copies++] = launch(wire(from, to), now);
    if (faults_.doubles != 0 && random_.chance(faults_.doubles, 1000)) {
        arrivals[copies++] = launch(wire(from, to), now);
    }
    return copies;
}

Wires::Arrival Wires::launch(Wire& wire, Micros now) {
    Micros arrival = now + faults_.delay_us + random_.below(faults_.delay_spread_us);
    if (faults_.late != 0 && random_.chance(faults_.late, 1000)) {
        arrival += random_.below(faults_.late_us);
    }
    if (faults_.ordered) {
        arrival = std::max(arrival, wire.last_arrival);
        wire.last_arrival = arrival;
    }
    return Arrival{arrival, wire.next++};
}

bool Wires::arrives(uint32_t from, uint32_t to, uint32_t number) {
    const Wire& on = wire(from, to);
    const bool broken = number >= on.lost_from && number < on.lost_to;
    if (!broken && connected(from, to)) return true;
    ++lost_;
    return false;
}

void Wires::cut_both(uint32_t one, uint32_t other) {
    cut(one, other);
    cut(other, one);
}

void Wires::cut_around(uint64_t set) {
    for (uint32_t one = 0; one < nodes_; ++one) {
        for (uint32_t other = one + 1; other < nodes_; ++other) {
            if ((set >> one & 1) != (set >> other & 1)) cut_both(one, other);
        }
    }
}

void Wires::heal() {
    std::fill(cut_.begin(), cut_.end(), 0);
}

void Wires::break_wire(uint32_t from, uint32_t to) {
    Wire& on = wire(from, to);
    on.lost_to = on.next;
    on.lost_from =
        on.next - static_cast<uint32_t>(random_.below(std::min(on.next, kSuffixMax) + 1));
}

void Wires::calm() {
    faults_.loss = faults_.doubles = faults_.late = 0;
    faults_.ordered = true;
    for (Wire& on : wires_) {
        on.last_arrival = 0;
    }
}

}  // namespace quorate::sim
