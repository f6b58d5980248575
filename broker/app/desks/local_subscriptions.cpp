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
    const std::span<const LocalSubscriber> found(found_);
    for (std::size_t from = 0; from < found.size();) {
        std::size_t to = from + 1;
        while (to < found.size() && found[to].client == found[from].client)
            ++to;
        targets.push_back(merge_one(found.subspan(from, to - from), subscription_ids));
        from = to;
    }
}

LocalTarget LocalSubscriptions::merge_one(std::span<const LocalSubscriber> found,
                                          std::vector<uint32_t>& subscription_ids) {
    LocalTarget target;
    target.client = found.front().client;
    target.ids_begin = static_cast<uint32_t>(subscription_ids.size());
    const auto add_id = [&](const LocalSubscriber& subscriber) {
        if (subscriber.subscription_id == 0 || target.ids_count == UINT16_MAX) return;
        subscription_ids.push_back(subscriber.subscription_id);
        ++target.ids_count;
    };
    for (const LocalSubscriber& subscriber : found) {
        target.qos = std::max(target.qos, subscriber.qos);
        target.retain_as_published = target.retain_as_published || subscriber.retain_as_published;
        if (subscriber.no_local) continue;
        target.own = true;
        target.own_qos = std::max(target.own_qos, subscriber.qos);
        target.own_retain_as_published =
            target.own_retain_as_published || subscriber.retain_as_published;
        add_id(subscriber);
    }
    target.own_ids_count = target.ids_count;
    for (const LocalSubscriber& subscriber : found) {
        if (subscriber.no_local) add_id(subscriber);
    }
    return target;
}

}  // namespace quorate::broker
