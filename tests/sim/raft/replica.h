// One simulated replica: a RaftNode, its disk and its state machine, and what a holder does with
// Ready. The process ends at any time and at each named site, and begins again from the disk.
//
// *Thread*: one. *Owner*: RaftSimulation.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/raft/raft_node.h"
#include "tests/sim/raft/counters.h"
#include "tests/sim/raft/disk.h"
#include "tests/sim/raft/network.h"
#include "tests/sim/raft/observers/checkers.h"
#include "tests/sim/raft/observers/log_mirror.h"
#include "tests/sim/raft/observers/read_checker.h"
#include "tests/sim/raft/plan.h"

namespace quorate::sim {

// What replicas share.
struct SimWorld {
    SimWorld(const RaftPlan& drawn)
        : plan(drawn), network(drawn, queue), checkers(counts), random(drawn.seed) {}

    RaftPlan plan;
    Micros now = 0;
    SimQueue queue;
    SimNetwork network;
    RaftCounts counts;
    RaftCheckers checkers;
    Random random;                 // of the replicas
    std::vector<ReplicaId> known;  // allotted and not given back
    uint32_t sites_left = 0;  // named sites to pass before the next crash at one; 0: no crashes
};

class SimReplica {
  public:
    // A configuration without it makes a newcomer.
    SimReplica(uint32_t index, const raft::Configuration& configuration, SimWorld& world);

    // Reads the disk and begins.
    void start();
    // The process ends. It begins again after `down` of time; 0: never by itself.
    void crash(Micros down);

    void deliver(const raft::Message& message);
    void tick();
    void turn();
    void synced();
    // Stands still: what is for it waits, in order, until it goes on.
    void pause(Micros until);
    [[nodiscard]] bool paused() const { return running() && paused_until_ > world_.now; }
    void defer(const SimEvent& event) { deferred_.push_back(event); }
    void resume();
    // Now, whatever was said.
    void end_pause();
    // The sync under way takes no longer.
    void end_stall();
    // Flushes the state machine and cuts the log.
    void keep();
    // What was received of a snapshot is durable, beside what is in force.
    void restore(uint32_t stage);
    // False when it does not lead.
    bool propose(SharedBytes command);
    // Requires: leads().
    void change(const raft::Configuration& target);
    // Asks for a linearizable read; false when it cannot be asked here.
    bool read();
    [[nodiscard]] std::size_t open_reads() const { return reads_.open(); }
    // Requires: leads().
    void transfer(ReplicaId to);
    // Whether the leader's node can be heard; a quiescent replica must be told when it cannot.
    void leader_heard(bool heard);
    // The disk has no room, or has it again: what would grow the log is not taken, and somebody
    // else is to lead.
    void fill(bool full);
    // Its clock jumps ahead, stands still as one does that jumped back, or goes at another speed.
    void step_clock();
    void end_clock_steps() { stands_until_ = 0; }
    // The process ends, and what begins again after `down` finds the log corrupted: it takes no
    // part any more. The others replace it by a learner with another name.
    void corrupt(Micros down);
    // For ever: its disk is lost, or nobody needs it any more.
    void go();
    // The mistake that `go` is there to avoid.
    void forget(bool everything);
    [[nodiscard]] bool gone() const { return gone_; }
    void set_known(const std::vector<ReplicaId>& known);

    [[nodiscard]] ReplicaId id() const { return ReplicaId(index_ + 1); }
    [[nodiscard]] bool running() const { return node_ != nullptr; }
    [[nodiscard]] uint64_t life() const { return life_; }
    [[nodiscard]] bool leads() const { return running() && node_->role() == raft::Role::Leader; }
    // Requires: running().
    [[nodiscard]] const raft::RaftNode& node() const { return *node_; }
    [[nodiscard]] const SimDisk& disk() const { return disk_; }
    [[nodiscard]] const MachineState& machine() const { return machine_; }
    [[nodiscard]] const LogMirror& log() const { return log_; }

  private:
    [[nodiscard]] ReplicaView view() const {
        return ReplicaView{index_, *node_, disk_, log_, machine_};
    }
    [[nodiscard]] bool crashes_at(RaftCount site);
    [[nodiscard]] bool refuses(const raft::Message& message) const;
    void leave_full_disk();
    void notice_corruption();
    void draw_speed();
    // False when the process ended on the way.
    bool carry_out(raft::Ready& ready);
    void write(raft::Ready& ready);
    [[nodiscard]] bool carry_snapshots(const raft::Ready& ready);
    void read_chunk(const raft::SnapshotRequest& request);
    void receive(const raft::SnapshotPart& part);
    bool apply(const std::vector<raft::Entry>& committed);
    void post(std::vector<raft::Message>& messages);
    void act();
    void begin_sync();
    void schedule(SimEventKind kind, Micros after);

    const uint32_t index_;
    SimWorld& world_;
    Micros tick_us_;
    SimDisk disk_;
    LogMirror log_;
    MachineState machine_;
    std::unique_ptr<raft::RaftNode> node_;  // null: the process is down
    uint64_t life_ = 0;
    std::size_t syncing_ = 0;  // writes that the sync under way covers
    bool turn_due_ = false;
    ReadChecker reads_;
    std::map<raft::TransferId, std::pair<raft::SnapshotMeta, std::string>> sources_;
    std::string received_;                 // of a snapshot, not yet whole
    std::optional<SimSnapshot> staged_;    // whole, not yet restored
    std::optional<SimSnapshot> restored_;  // not yet written
    uint32_t stages_ = 0;                  // voids what a newer one replaced
    uint32_t restoring_ = 0;               // writes of restored state under way
    uint32_t silent_ticks_ = 0;            // of the leader's node, while quiescent
    bool gone_ = false;
    std::optional<SimDisk> corrupted_;  // what a start finds; observers know what was promised
    bool full_ = false;
    uint32_t patience_ = 0;  // ticks until a full disk hands over again
    uint32_t priority_ = raft::kNormalPriority;
    Micros stands_until_ = 0;  // its clock
    Micros paused_until_ = 0;
    std::vector<SimEvent> deferred_;
};

}  // namespace quorate::sim
