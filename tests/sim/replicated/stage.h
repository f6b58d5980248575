// What everything on the stage of one run shares: time, wires, what is under way, who was declared
// down, what the clients think, and what is counted.
//
// *Thread*: one. *Owner*: the simulation. *Errors*: the first violation is kept.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "cluster/raft/messages.h"
#include "cluster/router/traffic.h"
#include "cluster/shard/actions.h"
#include "tests/sim/kernel/event_queue.h"
#include "tests/sim/kernel/wires.h"
#include "tests/sim/replicated/counters.h"
#include "tests/sim/replicated/plan.h"
#include "tests/sim/shard_world.h"

namespace quorate::sim::replicated {

// Nodes of the network: replicas first, then front-ends.
constexpr uint32_t kReplicasMax = 12;
constexpr uint32_t kFrontsMax = 3;
constexpr uint32_t kNodes = kReplicasMax + kFrontsMax;
[[nodiscard]] inline uint32_t front_node(uint32_t front) {
    return kReplicasMax + front;
}
// The process of a replica as a producer of commands; front-ends are nodes 1, 2, ... (ShardWorld).
[[nodiscard]] inline Incarnation replica_incarnation(uint32_t replica, uint32_t life) {
    return make_incarnation(NodeId(100 + replica), life);
}

enum class EventKind : uint8_t {
    Deliver,
    Turn,  // a replica looks at what it was told
    Poll,  // its timer
    Sync,  // its disk has written what it was given
    Flush,
    Flushed,  // what a group asked for
    Mark,
    Restart,
    Step,      // the clients of a front-end do something
    Suspect,   // a front-end has been silent for too long
    Straggle,  // what is left of a front-end that was declared down speaks once more
    Partition,
    Heal,
    Break,
    Pause,
    Change,   // a step of a change of the membership
    Rebuild,  // a replica that takes no part begins anew
    Crash,
    FrontCrash,
    Fill,
    Empty,
    Awake,  // a process that stood still goes on
};
[[nodiscard]] const char* to_string(EventKind kind);

struct Event {
    EventKind kind = EventKind::Poll;
    uint8_t node = 0;
    uint8_t from = 0;
    uint32_t life = 0;    // of the node that it is for; another one's is void
    uint32_t slot = 0;    // Deliver: the packet's
    uint32_t number = 0;  // Deliver: on its wire; Heal: of the partition
};

// Commands of lanes for the leader.
struct CommandPacket {
    cluster::CommandParcel parcel;
};
// What a leader lets out after it was applied.
struct AnswerPacket {
    Term term;
    std::vector<cluster::Answer> answers;
    std::vector<ClusterTime> at;  // when each was applied
};
struct LetGoPacket {
    cluster::LetGo request;
};
// Whoever hears it knows a leader.
struct LeaderPacket {
    Term term;
};
using Packet = std::variant<raft::Message, CommandPacket, AnswerPacket, LetGoPacket, LeaderPacket>;

class Stage {
  public:
    explicit Stage(const Plan& plan);

    void at(Micros time, const Event& event) { queue.push(time, event); }
    void after(Micros delay, Event event) { queue.push(now + delay, event); }
    // To itself without a wire.
    void send(uint32_t from, uint32_t to, Packet packet);
    // Takes what is due out of its place. False when it does not arrive.
    [[nodiscard]] bool receive(const Event& event, Packet& out);

    // The node stands still until then: what is for it waits.
    void stand_still(uint32_t node, Micros until) { asleep_until_[node] = until; }
    [[nodiscard]] bool asleep(uint32_t node) const { return asleep_until_[node] > now; }
    void keep_for(uint32_t node, const Event& event);
    void awake(uint32_t node);

    // A name for a replica on this node; never used before.
    [[nodiscard]] ReplicaId allot(uint32_t node);
    // That name is nobody's any more.
    void retire(ReplicaId replica) { std::erase(known, replica); }
    // Nothing for a name that was never allotted.
    [[nodiscard]] std::optional<uint32_t> node_of_replica(ReplicaId replica) const;

    void violate(const std::string& what) {
        if (violation.empty()) violation = what;
    }
    [[nodiscard]] bool broken() const { return !violation.empty(); }
    void mix(uint64_t value) {
        hash = (hash ^ value) * 0xBF58476D1CE4E5B9ULL;
        hash ^= hash >> 29;
    }
    [[nodiscard]] bool tracing() const { return trace != nullptr; }
    void note(const std::string& line);

    // Nothing of this incarnation is waited for any more; its end is to be committed.
    void declare_down(Incarnation incarnation);
    void fenced(Incarnation incarnation);
    // Was declared, whether or not that is committed.
    [[nodiscard]] bool is_down(Incarnation incarnation) const;

    Plan plan;
    Micros now = 0;
    EventQueue<Event> queue;
    Wires wires;
    Counts counts;
    ShardWorld world;
    Random random;
    std::function<void(const std::string&)> trace;
    std::set<Incarnation> down;    // declared, and not yet committed
    std::vector<ReplicaId> known;  // names in use
    // Who led last, as an omniscient observer sees it.
    Term newest_term;
    uint32_t newest_leader = 0;
    uint64_t leader_time = 0;
    std::array<LogIndex, kReplicasMax> flushed{};  // up to here the state needs no log any more
    uint64_t hash = 0;
    std::string violation;

  private:
    std::vector<uint32_t> nodes_of_;  // by name
    std::map<NodeId, Incarnation> down_up_to_;
    std::array<std::vector<Event>, kNodes> asleep_;
    std::array<Micros, kNodes> asleep_until_{};
    std::vector<Packet> packets_;
    std::vector<uint32_t> free_;
};

}  // namespace quorate::sim::replicated
