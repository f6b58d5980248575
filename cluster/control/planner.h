// Which commands `meta` needs next, so that groups get to where they belong: run by its leader.
//
// From the state to the next step, never the whole way: a group gets a new target when it has
// reached the last one, a bounded number of groups moves at a time, and no target drops a majority
// of the voters a group is configured with (but a single one, whose successor holds everything
// before it takes over). A node that is down keeps its replicas for `replace_after`, and is never
// the reason for fewer copies. A node on its way out keeps `meta` and `wildcards`, which it needs
// to serve, until it holds nothing else.
//
// How it is driven: `begin` when this node becomes the leader of `meta`, then `plan` after each
// applied entry and once a second; what it answers is proposed. Nothing is remembered but since
// when nodes are down, so commands that were lost come again, and those that come twice are Stale.
//
// Pure; time is an argument, any monotonic clock. Thread: the worker of `meta`. Owner: its runner.
// Errors: none. Spec: design §6 (Join, drain, leave), rules "Voters", R-8.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "cluster/meta/meta_state.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

struct PlannerOptions {
    std::chrono::nanoseconds replace_after = std::chrono::minutes(10);
    uint32_t moves_max = 4;           // groups whose voters change at a time
    uint32_t moves_per_node_max = 2;  // of these, to the same node
    std::size_t commands_max = 64;    // of one plan
};

class Planner {
  public:
    explicit Planner(const PlannerOptions& options = {}) : options_(options) {}

    void begin();
    [[nodiscard]] std::vector<MetaCommandBody> plan(const MetaState& state,
                                                    std::chrono::nanoseconds now);

  private:
    using Nodes = std::vector<NodeId>;
    // Moves under way, as far as they are planned.
    struct Traffic {
        uint32_t moves = 0;
        std::map<NodeId, uint32_t> to;
    };
    struct Draft {
        Nodes voters;
        Nodes learners;
    };

    void note_down(const MetaState& state, std::chrono::nanoseconds now);
    // It is not to lose what it has: it stays, and is not down for too long.
    [[nodiscard]] bool keeps(NodeId id) const;
    [[nodiscard]] bool dead(NodeId id) const;
    [[nodiscard]] Nodes wanted_of_shard(GroupId id, const Nodes& base) const;
    [[nodiscard]] Nodes wanted_everywhere(GroupId id, const Nodes& base) const;
    [[nodiscard]] Nodes learners_everywhere(const Nodes& voters) const;
    [[nodiscard]] Nodes step(GroupId id, const Nodes& base, const Nodes& wanted) const;
    [[nodiscard]] bool stuck(const MetaGroup& group) const;
    [[nodiscard]] bool holds_shard(NodeId id) const;
    void count_moves();
    void draft_voters(GroupId id, const MetaGroup& group, bool repairs);
    void draft_leaders();

    PlannerOptions options_;
    std::map<NodeId, std::chrono::nanoseconds> down_since_;

    // Of the plan being made.
    const MetaState* state_ = nullptr;
    std::chrono::nanoseconds now_{};
    Traffic traffic_;
    std::map<GroupId, Draft> drafts_;
};

}  // namespace quorate::cluster
