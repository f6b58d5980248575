// Routes: which destinations have a subscription with a filter. One class, used for the exact
// filters of a shard and for the filters of the `wildcards` group.
//
// Thread: its owner's; readers elsewhere hold copies. Owner: ShardState or WildcardState.
// Errors: none; a change that is not newer changes nothing.
// Spec: rules R-4; MQTT 5 §4.7.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/topics/destination.h"
#include "proto/base/ids.h"
#include "proto/mqtt/filter_tree.h"
#include "proto/mqtt/types.h"

namespace quorate::cluster {

struct RouteEntry {
    Destination destination;
    mqtt::QoS best_qos = mqtt::QoS::AtMostOnce;
    RouteSerial serial;  // of the destination's changes; an older change never beats a newer one
};

struct RouteChange {
    std::string_view filter;
    Destination destination;
    mqtt::QoS best_qos = mqtt::QoS::AtMostOnce;
    bool remove = false;
    RouteSerial serial;
};

class RouteTable {
  public:
    // True when the table changed.
    bool change(const RouteChange& change);
    // Removes up to `max` routes to an incarnation (Node destinations) and reports each; true when
    // more are left.
    bool remove_node(
        Incarnation node, uint32_t max,
        const std::function<void(std::string_view filter, const RouteEntry&)>& removed);

    // Incarnations that routes lead to, ascending.
    [[nodiscard]] std::vector<Incarnation> nodes() const;

    // Every route a topic matches; a destination may be visited once per matching filter. Each
    // filter's routes come in order of destination; filters come in no order worth relying on.
    template <typename Visit>
    void match(std::string_view topic, Visit&& visit) const;

    [[nodiscard]] uint64_t size() const { return size_; }
    // In order of filter and destination.
    void for_each(
        const std::function<void(std::string_view filter, const RouteEntry&)>& visit) const;
    // The routes of one filter; empty when there are none.
    [[nodiscard]] std::vector<RouteEntry> routes_of(std::string_view filter) const;

  private:
    struct Routes {
        std::vector<RouteEntry> entries;  // by destination
    };
    mqtt::FilterTree<Routes> tree_;
    std::map<Incarnation, std::set<std::string, std::less<>>> by_node_;
    uint64_t size_ = 0;
};

template <typename Visit>
void RouteTable::match(std::string_view topic, Visit&& visit) const {
    tree_.match(topic, [&visit](const Routes& routes) {
        for (const RouteEntry& entry : routes.entries)
            visit(entry);
    });
}

}  // namespace quorate::cluster
