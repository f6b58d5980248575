#include "broker/app/desks/route_cache.h"

#include <algorithm>

#include "proto/base/hash.h"

namespace quorate::broker {
namespace {

constexpr std::size_t kSmallTopic = 64;

}  // namespace

RouteCache::RouteCache(LocalSubscriptions& local, cluster::LoopPort& port)
    : local_(local), port_(port), places_(kPlaces) {}

RoutePlan& RouteCache::place(std::string_view topic) {
    const uint64_t hash = hash64(topic);
    if (topic_bytes_ + topic.size() > kTopicBytesMax) forget_topics();
    auto& slot = places_[hash & (kPlaces - 1)];
    if (slot == nullptr) slot = std::make_unique<RoutePlan>();
    RoutePlan& plan = *slot;
    if (plan.hash != hash || plan.topic != topic) {
        topic_bytes_ += topic.size();
        topic_bytes_ -= plan.topic.size();
        plan.hash = hash;
        plan.topic = topic;
        if (plan.topic.capacity() > 2 * topic.size() + kSmallTopic) plan.topic.shrink_to_fit();
        plan.local_version = 0;
        plan.remote_version = 0;
    }
    return plan;
}

// Long topics that nobody repeats are not worth their memory.
void RouteCache::forget_topics() {
    for (auto& slot : places_)
        slot.reset();
    targets_ = 0;
    topic_bytes_ = 0;
}

void RouteCache::refresh_local(RoutePlan& plan) {
    targets_ -= std::min<uint64_t>(targets_, plan.local.size());
    local_.match(plan.topic, plan.local, plan.subscription_ids);
    plan.local_version = local_.version();
    targets_ += plan.local.size();
    if (targets_ <= kTargetsMax) return;
    for (auto& slot : places_) {
        if (slot.get() != &plan) slot.reset();
    }
    targets_ = plan.local.size();
    topic_bytes_ = plan.topic.size();
}

void RouteCache::refresh_remote(RoutePlan& plan, uint64_t version) {
    plan.remote.clear();
    plan.cut_off = !port_.match(plan.topic, plan.remote);
    plan.remote.loops &= ~(uint64_t{1} << port_.loop().value());
    plan.commits = std::ranges::any_of(plan.remote.shards, [](const cluster::ShardRoute& route) {
        return route.best_qos != mqtt::QoS::AtMostOnce;
    });
    plan.remote_version = version;
}

const RoutePlan& RouteCache::plan(std::string_view topic) {
    RoutePlan& plan = place(topic);
    const uint64_t version = port_.table_version();
    if (plan.remote_version != version) refresh_remote(plan, version);
    if (plan.local_version != local_.version()) refresh_local(plan);
    return plan;
}

const RoutePlan& RouteCache::local_plan(std::string_view topic) {
    RoutePlan& plan = place(topic);
    if (plan.local_version != local_.version()) refresh_local(plan);
    return plan;
}

}  // namespace quorate::broker
