// A message under way, and which messages need not be kept.
//
// *Thread*: values, never changed once made.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "cluster/raft/messages.h"
#include "tests/sim/search/scope.h"

namespace quorate::sim {

constexpr std::size_t kRenamingsMax = 6;
using Prints = std::array<uint64_t, kRenamingsMax>;

[[nodiscard]] inline uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0xBF58476D1CE4E5B9ULL;
    return hash ^ (hash >> 31U);
}
[[nodiscard]] uint64_t print_of(const raft::Entry& entry);

struct Flight {
    raft::Message message;
    Prints prints{};  // by renaming
};
using FlightRef = std::shared_ptr<const Flight>;

[[nodiscard]] FlightRef make_flight(raft::Message message, std::span<const Renaming> renamings);

}  // namespace quorate::sim
