// R7, and what depends on who counts: the membership of a simulated group, observed from logs.
//
//   a change is joint, one is in flight, only after an entry of the leader's term is committed;
//   it is in force when appended and undone when truncated;
//   an uncommitted one is in no snapshot;
//   nobody campaigns who is a voter only by an uncommitted change;
//   what is committed is on the disks of a quorum of each half, and so are a leader's votes.
//
// *Thread*: one. *Owner*: RaftCheckers.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "tests/sim/raft/disk.h"
#include "tests/sim/raft/observers/log_mirror.h"
#include "tests/sim/raft/observers/replica_view.h"

namespace quorate::sim {

// Whether `holds(ReplicaId)` for a majority of each half. Not that of Configuration, which is under
// test.
template <typename Holds>
[[nodiscard]] bool quorum_of(const raft::Configuration& configuration, const Holds& holds) {
    const auto majority = [&](const std::vector<ReplicaId>& voters) {
        const auto count = std::count_if(voters.begin(), voters.end(), holds);
        return 2 * static_cast<std::size_t>(count) > voters.size();
    };
    return majority(configuration.voters) &&
           (configuration.outgoing.empty() || majority(configuration.outgoing));
}

// What a rule finds: empty when it is kept.
using Finding = std::string;

class MembershipChecker {
  public:
    // The disk outlives the checker.
    void add(uint32_t replica, const SimDisk& disk) { disks_[replica] = &disk; }

    // A leader appended the newest configuration of its log; `own_term_committed` says whether any
    // entry of its term was committed before, `committed` how far everybody is at most.
    [[nodiscard]] Finding appended(const ReplicaView& view, bool own_term_committed,
                                   LogIndex committed) const;
    // The log was handed out whole: is its newest configuration in force?
    [[nodiscard]] Finding in_force(const ReplicaView& view) const;
    [[nodiscard]] Finding campaigns(const ReplicaView& view) const;
    // §3.10: to one who holds everything.
    [[nodiscard]] Finding transfers(const ReplicaView& view, ReplicaId to) const;
    // A new leader; its log is handed out but for the entry that opens its term.
    [[nodiscard]] Finding elected(const ReplicaView& view) const;
    [[nodiscard]] Finding committed(const ReplicaView& view, LogIndex index) const;
    void begin(const raft::Configuration& configuration) {
        committed_changes_ = {{LogIndex(0), configuration}};
    }
    // The first to commit it says so.
    void committed_change(const raft::ConfigurationEntry& change);
    // What a snapshot or a cut as of `index` carries.
    [[nodiscard]] Finding in_snapshot(const ReplicaView& view, LogIndex index,
                                      const raft::Configuration& configuration) const;
    // Whether the disk of a replica holds, or held before it was cut, this entry.
    [[nodiscard]] bool held(uint32_t replica, LogIndex index, uint64_t chain) const;
    [[nodiscard]] const SimDisk* disk(ReplicaId id) const;

  private:
    std::array<const SimDisk*, kReplicasEver> disks_{};
    std::vector<raft::ConfigurationEntry> committed_changes_;
};

}  // namespace quorate::sim
