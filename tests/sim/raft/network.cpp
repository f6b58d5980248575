#include "tests/sim/raft/network.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace quorate::sim {
namespace {

// What is under way at most; a network drops too.
constexpr std::size_t kFlightsMax = 4'000;

// By which leadership is handed over; votes that were asked for so pass every lease.
bool hands_over(const raft::MessageBody& body) {
    const auto* vote = std::get_if<raft::RequestVote>(&body);
    return std::holds_alternative<raft::TimeoutNow>(body) || (vote != nullptr && vote->transfer);
}

bool later(const SimEvent& left, const SimEvent& right) {
    if (left.time != right.time) return left.time > right.time;
    return left.order > right.order;
}

}  // namespace

void SimQueue::push(SimEvent event) {
    event.order = ++order_;
    events_.push_back(event);
    std::push_heap(events_.begin(), events_.end(), later);
}

SimEvent SimQueue::pop() {
    std::pop_heap(events_.begin(), events_.end(), later);
    const SimEvent event = events_.back();
    events_.pop_back();
    return event;
}

SimNetwork::SimNetwork(const RaftPlan& plan, SimQueue& queue)
    : plan_(plan),
      queue_(queue),
      random_(component_random(plan.seed, "network")),
      wires_(std::size_t{kReplicasEver} * kReplicasEver) {}

void SimNetwork::send(raft::Message message, Micros now) {
    if (message.to.value() == 0 || message.to.value() > kReplicasEver) return;
    if (plan_.loss != 0 && random_.chance(plan_.loss, 1000)) {
        ++lost_;
        return;
    }
    if (plan_.doubles != 0 && random_.chance(plan_.doubles, 1000)) launch(message, now);
    launch(std::move(message), now);
}

void SimNetwork::launch(raft::Message message, Micros now) {
    if (flights_.size() - free_.size() >= kFlightsMax) {
        ++lost_;
        return;
    }
    const auto from = static_cast<uint32_t>(message.from.value() - 1);
    const auto to = static_cast<uint32_t>(message.to.value() - 1);
    Wire& link = wire(from, to);
    Micros arrival = now + plan_.delay_us + random_.below(plan_.delay_spread_us);
    if (plan_.late != 0 && random_.chance(plan_.late, 1000)) {
        arrival += random_.below(plan_.late_us);
    }
    if (plan_.late_transfers != 0 && hands_over(message.body) &&
        random_.chance(plan_.late_transfers, 1000)) {
        ++late_transfers_;
        arrival += random_.below(3 * kTickUs * plan_.election_ticks);
    }
    if (plan_.ordered) {
        arrival = std::max(arrival, link.last_arrival);
        link.last_arrival = arrival;
    }
    uint32_t slot = 0;
    if (free_.empty()) {
        slot = static_cast<uint32_t>(flights_.size());
        flights_.emplace_back();
    } else {
        slot = free_.back();
        free_.pop_back();
    }
    flights_[slot].message = std::move(message);
    flights_[slot].number = link.next++;
    SimEvent event;
    event.time = arrival;
    event.kind = SimEventKind::Deliver;
    event.replica = static_cast<uint8_t>(to);
    event.argument = slot;
    queue_.push(event);
}

bool SimNetwork::receive(uint32_t slot, raft::Message& out) {
    Flight& flight = flights_[slot];
    out = std::move(flight.message);
    free_.push_back(slot);
    const auto from = static_cast<uint32_t>(out.from.value() - 1);
    const auto to = static_cast<uint32_t>(out.to.value() - 1);
    const Wire& link = wire(from, to);
    const bool broken = flight.number >= link.lost_from && flight.number < link.lost_before;
    if (broken || (cut_[from] >> to & 1) != 0) {
        ++lost_;
        return false;
    }
    return true;
}

void SimNetwork::cut_both(uint32_t one, uint32_t other) {
    cut(one, other);
    cut(other, one);
}

void SimNetwork::break_link(uint32_t from, uint32_t to) {
    Wire& link = wire(from, to);
    link.lost_before = link.next;
    link.lost_from = link.next - static_cast<uint32_t>(random_.below(std::min(link.next, 20U) + 1));
}

void SimNetwork::calm() {
    plan_.drop(FaultClass::Loss);
    for (Wire& link : wires_) {
        link.last_arrival = 0;  // new connections: nothing waits behind what is late
    }
}

}  // namespace quorate::sim
