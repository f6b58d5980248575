// Who allots replicas: changes the membership through whoever leads, lets those begin anew that
// lost what they had promised, and empties the disks of those that nobody needs any more.
//
// A replica that is removed or replaced never comes back under its name. *Thread*: one.
// *Owner*: the simulation.
#pragma once

#include <array>
#include <cstdint>
#include <set>

#include "tests/sim/replicated/replica.h"

namespace quorate::sim::replicated {

class Placement {
  public:
    Placement(Stage& stage, Checkers& checkers, Replicas& replicas);

    // The first replicas, and the first change.
    void begin();
    // One step: newcomers become learners, learners that have caught up become voters.
    void change();
    // This one takes no part: that is an error unless its disk is lost. It is rebuilt later.
    void stopped(uint32_t node);
    void rebuild(uint32_t node);
    // Its disk is empty from now on; another replica begins there later.
    void empty_disk(uint32_t node);
    // No changes from now on.
    void end() { over_ = true; }

    // Whether of every configuration that may be in force a majority of voters is on these nodes,
    // a bit each, with disks that are not lost.
    [[nodiscard]] bool enough(uint64_t nodes) const;
    // Whether the group lives on when this one loses its disk, too.
    [[nodiscard]] bool may_lose(uint32_t node) const;
    // A crash would make it one that is lost.
    [[nodiscard]] bool at_risk(uint32_t node) const { return checkers_.mark_of_another(node); }
    // A bit for each whose replica takes part.
    [[nodiscard]] uint64_t present() const;

  private:
    [[nodiscard]] Replica* leader() const;
    [[nodiscard]] ReplicaId here(uint32_t node) const;
    void retire(uint32_t node);
    void begin_newcomer(uint32_t node);
    void plan_rebuild(uint32_t node);
    void tell_known();
    void retire_unneeded();
    void choose_goal();
    [[nodiscard]] bool ready_to_vote(const Replica& leads, const raft::Configuration& now) const;
    void ask(Replica& leads, const raft::Configuration& target);

    Stage& stage_;
    Checkers& checkers_;
    Replicas& replicas_;
    Random random_;
    std::set<uint32_t> goal_;  // nodes that are to vote
    std::array<bool, kReplicasMax> rebuilding_{};
    std::array<uint32_t, kReplicasMax> anew_in_life_{};  // in which process it began anew last
    bool over_ = false;
};

}  // namespace quorate::sim::replicated
