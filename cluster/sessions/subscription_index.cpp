#include "cluster/sessions/subscription_index.h"

#include <algorithm>

#include "cluster/mutants.h"
#include "cluster/topics/destination.h"
#include "cluster/topics/state_key.h"
#include "proto/base/hash.h"
#include "proto/mqtt/topic.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {

constexpr uint8_t kVersion = 1;

std::string record_key(const RouteKey& key) {
    return std::string(
        StateKey(Family::OwedRoute).u64(key.member.value()).last_text(key.filter).view());
}

bool is_shared(std::string_view filter) {
    return shared_group_of(filter).has_value();
}

void write_route(RecordWriter& out, const RouteKey& key, const OwedRoute& route) {
    out.u8(kVersion);
    out.text(key.filter);
    out.id(key.member);
    out.id(route.wanted);
    out.id(route.made);
    out.u8(static_cast<uint8_t>(route.best_qos));
    out.u8(route.present ? 1 : 0);
}

}  // namespace

void SubscriptionIndex::upsert(FilterEntry& entry, Session& session,
                               const Subscription& subscription) {
    auto& list = entry.subscribers;
    auto at = std::ranges::lower_bound(list, session.id, {},
                                       [](const Hit& hit) { return hit.session->id; });
    if (at != list.end() && at->session == &session) {
        --entry.per_qos[static_cast<std::size_t>(at->subscription.qos)];
        at->subscription = subscription;
    } else {
        list.insert(at, Hit{&session, subscription});
    }
    ++entry.per_qos[static_cast<std::size_t>(subscription.qos)];
}

mqtt::QoS SubscriptionIndex::best_of(const FilterEntry& entry) {
    if (entry.per_qos[2] > 0) return mqtt::QoS::ExactlyOnce;
    return entry.per_qos[1] > 0 ? mqtt::QoS::AtLeastOnce : mqtt::QoS::AtMostOnce;
}

void SubscriptionIndex::update(const RouteKey& key, OwedRoute& route, bool present,
                               mqtt::QoS best_qos, storage::StateBatch& batch) {
    if (!present) best_qos = mqtt::QoS::AtMostOnce;
    const bool known = route.wanted.value() != 0;
    if (known && route.present == present && route.best_qos == best_qos) return;
    if (route.made < route.wanted) owed_.erase(route.wanted);
    ++last_serial_;
    route.wanted = last_serial_;
    route.present = present;
    route.best_qos = best_qos;
    owed_.emplace(route.wanted, key);
    batch.put_with(record_key(key), [&](RecordWriter& out) { write_route(out, key, route); });
}

const OwedRoute& SubscriptionIndex::add(Session& session, std::string_view filter,
                                        const Subscription& subscription,
                                        storage::StateBatch& batch) {
    FilterEntry& entry = tree_.get_or_insert(filter);
    upsert(entry, session, subscription);
    update({std::string(filter), SessionId()}, entry.route, true, best_of(entry), batch);
    return entry.route;
}

OwedRoute SubscriptionIndex::remove(const Session& session, std::string_view filter,
                                    storage::StateBatch& batch) {
    FilterEntry* entry = tree_.find(filter);
    if (entry == nullptr) return {};
    auto& list = entry->subscribers;
    const auto at = std::ranges::lower_bound(list, session.id, {},
                                             [](const Hit& hit) { return hit.session->id; });
    if (at == list.end() || at->session != &session) return entry->route;
    --entry->per_qos[static_cast<std::size_t>(at->subscription.qos)];
    if (!mutated(RuleMutant::UnsubscribeIgnored)) list.erase(at);
    update({std::string(filter), SessionId()}, entry->route, !list.empty(), best_of(*entry), batch);
    return entry->route;
}

OwedRoute SubscriptionIndex::set_shared(const RouteKey& key, bool present, mqtt::QoS best_qos,
                                        storage::StateBatch& batch) {
    if (!present && !shared_.contains(key)) return {};
    OwedRoute& route = shared_[key];
    update(key, route, present, best_qos, batch);
    return route;
}

const OwedRoute* SubscriptionIndex::find(const RouteKey& key) const {
    if (is_shared(key.filter)) {
        const auto found = shared_.find(key);
        return found == shared_.end() ? nullptr : &found->second;
    }
    // Only routes of shared filters have a member; nobody else's name may touch a record.
    if (key.member.value() != 0 || !mqtt::valid_topic_filter(key.filter)) return nullptr;
    const FilterEntry* entry = tree_.find(key.filter);
    return entry == nullptr ? nullptr : &entry->route;
}

OwedRoute SubscriptionIndex::route(const RouteKey& key) const {
    const OwedRoute* route = find(key);
    return route == nullptr ? OwedRoute{} : *route;
}

bool SubscriptionIndex::made(const RouteKey& key, RouteSerial serial, storage::StateBatch& batch) {
    auto* route = const_cast<OwedRoute*>(find(key));  // the object is ours
    if (route == nullptr || serial <= route->made || serial > route->wanted) return false;
    route->made = serial;
    if (route->made == route->wanted) owed_.erase(route->wanted);
    if (route->made == route->wanted && !route->present) {
        batch.remove(record_key(key));
        if (is_shared(key.filter)) {
            shared_.erase(key);
        } else {
            tree_.erase(key.filter);
        }
        return true;
    }
    batch.put_with(record_key(key), [&](RecordWriter& out) { write_route(out, key, *route); });
    return true;
}

void SubscriptionIndex::match(std::string_view topic, std::vector<Hit>& out) const {
    const std::size_t before = out.size();
    std::size_t filters = 0;
    tree_.match(topic, [&](const FilterEntry& entry) {
        ++filters;
        out.insert(out.end(), entry.subscribers.begin(), entry.subscribers.end());
    });
    // One filter's subscribers are in order already.
    if (filters < 2) return;
    std::stable_sort(out.begin() + static_cast<std::ptrdiff_t>(before), out.end(),
                     [](const Hit& a, const Hit& b) {
                         if (a.session->id != b.session->id) return a.session->id < b.session->id;
                         return a.subscription.id < b.subscription.id;
                     });
}

uint64_t SubscriptionIndex::digest() const {
    std::vector<std::pair<RouteKey, const FilterEntry*>> filters;
    tree_.for_each([&filters](std::string_view filter, const FilterEntry& entry) {
        filters.emplace_back(RouteKey{std::string(filter), SessionId()}, &entry);
    });
    std::ranges::sort(filters, {}, [](const auto& f) -> const RouteKey& { return f.first; });
    std::string bytes;
    RecordWriter out(bytes);
    out.id(last_serial_);
    for (const auto& [key, entry] : filters) {
        write_route(out, key, entry->route);
        for (const Hit& hit : entry->subscribers) {
            out.id(hit.session->id);
            write_subscription(out, hit.subscription);
        }
    }
    for (const auto& [key, route] : shared_)
        write_route(out, key, route);
    for (const auto& [serial, key] : owed_)
        out.id(serial);
    return hash64(bytes);
}

Status SubscriptionIndex::load_record(std::string_view key, std::string_view value) {
    RecordReader in(value);
    const uint8_t version = in.u8();
    RouteKey name;
    name.filter = in.text();
    name.member = in.id<SessionId>();
    OwedRoute route;
    route.wanted = in.id<RouteSerial>();
    route.made = in.id<RouteSerial>();
    const uint8_t qos = in.u8();
    route.best_qos = static_cast<mqtt::QoS>(qos);
    route.present = in.u8() == 1;
    const bool shared = is_shared(name.filter);
    const bool sane = in.finished() && version == kVersion && qos <= 2 &&
                      route.wanted.value() != 0 && route.made <= route.wanted &&
                      route.wanted <= last_serial_ && key == record_key(name) &&
                      mqtt::parse_filter(name.filter) && (shared || name.member.value() == 0);
    if (!sane || (route.made < route.wanted && owed_.contains(route.wanted))) {
        return corrupt_record("owed route", key);
    }
    if (mutated(RuleMutant::RouteTakenForMade)) route.made = route.wanted;
    if (route.made < route.wanted) owed_.emplace(route.wanted, name);
    if (shared) {
        shared_.emplace(name, route);
    } else {
        tree_.get_or_insert(name.filter).route = route;
    }
    return {};
}

Status SubscriptionIndex::load(const storage::StateStore& store) {
    Status result;
    const Status scanned =
        store.scan(StateKey(Family::OwedRoute).view(), family_end(Family::OwedRoute),
                   [&](std::string_view key, std::string_view value) {
                       result = load_record(key, value);
                       return result.ok();
                   });
    return scanned.ok() ? result : scanned;
}

bool SubscriptionIndex::restore(Session& session, std::string_view filter,
                                const Subscription& subscription) {
    FilterEntry* entry = tree_.find(filter);
    if (entry == nullptr || !entry->route.present) return false;
    upsert(*entry, session, subscription);
    return true;
}

}  // namespace quorate::cluster
