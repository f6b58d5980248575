// The routes that lead to this node because its loops have subscribers in memory, on the worker of
// the group that holds each route: one route a filter, however many loops and clients want it.
//
//   first loop that wants it ─► Route{filter, this incarnation} ─► applied and shown ─► all who
//   wait last one gone ─► kept for a while, since clients often come back ─► removed
//
// A route too many costs a copy that nobody takes; a route too few would lose messages. So one is
// taken for made only when its holder has answered, and removed late. Incarnations that end take
// their routes with them (NodeDown).
//
// Pure. Thread: the worker's. Owner: the WorkerRouter. Errors: a route that is refused (its holder
// has no room) is asked for again; who waits too long is refused by the time limit. Bounded: one
// entry a filter that clients of this node have, and kKeptMax that they had lately. Spec: R-4,
// "Node routes are removed late".
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cluster/router/traffic.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

class NodeRoutes {
  public:
    using Time = std::chrono::nanoseconds;
    static constexpr std::chrono::seconds kKeep{30};
    static constexpr std::size_t kKeptMax = 10'000;
    static constexpr std::chrono::seconds kAgain{1};

    // What to send: a change of this node's route for a filter.
    struct Change {
        std::string filter;
        bool remove = false;
        RouteSerial serial;
        uint32_t token = 0;  // for answered()
    };
    // Whose wish is fulfilled.
    struct Shown {
        LoopId loop;
        uint64_t token = 0;
    };

    void ask(const NodeRouteOp& op, Time now);
    void answered(uint32_t token, bool made);
    // Routes that nobody has wanted for kKeep are removed; what was refused is asked for again.
    void sweep(Time now);

    [[nodiscard]] std::vector<Change> take_changes();
    [[nodiscard]] std::vector<Shown> take_shown();
    [[nodiscard]] std::size_t filters() const { return filters_.size(); }

  private:
    struct Filter {
        uint64_t loops = 0;  // a bit for each that wants it
        RouteSerial asked;   // of the last change,
        bool removing = false;
        RouteSerial made;  // and the last one that was made
        std::vector<Shown> waiting;
        std::optional<Time> unwanted_since;
    };
    struct Sent {
        std::string filter;
        RouteSerial serial;
    };
    void change(const std::string& name, Filter& filter, bool remove);

    std::map<std::string, Filter, std::less<>> filters_;
    std::set<std::pair<Time, std::string_view>> unwanted_;  // by when they became so
    std::set<std::string> refused_;
    std::optional<Time> again_at_;
    std::unordered_map<uint32_t, Sent> sent_;
    std::vector<Change> changes_;
    std::vector<Shown> shown_;
    RouteSerial serial_;
    uint32_t next_token_ = 1;
};

}  // namespace quorate::cluster
