// The log of one replica as it was handed out for writing: terms, hashes of the prefixes, and the
// configurations. What an observer may know of a log without asking the code under test.
//
// *Thread*: one. *Owner*: SimReplica.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "tests/sim/raft/disk.h"

namespace quorate::sim {

class LogMirror {
  public:
    struct Mark {
        Term term;
        uint64_t chain = 0;
    };

    // Begins as what the disk holds.
    void start(const SimDisk& disk);
    // The log is nothing but what a snapshot stands for.
    void restart(EntryId base, uint64_t chain, const raft::Configuration& configuration);
    // Returns how many configurations that undid.
    std::size_t truncate(LogIndex from);
    // Returns the entry with its chain. Requires: it follows last().
    [[nodiscard]] ChainedEntry append(const raft::Entry& entry);
    void cut(LogIndex index);

    [[nodiscard]] EntryId base() const { return EntryId{base_, base_mark_.term}; }
    [[nodiscard]] LogIndex last() const { return LogIndex(base_.value() + marks_.size()); }
    [[nodiscard]] const Mark& back() const { return marks_.empty() ? base_mark_ : marks_.back(); }
    // Null outside [base, last].
    [[nodiscard]] const Mark* at(LogIndex index) const;

    // The newest in the log.
    [[nodiscard]] const raft::ConfigurationEntry& latest() const { return changes_.back(); }
    // As of a log that ends at `index`. Requires: index >= base.
    [[nodiscard]] const raft::ConfigurationEntry& change_at(LogIndex index) const;
    // The first is that of the base.
    [[nodiscard]] const std::vector<raft::ConfigurationEntry>& changes() const { return changes_; }

  private:
    LogIndex base_;
    Mark base_mark_;
    std::deque<Mark> marks_;
    std::vector<raft::ConfigurationEntry> changes_{1};
};

}  // namespace quorate::sim
