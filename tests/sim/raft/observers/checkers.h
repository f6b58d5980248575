// Observers of a simulated group: they see messages, disks, roles and what is applied, and know
// nothing of how a replica comes to them.
//
//   R1  at most one leader a term
//   R2  equal (index, term) means an equal prefix: the chained hash of each is written once
//   R3  what was committed is in the log of every leader of a later term, was held by a quorum of
//       disks when it was committed, and was committed by an entry of the leader's own term
//   R4  the same index is the same command and leads to the same state everywhere
//   R5  a promise leaves when what it rests on is durable; nothing is applied that is not
//   R6  a replica never forgets what it promised
//
// R7 is with membership_checker.h.
// *Thread*: one. *Owner*: RaftSimulation. *Errors*: the first violation is kept.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/raft/counters.h"
#include "tests/sim/raft/observers/membership_checker.h"
#include "tests/sim/raft/observers/replica_view.h"

namespace quorate::sim {

class RaftCheckers {
  public:
    explicit RaftCheckers(RaftCounts& counts) : counts_(counts) {}

    // The disk outlives the checkers, also when it is lost to its replica: what it once held was
    // held.
    void add(uint32_t replica, const SimDisk& disk) { members_.add(replica, disk); }
    // A life begins.
    void started(const ReplicaView& view);
    // An entry was handed out for writing, at the end of `view.log`.
    void handed_out(const ReplicaView& view, const ChainedEntry& entry);
    void sent(const ReplicaView& view, const raft::Message& message);
    // After each thing a replica did. `handed_out`: `view.log` is all of its log.
    void observe(const ReplicaView& view, bool handed_out);
    // A group begins with this configuration.
    void begin(const raft::Configuration& configuration) { members_.begin(configuration); }
    // A snapshot is whole at its receiver: what it says and what it holds.
    void received(const ReplicaView& view, const SimSnapshot& snapshot);
    // The log is cut: what it keeps as the configuration at its base.
    void cut(const ReplicaView& view, LogIndex index, const raft::Configuration& configuration);
    // `view.machine` has just applied an entry.
    void applied(const ReplicaView& view);

    [[nodiscard]] LogIndex committed() const { return LogIndex(committed_.size()); }
    [[nodiscard]] const std::string& violation() const { return violation_; }
    // Nothing for an empty text.
    void violate(std::string what);

  private:
    struct Seen {  // in the log of anybody
        Term term;
        uint64_t chain = 0;
        uint32_t next = 0;  // of the same index, plus one
    };
    struct Run {  // what was committed in one term ends here
        Term term;
        LogIndex last;
    };
    struct Promised {
        Term term;
        ReplicaId vote;     // in that term
        LogIndex accepted;  // in that term
    };
    struct Watched {
        LogIndex committed;
        Term led;
        Promised promised;
    };

    void check_leader(const ReplicaView& view);
    void check_commit(const ReplicaView& view);
    void check_same(const ReplicaView& view, const ChainedEntry& entry);
    void check_heartbeat(const ReplicaView& view, const raft::Message& message, LogIndex commit);
    void check_vote(const ReplicaView& view, const raft::Message& message,
                    const raft::RequestVoteReply& reply);
    void check_acceptance(const ReplicaView& view, const raft::Message& message, LogIndex index);
    [[nodiscard]] Promised& promise(uint32_t replica, Term term);

    RaftCounts& counts_;
    MembershipChecker members_;
    std::array<Watched, kReplicasEver> watched_{};
    std::vector<ReplicaId> leaders_;  // by term
    std::vector<uint32_t> heads_;     // by index: position in seen_ plus one
    std::vector<Seen> seen_;
    std::vector<LogMirror::Mark> committed_;  // by index - 1
    std::vector<Run> runs_;
    std::vector<uint64_t> digests_;  // by index; 0: nobody applied it
    std::string violation_;
};

}  // namespace quorate::sim
