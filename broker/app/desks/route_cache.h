// Where recent topics lead, so that a device that publishes on the same topics again costs one
// look-up and no match.
//
// A plan has two halves with a version each: this loop's own subscribers, and the other threads of
// the node. A half whose table has changed since is matched again when it is next asked for.
//
// Thread: the loop's. Owner: the front-end. Bounded: a fixed number of places, and a bound on the
// targets of all plans together; a topic that hashes to a used place takes it over.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/app/desks/local_subscriptions.h"
#include "cluster/router/loop_port.h"

namespace quorate::broker {

struct RoutePlan {
    std::string topic;
    uint64_t hash = 0;
    uint64_t local_version = 0;
    uint64_t remote_version = 0;
    std::vector<LocalTarget> local;
    std::vector<uint32_t> subscription_ids;
    cluster::Destinations remote;  // without this loop
    bool commits = false;          // some shard of `remote` wants QoS 1 or 2
    bool cut_off = false;          // the match, at its step limit: `remote` may lack some
};

class RouteCache {
  public:
    RouteCache(LocalSubscriptions& local, cluster::LoopPort& port);

    // Both halves are up to date; valid until the next call.
    [[nodiscard]] const RoutePlan& plan(std::string_view topic);
    // Only the local half is.
    [[nodiscard]] const RoutePlan& local_plan(std::string_view topic);

    // Of the topics it remembers.
    [[nodiscard]] uint64_t topic_bytes() const { return topic_bytes_; }

  private:
    static constexpr uint32_t kPlaces = 1U << 13;
    static constexpr uint64_t kTargetsMax = 1U << 21;
    static constexpr uint64_t kTopicBytesMax = 4U << 20;  // then everything is forgotten

    RoutePlan& place(std::string_view topic);
    void forget_topics();
    void refresh_local(RoutePlan& plan);
    void refresh_remote(RoutePlan& plan, uint64_t version);

    LocalSubscriptions& local_;
    cluster::LoopPort& port_;
    std::vector<std::unique_ptr<RoutePlan>> places_;
    uint64_t targets_ = 0;
    uint64_t topic_bytes_ = 0;
};

}  // namespace quorate::broker
