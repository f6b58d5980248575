// The state machine of the `wildcards` group: routes of filters that no single shard owns, held by
// every node. It takes the shard's commands Route, NodeDown, Void and Tick, by lanes and with
// fences like a shard does, and refuses all others.
//
// Thread: the group's worker; loops read copies of the table that its owner publishes.
// Owner: the StateMachine around it. Errors: as ShardState.
// Spec: rules, R-10 (the lease is its owner's).
#pragma once

#include <cstdint>
#include <string_view>

#include "cluster/shard/actions.h"
#include "cluster/shard/command.h"
#include "cluster/shard/producers.h"
#include "cluster/topics/route_table.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace quorate::storage {
class StateBatch;
class StateStore;
}  // namespace quorate::storage

namespace quorate::cluster {

class WildcardState {
  public:
    // Routes a NodeDown removes at most; Actions::work_left asks for another one.
    explicit WildcardState(uint32_t step_limit) : step_limit_(step_limit) {}

    // Forgets what it held before: a snapshot replaces a follower's state.
    [[nodiscard]] Status load(const storage::StateStore& store);
    // As ShardState: fails only for bytes that are no command; call end_entry() after each entry.
    Status apply(std::string_view command, storage::StateBatch& batch, Actions& actions);
    void end_entry(storage::StateBatch& batch) { producers_.end_entry(batch); }

    [[nodiscard]] const RouteTable& routes() const { return routes_; }
    [[nodiscard]] uint64_t digest() const;

  private:
    [[nodiscard]] AnswerCode route(const Route& body, storage::StateBatch& batch, Actions& actions);
    void node_down(Incarnation incarnation, storage::StateBatch& batch, Actions& actions);

    uint32_t step_limit_;
    Producers producers_;
    RouteTable routes_;
};

}  // namespace quorate::cluster
