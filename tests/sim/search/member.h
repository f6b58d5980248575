// One replica in one state of a search: the node, its disk, and what the disk was given.
//
// *Thread*: one. *Owner*: the worlds that share it; whoever changes one makes a copy first.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cluster/raft/raft_node.h"
#include "tests/sim/search/flight.h"
#include "tests/sim/search/scope.h"

namespace quorate::sim {

// What a rule finds: empty when it is kept.
using Finding = std::string;

struct MemberWrite {
    raft::PersistNumber number;
    std::optional<raft::SnapshotMeta> restored;
    std::optional<LogIndex> truncate_from;
    std::vector<raft::Entry> entries;
    std::optional<raft::HardState> hard;
    std::vector<raft::Message> messages_after;
};

struct MemberDisk {
    raft::HardState hard;
    EntryId base;
    raft::Configuration configuration;  // as of the base
    std::vector<raft::Entry> entries;
    EntryId flushed;  // what the state machine keeps in a crash

    // Null outside (base, last].
    [[nodiscard]] const raft::Entry* at(LogIndex index) const;
    [[nodiscard]] LogIndex last() const { return LogIndex(base.index.value() + entries.size()); }
    [[nodiscard]] bool holds(EntryId id) const;
    [[nodiscard]] raft::LogStart start() const;
    // *Errors*: R6: a term or a vote that goes back.
    [[nodiscard]] Finding make_durable(const MemberWrite& write);
};

// Reads the disk of whichever member is at work.
class MemberReader final : public raft::LogReader {
  public:
    [[nodiscard]] Result<std::vector<raft::Entry>> read(LogIndex from, LogIndex to,
                                                        std::size_t bytes_max) const override;
    const MemberDisk* disk = nullptr;
};

struct Member {
    std::optional<raft::RaftNode> node;
    MemberDisk disk;
    std::vector<MemberWrite> writes;
    EntryId applied;  // by the state machine
    Prints prints{};

    // Begins as the disk says. The reader outlives it.
    void start(uint32_t at, const SearchScope& scope, const MemberReader& reader);
    // The newest in the log, and that of the log up to an index, as handed out for writing.
    [[nodiscard]] raft::ConfigurationEntry configuration(LogIndex upto) const;
    // The disk counts as long as a crash can bring it back: otherwise the node knows all of it.
    void print(std::span<const Renaming> renamings, bool with_disk);
};

}  // namespace quorate::sim
