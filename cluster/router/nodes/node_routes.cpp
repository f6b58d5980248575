#include "cluster/router/nodes/node_routes.h"

#include <algorithm>
#include <utility>

namespace quorate::cluster {

void NodeRoutes::ask(const NodeRouteOp& op, Time now) {
    auto found = filters_.find(op.filter);
    const uint64_t bit = uint64_t{1} << op.loop.value();
    const Shown waiter{op.loop, op.token};
    if (!op.add) {
        if (op.token != 0) shown_.push_back(waiter);
        if (found == filters_.end()) return;
        Filter& filter = found->second;
        filter.loops &= ~bit;
        if (filter.loops != 0 || filter.unwanted_since || filter.removing) return;
        filter.unwanted_since = now;
        unwanted_.emplace(now, found->first);
        return;
    }
    if (found == filters_.end()) found = filters_.try_emplace(op.filter).first;
    Filter& filter = found->second;
    filter.loops |= bit;
    if (filter.unwanted_since) unwanted_.erase({*filter.unwanted_since, found->first});
    filter.unwanted_since.reset();
    if (filter.asked == RouteSerial() || filter.removing) change(found->first, filter, false);
    if (op.token == 0) return;
    if (filter.made == filter.asked) {
        shown_.push_back(waiter);
    } else {
        filter.waiting.push_back(waiter);
    }
}

void NodeRoutes::change(const std::string& name, Filter& filter, bool remove) {
    filter.asked = ++serial_;
    filter.removing = remove;
    const uint32_t token = next_token_++;
    sent_[token] = {name, filter.asked};
    changes_.push_back({name, remove, filter.asked, token});
}

void NodeRoutes::answered(uint32_t token, bool made) {
    const auto sent = sent_.find(token);
    if (sent == sent_.end()) return;
    const Sent change = std::move(sent->second);
    sent_.erase(sent);
    const auto found = filters_.find(change.filter);
    if (found == filters_.end()) return;
    Filter& filter = found->second;
    // Answers may come in any order, when the holder's leader has changed.
    if (made) filter.made = std::max(filter.made, change.serial);
    if (filter.asked != change.serial) return;
    if (!made) {
        refused_.insert(found->first);
        return;
    }
    if (filter.removing) {
        filters_.erase(found);
        return;
    }
    shown_.insert(shown_.end(), filter.waiting.begin(), filter.waiting.end());
    filter.waiting.clear();
}

void NodeRoutes::sweep(Time now) {
    while (!unwanted_.empty() &&
           (unwanted_.begin()->first + kKeep <= now || unwanted_.size() > kKeptMax)) {
        const auto found = filters_.find(unwanted_.begin()->second);
        unwanted_.erase(unwanted_.begin());
        found->second.unwanted_since.reset();
        change(found->first, found->second, true);
    }
    if (refused_.empty()) return;
    if (!again_at_) again_at_ = now + kAgain;
    if (now < *again_at_) return;
    again_at_.reset();
    for (const std::string& name : std::exchange(refused_, {})) {
        const auto found = filters_.find(name);
        const bool waits = found != filters_.end() && found->second.made != found->second.asked;
        if (waits) change(found->first, found->second, found->second.removing);
    }
}

std::vector<NodeRoutes::Change> NodeRoutes::take_changes() {
    return std::exchange(changes_, {});
}

std::vector<NodeRoutes::Shown> NodeRoutes::take_shown() {
    return std::exchange(shown_, {});
}

}  // namespace quorate::cluster
