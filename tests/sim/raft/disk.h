// The simulated disk of one replica: what is durable, what was given to it and is not yet, and
// which of the latter a crash keeps.
//
// A write is atomic (the real log store writes one checksummed record) and writes become durable in
// order, so a crash keeps a prefix of them, whether or not anybody was told. The state machine lies
// beside the log and is durable as of its last flush. *Thread*: one. *Owner*: SimReplica.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/raft/raft_log.h"
#include "cluster/raft/ready.h"
#include "proto/base/environment.h"

namespace quorate::sim {

// An entry with the hash of the log up to and including it: equal hashes mean equal prefixes.
struct ChainedEntry {
    raft::Entry entry;
    uint64_t chain = 0;
};
[[nodiscard]] uint64_t chain_after(uint64_t chain, const raft::Entry& entry);

// All that the replicated state machine knows: what it applied, hashed in order.
struct MachineState {
    EntryId applied;
    uint64_t chain = 0;   // of the log up to `applied`
    uint64_t digest = 0;  // of the commands
};

// The state machine as it travels: padded, so that it takes some chunks.
[[nodiscard]] std::string encode(const MachineState& state, std::size_t bytes);
[[nodiscard]] MachineState decode_machine(std::string_view bytes);

// A snapshot as of `meta.last`.
struct SimSnapshot {
    raft::SnapshotMeta meta;
    MachineState state;
};

struct SimWrite {
    raft::PersistNumber number;  // 0: nobody is told
    std::optional<SimSnapshot> restored;
    std::optional<LogIndex> truncate_from;
    std::vector<ChainedEntry> entries;
    std::optional<raft::HardState> hard_state;
    LogIndex cut;                                      // 0: none
    std::optional<raft::Configuration> configuration;  // as of the cut
    std::vector<raft::Message> messages_after;
};

class SimDisk final : public raft::LogReader {
  public:
    // Of a replica that begins with this configuration and an empty log.
    explicit SimDisk(raft::Configuration configuration)
        : configuration_(std::move(configuration)) {}

    [[nodiscard]] Result<std::vector<raft::Entry>> read(LogIndex from, LogIndex to,
                                                        std::size_t bytes_max) const override;

    void write(SimWrite write) { pending_.push_back(std::move(write)); }
    [[nodiscard]] std::size_t pending() const { return pending_.size(); }
    // The oldest write is durable. Requires: pending() > 0.
    [[nodiscard]] SimWrite complete();
    // A power loss: some of the pending writes are durable after all, the others never were.
    // Returns how many.
    std::size_t crash(Random& random);
    // Notes how far the log is known to be durable: in a second file, now and then.
    void write_mark();
    // Corruption of what the mark speaks of: entries or the vote are gone, or an entry is another.
    void corrupt(Random& random);
    // What the log lacks of what the mark promises, or where it does not continue itself. Empty: it
    // is sound.
    [[nodiscard]] std::string amnesia() const;
    // Corruption: the newest entries and the vote are gone, or all there was.
    void forget(Random& random, bool everything);
    void flush(const MachineState& state) { flushed_ = state; }

    [[nodiscard]] const raft::HardState& hard_state() const { return hard_state_; }
    [[nodiscard]] EntryId base() const { return base_; }
    [[nodiscard]] uint64_t base_chain() const { return base_chain_; }
    // As of the base.
    [[nodiscard]] const raft::Configuration& configuration() const { return configuration_; }
    [[nodiscard]] EntryId last() const;
    [[nodiscard]] const MachineState& flushed() const { return flushed_; }
    [[nodiscard]] const std::deque<ChainedEntry>& entries() const { return entries_; }
    // Nothing outside (base, last].
    [[nodiscard]] const ChainedEntry* at(LogIndex index) const;
    [[nodiscard]] raft::LogStart start() const;

  private:
    void make_durable(const SimWrite& write);

    struct Mark {
        LogIndex last;
        uint64_t chain = 0;
        uint64_t truncations = 0;
        Term term;
    };

    raft::HardState hard_state_;
    EntryId base_;
    uint64_t base_chain_ = 0;
    raft::Configuration configuration_;
    std::deque<ChainedEntry> entries_;
    MachineState flushed_;
    uint64_t truncations_ = 0;
    Mark mark_;
    std::deque<SimWrite> pending_;
};

}  // namespace quorate::sim
