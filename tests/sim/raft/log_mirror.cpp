#include "tests/sim/raft/log_mirror.h"

namespace quorate::sim {

void LogMirror::start(const SimDisk& disk) {
    restart(disk.base(), disk.base_chain());
    for (const ChainedEntry& stored : disk.entries()) {
        marks_.push_back(Mark{stored.entry.id.term, stored.chain});
    }
}

void LogMirror::restart(EntryId base, uint64_t chain) {
    base_ = base.index;
    base_mark_ = Mark{base.term, chain};
    marks_.clear();
}

void LogMirror::truncate(LogIndex from) {
    while (last() >= from && !marks_.empty()) {
        marks_.pop_back();
    }
}

ChainedEntry LogMirror::append(const raft::Entry& entry) {
    const uint64_t chain = chain_after(back().chain, entry);
    marks_.push_back(Mark{entry.id.term, chain});
    return ChainedEntry{entry, chain};
}

void LogMirror::cut(LogIndex index) {
    while (base_ < index && !marks_.empty()) {
        base_mark_ = marks_.front();
        ++base_;
        marks_.pop_front();
    }
}

const LogMirror::Mark* LogMirror::at(LogIndex index) const {
    if (index == base_) return &base_mark_;
    if (index < base_ || index > last()) return nullptr;
    return &marks_[index.value() - base_.value() - 1];
}

}  // namespace quorate::sim
