// A replica's log: the newest entries in memory, older ones behind a reader, and how far it is
// persisted, committed and applied.
//
//     base < ... applied <= committed ... last      stable <= last: what the disk holds
//                        `- handed out only up to min(committed, stable)
//
// Invariants: base <= applied <= min(committed, stable) <= last; terms never fall along the log;
// what is committed is never truncated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "cluster/raft/configuration.h"
#include "cluster/raft/messages.h"
#include "proto/base/result.h"

namespace quorate::raft {

// Entries that left memory. *Errors*: Corrupt or Io; the replica stops.
class LogReader {
  public:
    virtual ~LogReader() = default;
    // Entries in [from, to): at least one, then until their data exceeds `bytes_max`.
    [[nodiscard]] virtual Result<std::vector<Entry>> read(LogIndex from, LogIndex to,
                                                          std::size_t bytes_max) const = 0;
};

// Where a log stands when a replica starts.
struct LogStart {
    EntryId base;                      // the log begins after it
    EntryId last;                      // equals base when there is no entry
    std::vector<EntryId> term_starts;  // first entry of each run of equal terms
    LogIndex committed;                // the hard state's hint; capped to [applied, last]
    LogIndex applied;                  // what the state machine holds; at least base
    Configuration configuration{};     // as of `base`
    std::vector<ConfigurationEntry> configurations{};  // the entries of that kind after it
};

// *Thread*, *Owner*: the RaftNode. *Errors*: from the reader only.
class RaftLog {
  public:
    // Requires: base <= applied <= last. The reader outlives the log.
    RaftLog(const LogStart& start, const LogReader& reader, std::size_t memory_bytes_max);

    [[nodiscard]] EntryId base() const { return base_; }
    [[nodiscard]] EntryId last() const { return last_; }
    [[nodiscard]] LogIndex stable() const { return stable_; }
    [[nodiscard]] LogIndex committed() const { return committed_; }
    [[nodiscard]] LogIndex handed_out() const { return handed_out_; }
    [[nodiscard]] LogIndex applied() const { return applied_; }
    [[nodiscard]] std::size_t memory_bytes() const { return memory_bytes_; }

    // The term at an index of [base, last]; nothing outside. Never reads the disk.
    [[nodiscard]] std::optional<Term> term_at(LogIndex index) const;
    [[nodiscard]] bool matches(EntryId id) const { return term_at(id.index) == id.term; }
    // §3.6.1: whether a log that ends at `other` is at least as up-to-date as this one.
    [[nodiscard]] bool up_to_date(EntryId other) const;
    // The last position at or below `index` whose term is at most `term`: where a conflict can end.
    [[nodiscard]] EntryId conflict_hint(LogIndex index, Term term) const;

    // Requires: the entry follows last() and its term does not fall.
    void append(Entry entry);
    // Requires: committed < from <= last + 1.
    void truncate(LogIndex from);
    // Requires: index <= last. Never goes back.
    void commit_to(LogIndex index);
    // The disk holds everything up to here. Requires: index <= last. Never goes back except by
    // truncation.
    void stable_to(LogIndex index);
    // The state machine holds everything up to here. Requires: handed out. Lets go of memory.
    void applied_to(LogIndex index);
    // Requires: base <= id.index <= applied.
    void cut_to(EntryId id);

    // Nothing is left of the log but what a snapshot says: it begins and ends after `base`, which
    // counts as committed, applied and stable. Requires: committed < base.index.
    void restore(EntryId base);

    // The next entries to apply; remembers that they were handed out.
    [[nodiscard]] Result<std::vector<Entry>> take_committed(std::size_t bytes_max);
    [[nodiscard]] bool has_committed() const;
    // Entries in [from, last], at least one, then up to `bytes_max` of data.
    // Requires: base < from <= last.
    [[nodiscard]] Result<std::vector<Entry>> slice(LogIndex from, LogIndex to,
                                                   std::size_t bytes_max) const;

  private:
    [[nodiscard]] LogIndex first_in_memory() const;
    [[nodiscard]] LogIndex may_apply() const;
    void shrink_memory();

    const LogReader& reader_;
    const std::size_t memory_bytes_max_;
    EntryId base_;
    EntryId last_;
    LogIndex stable_;
    LogIndex committed_;
    LogIndex handed_out_;
    LogIndex applied_;
    std::vector<EntryId> term_starts_;
    std::deque<Entry> memory_;  // the newest entries, ending at last_
    std::size_t memory_bytes_ = 0;
};

}  // namespace quorate::raft
