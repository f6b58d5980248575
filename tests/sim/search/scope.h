// What one search goes through: who takes part, and how much may happen.
//
// *Thread*: a value.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "cluster/raft/configuration.h"

namespace quorate::sim {

constexpr uint32_t kSearchNodes = 3;

struct SearchScope {
    std::string name;
    raft::Configuration members;  // at the beginning
    raft::Configuration target;   // of the one change; without voters there is none
    uint64_t terms = 2;           // nobody campaigns for a higher one
    uint32_t proposals = 0;       // beside the entry that opens a term
    uint32_t crashes = 0;         // of anybody, each followed by a restart
    uint32_t link = 2;            // messages under way from one to another; more are lost
    uint32_t transfers = 0;       // of the leadership
    uint32_t cuts = 0;            // of anybody's log, by all that is applied
    uint32_t slow_disks = 0;      // of the last members: writes complete at any later time
    uint32_t append_entries = 1;  // in one AppendEntries
    uint64_t states_max = 0;      // reached: the search failed to exhaust its scope
};

// Those of every change; with QUORATE_SEARCH_WIDE in the environment wider ones, for hours.
[[nodiscard]] std::vector<SearchScope> search_scopes();

// By id; the first is nobody.
using Renaming = std::array<uint64_t, kSearchNodes + 1>;
// All that lead from this scope to itself; the first changes nothing.
[[nodiscard]] std::vector<Renaming> renamings_of(const SearchScope& scope);

[[nodiscard]] raft::Configuration voters(std::initializer_list<uint64_t> ids);

}  // namespace quorate::sim
