#include "tests/sim/search/scope.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace quorate::sim {
namespace {

raft::Configuration renamed(const raft::Configuration& configuration, const Renaming& names) {
    raft::Configuration out;
    for (const ReplicaId id : configuration.voters) {
        out.voters.emplace_back(names[id.value()]);
    }
    std::sort(out.voters.begin(), out.voters.end());
    return out;
}

SearchScope scope(std::string name) {
    SearchScope made;
    made.name = std::move(name);
    made.members = voters({1, 2, 3});
    made.link = 1;
    made.states_max = std::getenv("QUORATE_SEARCH_WIDE") == nullptr ? 2'000'000 : 500'000'000;
    return made;
}

}  // namespace

raft::Configuration voters(std::initializer_list<uint64_t> ids) {
    raft::Configuration configuration;
    for (const uint64_t id : ids) {
        configuration.voters.emplace_back(id);
    }
    return configuration;
}

std::vector<Renaming> renamings_of(const SearchScope& scope) {
    std::vector<Renaming> found;
    Renaming names{};
    std::iota(names.begin(), names.end(), 0);
    do {
        const bool same = renamed(scope.members, names) == scope.members &&
                          renamed(scope.target, names) == scope.target;
        const auto last = kSearchNodes - std::min(scope.slow_disks, kSearchNodes);
        const bool same_disks = std::all_of(names.begin(), names.begin() + last + 1,
                                            [last](uint64_t name) { return name <= last; });
        if (same && same_disks) found.push_back(names);
    } while (std::next_permutation(names.begin() + 1, names.end()));
    return found;
}

// What a scope lacks another has: each is as large as a few seconds allow.
std::vector<SearchScope> search_scopes() {
    std::vector<SearchScope> scopes;
    const auto add = [&scopes](std::string name) -> SearchScope& {
        return scopes.emplace_back(scope(std::move(name)));
    };
    add("elections, two messages a link").link = 2;
    add("elections and a proposal").proposals = 1;
    add("elections and a crash").crashes = 1;
    add("elections and a cut").cuts = 1;
    add("elections and a hand-over").transfers = 1;
    SearchScope& change = add("a change from 1 and 2 to 2 and 3");
    change.members = voters({1, 2});
    change.target = voters({2, 3});
    add("a change from three to 1 and 2").target = voters({1, 2});
    add("one slow disk").slow_disks = 1;
    if (std::getenv("QUORATE_SEARCH_WIDE") == nullptr) return scopes;

    SearchScope& both = add("elections, a proposal and a crash, two messages a link");
    both.proposals = both.crashes = 1;
    both.link = 2;
    SearchScope& later = add("three terms");
    later.terms = 3;
    SearchScope& crashed = add("a change from 1 and 2 to 2 and 3, two messages a link, a crash");
    crashed.members = voters({1, 2});
    crashed.target = voters({2, 3});
    crashed.link = 2;
    crashed.crashes = 1;
    add("two slow disks").slow_disks = 2;
    return scopes;
}

}  // namespace quorate::sim
