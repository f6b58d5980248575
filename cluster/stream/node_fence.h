// Whom a loop of a node still listens to: the highest term heard from each shard, and which
// incarnations are down. In memory; a shard keeps the same in its state (`Producers`).
//
// Everything that comes in a shard's name passes here in the loop, before it is queued to a socket:
// copies of publishes, deliveries, requests to let go.
//
// Pure. Thread: the loop's. Owner: the loop; one for all links. Errors: a verdict. Bounded by the
// number of shards and of nodes. Spec: rules R-0.
#pragma once

#include <algorithm>
#include <map>

#include "cluster/mutants.h"
#include "cluster/shard/command.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

class NodeFence {
  public:
    explicit NodeFence(uint32_t shards) : shards_(shards) {}

    // False: refuse(stale). An accepted term is the least from now on.
    [[nodiscard]] bool hear(const SourceFence& from) {
        if (from.source.value() >= shards_) return false;
        Term& heard = heard_[from.source];
        if (from.term < heard) return mutated(RuleMutant::NoTermFence);
        heard = from.term;
        return true;
    }
    // False: refuse(fenced).
    [[nodiscard]] bool up(Incarnation incarnation) const {
        const auto found = first_up_.find(node_of(incarnation));
        const bool down = found != first_up_.end() && incarnation < found->second;
        return !down || mutated(RuleMutant::NoIncarnationFence);
    }
    // It and all earlier incarnations of its node are down. Never taken back.
    void down(Incarnation incarnation) {
        Incarnation& first_up = first_up_[node_of(incarnation)];
        first_up = std::max(first_up, incarnation.next());
    }

  private:
    uint32_t shards_;
    std::map<ShardId, Term> heard_;
    std::map<NodeId, Incarnation> first_up_;
};

}  // namespace quorate::cluster
