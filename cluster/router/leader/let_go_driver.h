// The leader's end of a takeover: asks the connection that holds a session to let go, and asks
// again until it did. A holder may not be able to yet: its own Attach is still on its way to
// it, or its Client Identifier is taken over more often than `limits.takeover_rate` allows.
//
// Volatile: a new leader begins with what ShardState::let_gos() lists.
//
// Thread: the shard's worker. Owner: the shard's runner, which calls repeat() every kRepeat while
// anybody is asked. Errors: none; whoever waits is refused by the state's own timer. Memory: one
// entry for each attached session that is to end, at most.
// Spec: R-7; MQTT 5 §3.1.4 [MQTT-3.1.4-3].
#pragma once

#include <chrono>
#include <cstddef>
#include <map>

#include "cluster/router/worker_router.h"
#include "cluster/shard/shard_state.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

class LetGoDriver {
  public:
    static constexpr std::chrono::seconds kRepeat{1};

    LetGoDriver(ShardId shard, WorkerRouter& router) : shard_(shard), router_(router) {}

    // Sends the request, and keeps it for repeat().
    void ask(const LetGo& request);
    // Sends again what is still owed according to `state`, and forgets the rest.
    void repeat(const ShardState& state);
    void clear() { asked_.clear(); }

    [[nodiscard]] bool empty() const { return asked_.empty(); }

  private:
    void send(const LetGo& request);

    ShardId shard_;
    WorkerRouter& router_;
    std::map<SessionId, LetGo> asked_;
};

}  // namespace quorate::cluster
