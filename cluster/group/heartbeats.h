// What the groups of two nodes say to each other all the time, in one message per node, and which
// nodes have fallen silent.
//
// Groups hand in their heartbeats and answers; per peer they leave together, each once: a newer one
// of a group to the same replica takes the place of an older one. A peer from which nothing came
// for an election timeout is silent: the quiescent groups that it leads have to be woken, since
// nobody else would notice. *Thread*: one at a time. *Owner*: whoever carries the messages.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "cluster/raft/messages.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// A Heartbeat or HeartbeatReply of one group.
struct GroupBeat {
    GroupId group;
    raft::Message message;
};

class Heartbeats {
  public:
    // A peer is silent after so many ticks without a message. Requires: not 0.
    explicit Heartbeats(uint32_t silent_ticks) : silent_ticks_(silent_ticks) {}

    // Nodes to talk to; others are forgotten. A new one counts as just heard.
    void set_peers(const std::vector<NodeId>& peers);

    // False, and nothing is kept, for a message that does not wait (anything but a heartbeat and
    // its answer), or to a node that is no peer.
    bool add(NodeId to, GroupId group, const raft::Message& message);
    // What is to leave now, by peer: one message each. A peer without beats gets an empty one, at
    // least each `silent_ticks / 4`, so that it hears of this node at all.
    [[nodiscard]] std::map<NodeId, std::vector<GroupBeat>> take();

    // Anything came from this node.
    void heard(NodeId from);
    // Moves time on. The peers that just became silent, each once until it is heard again.
    [[nodiscard]] std::vector<NodeId> tick();
    [[nodiscard]] bool silent(NodeId peer) const;

  private:
    struct Key {
        GroupId group;
        ReplicaId to;
        bool reply = false;
        auto operator<=>(const Key&) const = default;
    };
    struct Peer {
        std::map<Key, raft::Message> beats;
        uint32_t ticks_unheard = 0;
        uint32_t ticks_unsent = 0;
    };

    const uint32_t silent_ticks_;
    std::map<NodeId, Peer> peers_;
};

}  // namespace quorate::cluster
