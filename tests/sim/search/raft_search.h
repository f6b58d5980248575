// Explicit-state search of the Raft core: from an empty group through every order of all that a
// scope allows, each state once.
//
// States are told apart by 64 bits of hash; with ten million of them the chance that any two were
// taken for one is below one in a hundred thousand. *Thread*: one. *Errors*: the first invariant
// that breaks ends the search, with the steps that led there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/search/scope.h"

namespace quorate::sim {

struct SearchResult {
    std::string violation;           // empty: none in all states
    std::vector<std::string> steps;  // that led to it
    uint64_t states = 0;
    uint64_t transitions = 0;
    std::size_t deepest = 0;
    std::size_t committed = 0;  // the most entries that any state had
    bool exhausted = false;     // false: a violation, or `states_max` was reached
    double seconds = 0;
};

[[nodiscard]] SearchResult search_raft(const SearchScope& scope);
// One line.
[[nodiscard]] std::string describe(const SearchScope& scope, const SearchResult& result);

}  // namespace quorate::sim
