#include "broker/app/desks/local_subscriptions.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "proto/base/environment.h"
#include "proto/mqtt/topic.h"
#include "tests/unit/catch.h"

namespace quorate::broker {
namespace {

LocalSubscriber subscriber(uint32_t client, mqtt::QoS qos, uint32_t id = 0, bool no_local = false) {
    LocalSubscriber out;
    out.client = client;
    out.qos = qos;
    out.subscription_id = id;
    out.no_local = no_local;
    return out;
}

struct Match {
    std::vector<LocalTarget> targets;
    std::vector<uint32_t> ids;

    [[nodiscard]] std::multiset<uint32_t> ids_of(const LocalTarget& target) const {
        const auto from = ids.begin() + static_cast<std::ptrdiff_t>(target.ids_begin);
        return {from, from + target.ids_count};
    }
    [[nodiscard]] std::multiset<uint32_t> own_ids_of(const LocalTarget& target) const {
        const auto from = ids.begin() + static_cast<std::ptrdiff_t>(target.ids_begin);
        return {from, from + target.own_ids_count};
    }
};

Match match(LocalSubscriptions& subscriptions, std::string_view topic) {
    Match out;
    out.ids = {99};  // what was in the plan before does not matter
    out.targets.resize(3);
    subscriptions.match(topic, out.targets, out.ids);
    return out;
}

TEST_CASE("The first subscriber of a filter needs a route, and the last one ends it", "[R-4]") {
    LocalSubscriptions subscriptions;
    auto added = subscriptions.add("a/+", subscriber(1, mqtt::QoS::AtMostOnce));
    CHECK(added.first);
    CHECK(added.is_new);
    added = subscriptions.add("a/+", subscriber(2, mqtt::QoS::AtMostOnce));
    CHECK_FALSE(added.first);
    CHECK(added.is_new);
    CHECK(subscriptions.size() == 2);
    auto removed = subscriptions.remove("a/+", 1);
    CHECK(removed.existed);
    CHECK_FALSE(removed.last);
    CHECK_FALSE(subscriptions.remove("a/+", 1).existed);
    CHECK_FALSE(subscriptions.remove("a/#", 2).existed);
    removed = subscriptions.remove("a/+", 2);
    CHECK(removed.existed);
    CHECK(removed.last);
    CHECK(subscriptions.size() == 0);
    CHECK(match(subscriptions, "a/b").targets.empty());
}

TEST_CASE("A subscription made again replaces the one before", "[MQTT-3.8.4-3]") {
    LocalSubscriptions subscriptions;
    subscriptions.add("a", subscriber(1, mqtt::QoS::AtMostOnce, 4));
    const auto again = subscriptions.add("a", subscriber(1, mqtt::QoS::ExactlyOnce, 5));
    CHECK_FALSE(again.first);
    CHECK_FALSE(again.is_new);
    CHECK(subscriptions.size() == 1);
    const Match found = match(subscriptions, "a");
    REQUIRE(found.targets.size() == 1);
    CHECK(found.targets[0].qos == mqtt::QoS::ExactlyOnce);
    CHECK(found.ids == std::vector<uint32_t>{5});
}

TEST_CASE("Overlapping subscriptions are one copy of the best QoS with all identifiers",
          "[MQTT-3.3.4-2][MQTT-3.3.4-3][MQTT-3.3.4-4]") {
    LocalSubscriptions subscriptions;
    subscriptions.add("a/b", subscriber(1, mqtt::QoS::AtMostOnce, 7));
    subscriptions.add("a/+", subscriber(1, mqtt::QoS::ExactlyOnce, 8));
    subscriptions.add("#", subscriber(1, mqtt::QoS::AtLeastOnce));
    const Match found = match(subscriptions, "a/b");
    REQUIRE(found.targets.size() == 1);
    CHECK(found.targets[0].qos == mqtt::QoS::ExactlyOnce);
    CHECK(found.ids_of(found.targets[0]) == std::multiset<uint32_t>{7, 8});
}

TEST_CASE("No Local hides a client's own messages from that subscription only", "[MQTT-3.8.3-3]") {
    LocalSubscriptions subscriptions;
    subscriptions.add("a", subscriber(1, mqtt::QoS::ExactlyOnce, 0, true));
    Match found = match(subscriptions, "a");
    REQUIRE(found.targets.size() == 1);
    CHECK_FALSE(found.targets[0].own);
    CHECK(found.targets[0].qos == mqtt::QoS::ExactlyOnce);

    subscriptions.add("+", subscriber(1, mqtt::QoS::AtMostOnce));
    found = match(subscriptions, "a");
    REQUIRE(found.targets.size() == 1);
    CHECK(found.targets[0].own);
    CHECK(found.targets[0].own_qos == mqtt::QoS::AtMostOnce);
    CHECK(found.targets[0].qos == mqtt::QoS::ExactlyOnce);
}

TEST_CASE("A client's own message carries nothing of its No Local subscriptions",
          "[MQTT-3.8.3-3][MQTT-3.3.4-4][MQTT-3.3.1-13]") {
    LocalSubscriptions subscriptions;
    LocalSubscriber hidden = subscriber(1, mqtt::QoS::ExactlyOnce, 7, true);
    hidden.retain_as_published = true;
    subscriptions.add("a", hidden);
    subscriptions.add("+", subscriber(1, mqtt::QoS::AtLeastOnce, 8));
    const Match found = match(subscriptions, "a");
    REQUIRE(found.targets.size() == 1);
    CHECK(found.own_ids_of(found.targets[0]) == std::multiset<uint32_t>{8});
    CHECK_FALSE(found.targets[0].own_retain_as_published);
    CHECK(found.ids_of(found.targets[0]) == std::multiset<uint32_t>{7, 8});
    CHECK(found.targets[0].retain_as_published);
}

TEST_CASE("An identifier used for two subscriptions that match comes twice", "[MQTT-3.3.4-4]") {
    LocalSubscriptions subscriptions;
    subscriptions.add("a", subscriber(1, mqtt::QoS::AtMostOnce, 7));
    subscriptions.add("+", subscriber(1, mqtt::QoS::AtMostOnce, 7));
    const Match found = match(subscriptions, "a");
    REQUIRE(found.targets.size() == 1);
    CHECK(found.ids_of(found.targets[0]) == std::multiset<uint32_t>{7, 7});
}

TEST_CASE("Every change has a version of its own, and a removal of nothing is none") {
    LocalSubscriptions subscriptions;
    const uint64_t first = subscriptions.version();
    subscriptions.add("a", subscriber(1, mqtt::QoS::AtMostOnce));
    const uint64_t second = subscriptions.version();
    CHECK(second > first);
    (void)subscriptions.remove("b", 1);
    CHECK(subscriptions.version() == second);
    (void)subscriptions.remove("a", 1);
    CHECK(subscriptions.version() > second);
}

// What one client gets, by looking at each of its subscriptions.
struct Expected {
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;
    mqtt::QoS own_qos = mqtt::QoS::AtMostOnce;
    bool own = false;
    bool retain_as_published = false;
    bool own_retain_as_published = false;
    std::multiset<uint32_t> ids;
    std::multiset<uint32_t> own_ids;
};

using Model = std::map<std::pair<std::string, uint32_t>, LocalSubscriber>;

std::map<uint32_t, Expected> expected(const Model& model, const std::string& topic) {
    std::map<uint32_t, Expected> out;
    for (const auto& [key, each] : model) {
        if (!mqtt::filter_matches(key.first, topic)) continue;
        Expected& client = out[each.client];
        client.qos = std::max(client.qos, each.qos);
        if (!each.no_local) {
            client.own = true;
            client.own_qos = std::max(client.own_qos, each.qos);
            client.own_retain_as_published =
                client.own_retain_as_published || each.retain_as_published;
            if (each.subscription_id != 0) client.own_ids.insert(each.subscription_id);
        }
        client.retain_as_published = client.retain_as_published || each.retain_as_published;
        if (each.subscription_id != 0) client.ids.insert(each.subscription_id);
    }
    return out;
}

void check(LocalSubscriptions& subscriptions, const Model& model, const std::string& topic) {
    const Match found = match(subscriptions, topic);
    const auto wanted = expected(model, topic);
    REQUIRE(found.targets.size() == wanted.size());
    std::set<uint32_t> seen;
    for (const LocalTarget& target : found.targets) {
        REQUIRE(seen.insert(target.client).second);
        const auto at = wanted.find(target.client);
        REQUIRE(at != wanted.end());
        REQUIRE(target.qos == at->second.qos);
        REQUIRE(target.own == at->second.own);
        if (target.own) REQUIRE(target.own_qos == at->second.own_qos);
        REQUIRE(target.retain_as_published == at->second.retain_as_published);
        REQUIRE(target.own_retain_as_published == at->second.own_retain_as_published);
        REQUIRE(found.ids_of(target) == at->second.ids);
        REQUIRE(found.own_ids_of(target) == at->second.own_ids);
    }
}

TEST_CASE("Matches are those of a plain list of subscriptions", "[MQTT-3.3.4-2]") {
    const std::vector<std::string> filters = {"a",   "a/b", "a/+", "+/b", "a/#",  "#",
                                              "+/+", "+",   "b",   "b/#", "a/b/#"};
    const std::vector<std::string> topics = {"a", "b", "a/b", "b/b", "a/b/c", "$SYS/b"};
    LocalSubscriptions subscriptions;
    Model model;
    Random random(21);
    for (int step = 0; step < 2000; ++step) {
        const std::string& filter = filters[random.below(filters.size())];
        const auto client = static_cast<uint32_t>(random.below(8));
        const bool others = std::ranges::any_of(model, [&](const auto& entry) {
            return entry.first.first == filter && entry.first.second != client;
        });
        const bool had = model.contains({filter, client});
        if (random.chance(3, 5)) {
            LocalSubscriber each =
                subscriber(client, static_cast<mqtt::QoS>(random.below(3)),
                           static_cast<uint32_t>(random.below(5)), random.chance(1, 3));
            each.retain_as_published = random.chance(1, 2);
            const auto added = subscriptions.add(filter, each);
            REQUIRE(added.is_new == !had);
            REQUIRE(added.first == (!had && !others));
            model[{filter, client}] = each;
        } else {
            const auto removed = subscriptions.remove(filter, client);
            REQUIRE(removed.existed == had);
            REQUIRE(removed.last == (had && !others));
            model.erase({filter, client});
        }
        REQUIRE(subscriptions.size() == model.size());
        check(subscriptions, model, topics[random.below(topics.size())]);
    }
}

}  // namespace
}  // namespace quorate::broker
