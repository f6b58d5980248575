#include "tests/sim/raft/observers/read_checker.h"

#include <algorithm>

#include <fmt/format.h>

namespace quorate::sim {

std::string ReadChecker::asked(raft::ReadId id, LogIndex committed) {
    if (id <= last_) return fmt::format("R8: read {} after read {}", id.value(), last_.value());
    last_ = id;
    open_.push_back(Open{id, committed});
    return {};
}

std::string ReadChecker::answered(const raft::ReadState& read) {
    const auto found = std::ranges::find(open_, read.id, &Open::id);
    if (found == open_.end()) return fmt::format("R8: nobody asked for read {}", read.id.value());
    const LogIndex committed = found->committed;
    open_.erase(found);
    if (read.index >= committed) return {};
    return fmt::format("R8: read {} is answered with {}; {} was committed before", read.id.value(),
                       read.index.value(), committed.value());
}

void ReadChecker::failed(raft::ReadId id) {
    std::erase_if(open_, [id](const Open& read) { return read.id == id; });
}

void ReadChecker::clear() {
    open_.clear();
    last_ = raft::ReadId(0);
}

}  // namespace quorate::sim
