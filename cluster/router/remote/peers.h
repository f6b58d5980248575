// What this node knows of the starts of all nodes, its own included: which of each runs, which are
// down, and how often a link to it has begun.
//
// Told by `meta`, as it is applied here, and by the links. Threads look at changes() once a turn; a
// change means that something has to be sent again, or will never be answered.
//
// Thread: any; news are rare and take a lock, as does all(). Owner: the Cluster. Errors: none.
// Bounded: one entry a node of `meta`. Spec: rules R-0 (incarnations), R-3, R-5 (resend).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>

#include "proto/base/ids.h"

namespace quorate::cluster {

struct Peer {
    Incarnation running;   // 0: none
    Incarnation first_up;  // lower ones are down, for ever
    uint64_t links = 0;    // begun so far, in both directions
    bool operator==(const Peer&) const = default;
};

using PeerMap = std::map<NodeId, Peer>;

// Known to be down; one that `meta` has not told of yet is not.
[[nodiscard]] inline bool is_down(const PeerMap& peers, Incarnation incarnation) {
    const auto found = peers.find(node_of(incarnation));
    return found != peers.end() && incarnation < found->second.first_up;
}

class Peers {
  public:
    void learn(NodeId node, Incarnation running, Incarnation first_up) {
        const std::lock_guard lock(mutex_);
        Peer& peer = peers_[node];
        if (peer.running == running && peer.first_up == first_up) return;
        peer.running = running;
        peer.first_up = first_up;
        changes_.fetch_add(1, std::memory_order_release);
    }
    // What was under way on an earlier one may be lost.
    void link_began(NodeId node) {
        const std::lock_guard lock(mutex_);
        ++peers_[node].links;
        changes_.fetch_add(1, std::memory_order_release);
    }
    [[nodiscard]] bool down(Incarnation incarnation) const {
        const std::lock_guard lock(mutex_);
        return is_down(peers_, incarnation);
    }
    [[nodiscard]] uint64_t changes() const { return changes_.load(std::memory_order_acquire); }
    [[nodiscard]] PeerMap all() const {
        const std::lock_guard lock(mutex_);
        return peers_;
    }

  private:
    mutable std::mutex mutex_;
    PeerMap peers_;  // guarded by mutex_
    std::atomic<uint64_t> changes_{0};
};

}  // namespace quorate::cluster
