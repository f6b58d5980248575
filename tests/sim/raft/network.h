// The network between simulated replicas, and the queue of everything that is to happen, ordered by
// (virtual time, insertion number).
//
// Each direction of each pair is a link of its own: it delays, loses, doubles, reorders, delivers
// very late, breaks (an unknown suffix of what is under way is lost) and can be cut. *Thread*: one.
// *Owner*: RaftSimulation.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cluster/raft/messages.h"
#include "tests/sim/raft/observers/replica_view.h"
#include "tests/sim/raft/plan.h"

namespace quorate::sim {

enum class SimEventKind : uint8_t {
    Deliver,
    Tick,
    Sync,     // the disk has written what it was given
    Turn,     // a replica acts on what it was told
    Keep,     // housekeeping: flush and cut
    Restore,  // what was received of a snapshot is durable; the argument says which
    Restart,  // after a crash
    Resume,   // after a pause
    Propose,
    Read,
    Change,
    Transfer,
    Partition,
    Heal,
    Break,
    Pause,
    Crash,
    DiskLoss,
    Corrupt,
    Fill,
    Empty,  // a full disk has room again
    ClockStep,
    Stranger,
};

struct SimEvent {
    Micros time = 0;
    uint64_t order = 0;
    uint64_t life = 0;      // of the replica that it is for; another one's is void
    uint32_t argument = 0;  // Deliver: the message's slot
    SimEventKind kind = SimEventKind::Tick;
    uint8_t replica = 0;  // index, not id
};

class SimQueue {
  public:
    void push(SimEvent event);
    [[nodiscard]] SimEvent pop();
    [[nodiscard]] bool empty() const { return events_.empty(); }

  private:
    std::vector<SimEvent> events_;  // a binary heap
    uint64_t order_ = 0;
};

class SimNetwork {
  public:
    SimNetwork(const RaftPlan& plan, SimQueue& queue);

    // Takes a message that leaves now. Unknown receivers hear nothing.
    void send(raft::Message message, Micros now);
    // What arrives, or nothing because it was lost on the way. Frees its place.
    [[nodiscard]] bool receive(uint32_t slot, raft::Message& out);

    void cut(uint32_t from, uint32_t to) { cut_[from] |= uint64_t{1} << to; }
    [[nodiscard]] bool is_cut(uint32_t from, uint32_t to) const {
        return (cut_[from] >> to & 1) != 0;
    }
    void cut_both(uint32_t one, uint32_t other);
    void heal() { cut_.fill(0); }
    // Part of what is under way from one to the other is lost.
    void break_link(uint32_t from, uint32_t to);
    // No loss, no doubles, nothing late from now on.
    void calm();

    [[nodiscard]] uint64_t lost() const { return lost_; }
    [[nodiscard]] uint64_t late_transfers() const { return late_transfers_; }

  private:
    struct Flight {
        raft::Message message;
        uint32_t number = 0;  // on its link
    };
    struct Wire {
        Micros last_arrival = 0;
        uint32_t next = 0;         // number of the next message
        uint32_t lost_before = 0;  // [lost_from, lost_before) never arrives
        uint32_t lost_from = 0;
    };

    void launch(raft::Message message, Micros now);
    [[nodiscard]] Wire& wire(uint32_t from, uint32_t to) {
        return wires_[from * kReplicasEver + to];
    }

    RaftPlan plan_;
    SimQueue& queue_;
    Random random_;
    std::vector<Flight> flights_;
    std::vector<uint32_t> free_;
    std::vector<Wire> wires_;
    std::array<uint64_t, kReplicasEver> cut_{};
    uint64_t lost_ = 0;
    uint64_t late_transfers_ = 0;
};

}  // namespace quorate::sim
