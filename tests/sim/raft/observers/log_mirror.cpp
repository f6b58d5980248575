#include "tests/sim/raft/observers/log_mirror.h"

namespace quorate::sim {

void LogMirror::start(const SimDisk& disk) {
    restart(disk.base(), disk.base_chain(), disk.configuration());
    for (const ChainedEntry& stored : disk.entries()) {
        (void)append(stored.entry);
    }
}

void LogMirror::restart(EntryId base, uint64_t chain, const raft::Configuration& configuration) {
    base_ = base.index;
    base_mark_ = Mark{base.term, chain};
    marks_.clear();
    changes_.clear();
    changes_.push_back({base.index, configuration});
}

std::size_t LogMirror::truncate(LogIndex from) {
    while (last() >= from && !marks_.empty()) {
        marks_.pop_back();
    }
    const std::size_t before = changes_.size();
    while (changes_.size() > 1 && changes_.back().index >= from) {
        changes_.pop_back();
    }
    return before - changes_.size();
}

ChainedEntry LogMirror::append(const raft::Entry& entry) {
    const uint64_t chain = chain_after(back().chain, entry);
    marks_.push_back(Mark{entry.id.term, chain});
    if (entry.kind == raft::EntryKind::Configuration) {
        const auto configuration = raft::decode_configuration(entry.data.text());
        if (configuration) changes_.push_back({entry.id.index, *configuration});
    }
    return ChainedEntry{entry, chain};
}

void LogMirror::cut(LogIndex index) {
    const raft::Configuration configuration = change_at(index).configuration;
    while (base_ < index && !marks_.empty()) {
        base_mark_ = marks_.front();
        ++base_;
        marks_.pop_front();
    }
    std::erase_if(changes_, [&](const auto& change) { return change.index <= index; });
    changes_.insert(changes_.begin(), {base_, configuration});
}

const LogMirror::Mark* LogMirror::at(LogIndex index) const {
    if (index == base_) return &base_mark_;
    if (index < base_ || index > last()) return nullptr;
    return &marks_[index.value() - base_.value() - 1];
}

const raft::ConfigurationEntry& LogMirror::change_at(LogIndex index) const {
    std::size_t at = changes_.size() - 1;
    while (at > 0 && changes_[at].index > index) {
        --at;
    }
    return changes_[at];
}

}  // namespace quorate::sim
