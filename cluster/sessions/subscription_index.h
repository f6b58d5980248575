// All subscriptions of a shard's durable sessions by filter, and the routes they make others keep.
//
// The subscription is the truth, the route is derived from it: per filter it is kept which
// change is wanted and which is known to be made; what differs is owed, in order of serial, by this
// and any later leader. Shared subscriptions are no filter here: each member owes its own route to
// the group's shard, and each group owes one for its filter.
//
//   subscribers 0 ─► 1, best QoS changes, 1 ─► 0 :  wanted = next serial, owed
//   Made(serial)                                 :  made rises; no longer owed when it is wanted
//
// Thread: the shard's worker. Owner: ShardState.
// Errors: load answers Corrupt with the key. Spec: rules R-4; MQTT 5 §3.3.4, §3.8.4, §4.8.2.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/sessions/session.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "proto/mqtt/filter_tree.h"

namespace quorate::storage {
class StateBatch;
class StateStore;
}  // namespace quorate::storage

namespace quorate::cluster {

// Which route: a filter's (member 0, group false), a member's of a shared group ("$share/..." and
// the session), or a group's own ("$share/...", member 0).
struct RouteKey {
    std::string filter;
    SessionId member;
    auto operator<=>(const RouteKey&) const = default;
};

struct OwedRoute {
    RouteSerial wanted;
    RouteSerial made;
    mqtt::QoS best_qos = mqtt::QoS::AtMostOnce;
    bool present = false;  // false: the route is to be removed

    [[nodiscard]] RouteSerial wait_for() const { return made < wanted ? wanted : RouteSerial(); }
};

// One non-shared subscription that matched.
struct Hit {
    Session* session = nullptr;
    Subscription subscription;
};

class SubscriptionIndex {
  public:
    // Adds or replaces; answers the route as it stands now. Requires: `filter` is a valid filter
    // without "$share/".
    const OwedRoute& add(Session& session, std::string_view filter,
                         const Subscription& subscription, storage::StateBatch& batch);
    // Answers the route as it stands now.
    OwedRoute remove(const Session& session, std::string_view filter, storage::StateBatch& batch);
    // A member's or a group's route ("$share/..."): present with this QoS, or to be removed.
    OwedRoute set_shared(const RouteKey& key, bool present, mqtt::QoS best_qos,
                         storage::StateBatch& batch);
    [[nodiscard]] OwedRoute route(const RouteKey& key) const;
    // made never falls; a route that is removed and made is forgotten. False: unknown or not newer.
    bool made(const RouteKey& key, RouteSerial serial, storage::StateBatch& batch);

    // Appends every subscription the topic matches, ordered by session, those of one session by
    // subscription id.
    void match(std::string_view topic, std::vector<Hit>& out) const;

    // Owed routes with serials above `after`, in order.
    template <typename Visit>
    void owed(RouteSerial after, Visit&& visit) const;

    [[nodiscard]] uint64_t filters() const { return tree_.size(); }
    [[nodiscard]] uint64_t shared_routes() const { return shared_.size(); }
    [[nodiscard]] RouteSerial last_serial() const { return last_serial_; }
    [[nodiscard]] uint64_t digest() const;

    // Start: routes first, then the subscriptions of all sessions, then finish_load().
    void set_last_serial(RouteSerial serial) { last_serial_ = serial; }
    [[nodiscard]] Status load(const storage::StateStore& store);
    [[nodiscard]] Status load_record(std::string_view key, std::string_view value);
    // False: there is no record of the filter's route.
    [[nodiscard]] bool restore(Session& session, std::string_view filter,
                               const Subscription& subscription);

  private:
    struct FilterEntry {
        std::vector<Hit> subscribers;  // by session id
        std::array<uint32_t, 3> per_qos{};
        OwedRoute route;
    };

    void update(const RouteKey& key, OwedRoute& route, bool present, mqtt::QoS best_qos,
                storage::StateBatch& batch);
    static void upsert(FilterEntry& entry, Session& session, const Subscription& subscription);
    static mqtt::QoS best_of(const FilterEntry& entry);
    [[nodiscard]] const OwedRoute* find(const RouteKey& key) const;

    mqtt::FilterTree<FilterEntry> tree_;
    std::map<RouteKey, OwedRoute> shared_;
    std::map<RouteSerial, RouteKey> owed_;  // wanted and not made
    RouteSerial last_serial_;
};

template <typename Visit>
void SubscriptionIndex::owed(RouteSerial after, Visit&& visit) const {
    for (auto at = owed_.upper_bound(after); at != owed_.end(); ++at) {
        const OwedRoute* route = find(at->second);
        if (route != nullptr && !visit(at->second, *route)) return;
    }
}

}  // namespace quorate::cluster
