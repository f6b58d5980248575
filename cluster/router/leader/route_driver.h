// Makes the routes a shard wants: sends them in order, also as a new leader, and commits as
// made what their holders answered. Also keeps the answers to SUBSCRIBE that wait for it.
//
// Thread: the shard's worker. Owner: the shard's runner. Errors: none; a new leader starts over.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cluster/router/worker_router.h"
#include "cluster/shard/shard_state.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// What Made names: a filter, and for a member of a shared group the member.
struct RouteName {
    std::string filter;
    SessionId member;
    auto operator<=>(const RouteName&) const = default;
};

class RouteDriver {
  public:
    RouteDriver(ShardId shard, WorkerRouter& router) : shard_(shard), router_(router) {}

    void start(Term term);
    void stop();
    // Sends what is wanted and was not sent by this leader.
    void drive(const ShardState& state);
    void answered(uint32_t token);
    // Routes whose holders have answered since the last call: to be committed as Made.
    [[nodiscard]] bool take_made(Made& out);

    // Holds `answer` until each of `routes` is made up to its serial.
    void wait(GroupAnswer answer, const std::vector<std::pair<RouteName, RouteSerial>>& routes);
    // Committed as made: answers that need no more go into `ready`.
    void made(const RouteMade& made, std::vector<GroupAnswer>& ready);

  private:
    struct Sent {
        RouteName key;
        RouteSerial serial;
    };
    struct Waiter {
        GroupAnswer answer;
        uint32_t routes = 0;
    };
    // Unanswered routes of one shard at a time: a consequence is pulled, not queued.
    static constexpr uint32_t kWindow = 1024;

    ShardId shard_;
    WorkerRouter& router_;
    Term term_;
    RouteSerial sent_up_to_;
    uint32_t next_token_ = 0;
    std::map<uint32_t, Sent> sent_;
    std::vector<Sent> made_;  // answered, not yet proposed
    std::vector<std::string> made_filters_;
    uint64_t next_waiter_ = 0;
    std::map<uint64_t, Waiter> waiters_;
    std::multimap<RouteName, std::pair<RouteSerial, uint64_t>> waiting_for_;
};

}  // namespace quorate::cluster
