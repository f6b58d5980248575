// The subscriptions of one loop: filters of connected sessions that end with their connection, and
// who on this loop has them.
//
// Thread: the loop's. Owner: the front-end. Errors: none; the front-end bounds what a client may
// add. Spec: MQTT 5 §3.8, §4.7; [MQTT-3.8.3-3] (No Local), [MQTT-3.3.4-2] to [MQTT-3.3.4-4].
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "proto/mqtt/filter_tree.h"
#include "proto/mqtt/types.h"

namespace quorate::broker {

// One client's subscription. `client` is its slot in the front-end.
struct LocalSubscriber {
    uint32_t client = 0;
    uint32_t subscription_id = 0;  // 0: none
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;
    bool no_local = false;
    bool retain_as_published = false;
};

// A client that gets a topic's messages, with its overlapping subscriptions merged: one copy, the
// best QoS, all identifiers, Retain As Published when any of them asks for it. What the client
// itself has published is matched by those of its subscriptions that are not No Local, so for those
// messages QoS, identifiers and Retain As Published are others.
struct LocalTarget {
    uint32_t client = 0;
    uint32_t ids_begin = 0;      // into the plan's subscription_ids
    uint16_t ids_count = 0;      // more than 65,535 are cut
    uint16_t own_ids_count = 0;  // for its own messages: the first ones
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;
    mqtt::QoS own_qos = mqtt::QoS::AtMostOnce;  // for its own messages
    bool own : 1 = false;                       // it gets its own messages at all
    bool retain_as_published : 1 = false;
    bool own_retain_as_published : 1 = false;  // for its own messages
};

class LocalSubscriptions {
  public:
    struct Added {
        bool first = false;   // of the filter on this loop: a route is needed
        bool is_new = false;  // the client did not have the filter
    };
    struct Removed {
        bool last = false;     // nobody on this loop has the filter any more
        bool existed = false;  // the client had it
    };

    Added add(std::string_view filter, const LocalSubscriber& subscriber);
    Removed remove(std::string_view filter, uint32_t client);

    // Fills `targets`, one for each client, in no particular order, and the identifiers they refer
    // to.
    void match(std::string_view topic, std::vector<LocalTarget>& targets,
               std::vector<uint32_t>& subscription_ids);

    // Rises with every change: what was matched at another version is out of date.
    [[nodiscard]] uint64_t version() const { return version_; }
    [[nodiscard]] uint64_t size() const { return size_; }

  private:
    void merge(std::vector<LocalTarget>& targets, std::vector<uint32_t>& subscription_ids) const;
    // The subscriptions of one client that match.
    static LocalTarget merge_one(std::span<const LocalSubscriber> found,
                                 std::vector<uint32_t>& subscription_ids);

    mqtt::FilterTree<std::vector<LocalSubscriber>> tree_;
    uint64_t version_ = 1;
    uint64_t size_ = 0;
    std::vector<LocalSubscriber> found_;  // by match(), kept for its memory
};

}  // namespace quorate::broker
