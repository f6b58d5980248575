#include "tests/sim/replicated/stage.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "tests/sim/kernel/named_random.h"

namespace quorate::sim::replicated {
namespace {

// What is under way at most; a network drops too.
constexpr std::size_t kPacketsMax = 4'000;

}  // namespace

const char* to_string(EventKind kind) {
    switch (kind) {
        case EventKind::Deliver:
            return "deliver";
        case EventKind::Turn:
            return "turn";
        case EventKind::Poll:
            return "poll";
        case EventKind::Sync:
            return "sync";
        case EventKind::Flush:
            return "flush";
        case EventKind::Flushed:
            return "flushed";
        case EventKind::Change:
            return "change";
        case EventKind::Rebuild:
            return "rebuild";
        case EventKind::Mark:
            return "mark";
        case EventKind::Restart:
            return "restart";
        case EventKind::Step:
            return "step";
        case EventKind::Suspect:
            return "suspect";
        case EventKind::Straggle:
            return "straggle";
        case EventKind::Partition:
            return "partition";
        case EventKind::Heal:
            return "heal";
        case EventKind::Break:
            return "break";
        case EventKind::Pause:
            return "pause";
        case EventKind::Crash:
            return "crash";
        case EventKind::FrontCrash:
            return "front-end crash";
        case EventKind::Fill:
            return "fill";
        case EventKind::Empty:
            return "empty";
        case EventKind::Awake:
            return "awake";
    }
    return "unknown";
}

Stage::Stage(const Plan& drawn)
    : plan(drawn),
      wires(kNodes, drawn.wires, named_random(drawn.seed, "wires")),
      world(drawn.fronts),
      random(named_random(drawn.seed, "stage")) {}

void Stage::send(uint32_t from, uint32_t to, Packet packet) {
    Wires::Arrival arrivals[Wires::kCopiesMax];
    uint32_t copies = 1;
    if (from == to) {
        arrivals[0] = {now + 1, 0};
    } else {
        copies = wires.send(from, to, now, arrivals);
    }
    for (uint32_t i = 0; i < copies; ++i) {
        if (packets_.size() - free_.size() >= kPacketsMax) return;
        uint32_t slot = 0;
        if (free_.empty()) {
            slot = static_cast<uint32_t>(packets_.size());
            packets_.emplace_back();
        } else {
            slot = free_.back();
            free_.pop_back();
        }
        if (i + 1 == copies) {
            packets_[slot] = std::move(packet);
        } else {
            packets_[slot] = packet;
        }
        Event event;
        event.kind = EventKind::Deliver;
        event.node = static_cast<uint8_t>(to);
        event.from = static_cast<uint8_t>(from);
        event.slot = slot;
        event.number = arrivals[i].number;
        at(arrivals[i].time, event);
    }
}

bool Stage::receive(const Event& event, Packet& out) {
    out = std::move(packets_[event.slot]);
    free_.push_back(event.slot);
    return event.from == event.node || wires.arrives(event.from, event.node, event.number);
}

ReplicaId Stage::allot(uint32_t node) {
    nodes_of_.push_back(node);
    return known.emplace_back(nodes_of_.size());
}

std::optional<uint32_t> Stage::node_of_replica(ReplicaId replica) const {
    const uint64_t name = replica.value();
    if (name == 0 || name > nodes_of_.size()) return std::nullopt;
    return nodes_of_[name - 1];
}

void Stage::keep_for(uint32_t node, const Event& event) {
    if (asleep_[node].empty()) {
        Event awake;
        awake.kind = EventKind::Awake;
        awake.node = static_cast<uint8_t>(node);
        at(asleep_until_[node], awake);
    }
    asleep_[node].push_back(event);
}

void Stage::awake(uint32_t node) {
    for (const Event& event : std::exchange(asleep_[node], {})) {
        at(now, event);
    }
}

void Stage::note(const std::string& line) {
    if (trace) trace(fmt::format("{:.6f} {}", static_cast<double>(now) / kSecond_us, line));
}

void Stage::declare_down(Incarnation incarnation) {
    down.insert(incarnation);
    Incarnation& highest = down_up_to_[node_of(incarnation)];
    highest = std::max(highest, incarnation);
}

bool Stage::is_down(Incarnation incarnation) const {
    const auto found = down_up_to_.find(node_of(incarnation));
    return found != down_up_to_.end() && incarnation <= found->second;
}

void Stage::fenced(Incarnation incarnation) {
    // It and all earlier ones of its node.
    std::erase_if(down, [&](Incarnation one) {
        const bool over = node_of(one) == node_of(incarnation) && one <= incarnation;
        if (over) world.fenced(one);
        return over;
    });
}

}  // namespace quorate::sim::replicated
