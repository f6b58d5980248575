#include "broker/app/desks/local_subscriptions.h"

#include <algorithm>

namespace quorate::broker {

LocalSubscriptions::Added LocalSubscriptions::add(std::string_view filter,
                                                  const LocalSubscriber& subscriber) {
    std::vector<LocalSubscriber>& list = tree_.get_or_insert(filter);
    Added added;
    added.first = list.empty();
    const auto same = std::ranges::find(list, subscriber.client, &LocalSubscriber::client);
    added.is_new = same == list.end();
    if (added.is_new) {
        if (list.empty()) list.reserve(1);
        list.push_back(subscriber);
        ++size_;
    } else {
        *same = subscriber;
    }
    ++version_;
    return added;
}

LocalSubscriptions::Removed LocalSubscriptions::remove(std::string_view filter, uint32_t client) {
    std::vector<LocalSubscriber>* list = tree_.find(filter);
    if (list == nullptr) return {};
    const auto same = std::ranges::find(*list, client, &LocalSubscriber::client);
    if (same == list->end()) return {};
    *same = list->back();
    list->pop_back();
    --size_;
    ++version_;
    const bool last = list->empty();
    if (last) tree_.erase(filter);
    return {last, true};
}

void LocalSubscriptions::match(std::string_view topic, std::vector<LocalTarget>& targets,
                               std::vector<uint32_t>& subscription_ids) {
    targets.clear();
    subscription_ids.clear();
    found_.clear();
    uint32_t filters = 0;
    tree_.match(topic, [&](const std::vector<LocalSubscriber>& list) {
        ++filters;
        found_.insert(found_.end(), list.begin(), list.end());
    });
    if (filters > 1) std::ranges::stable_sort(found_, {}, &LocalSubscriber::client);
    merge(targets, subscription_ids);
}

void LocalSubscriptions::merge(std::vector<LocalTarget>& targets,
                               std::vector<uint32_t>& subscription_ids) const {
    targets.reserve(found_.size());
    for (const LocalSubscriber& found : found_) {
        if (targets.empty() || targets.back().client != found.client) {
            LocalTarget target;
            target.client = found.client;
            target.ids_begin = static_cast<uint32_t>(subscription_ids.size());
            target.own = false;
            targets.push_back(target);
        }
        LocalTarget& target = targets.back();
        target.qos = std::max(target.qos, found.qos);
        if (!found.no_local) {
            target.own_qos = target.own ? std::max(target.own_qos, found.qos) : found.qos;
            target.own = true;
        }
        target.retain_as_published = target.retain_as_published || found.retain_as_published;
        if (found.subscription_id != 0) {
            subscription_ids.push_back(found.subscription_id);
            ++target.ids_count;
        }
    }
}

}  // namespace quorate::broker
