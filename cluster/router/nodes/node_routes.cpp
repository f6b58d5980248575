#include "cluster/router/nodes/node_routes.h"

#include <utility>

namespace quorate::cluster {

void NodeRoutes::ask(const NodeRouteOp& op, Time now) {
    auto found = filters_.find(op.filter);
    const uint64_t bit = uint64_t{1} << op.loop.value();
    const Shown waiter{op.loop, op.token};
    if (!op.add) {
        if (op.token != 0) shown_.push_back(waiter);
        if (found == filters_.end()) return;
        found->second.loops &= ~bit;
        if (found->second.loops != 0 || found->second.unwanted_since) return;
        found->second.unwanted_since = now;
        unwanted_.emplace_back(now, op.filter);
        return;
    }
    if (found == filters_.end()) found = filters_.try_emplace(op.filter).first;
    Filter& filter = found->second;
    filter.loops |= bit;
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
    if (!made || found == filters_.end()) return;
    Filter& filter = found->second;
    filter.made = change.serial;
    if (filter.asked != change.serial) return;
    if (filter.removing) {
        filters_.erase(found);
        return;
    }
    shown_.insert(shown_.end(), filter.waiting.begin(), filter.waiting.end());
    filter.waiting.clear();
}

void NodeRoutes::sweep(Time now) {
    while (!unwanted_.empty() && unwanted_.front().first + kKeep <= now) {
        const auto [since, name] = std::move(unwanted_.front());
        unwanted_.pop_front();
        const auto found = filters_.find(name);
        if (found == filters_.end() || found->second.unwanted_since != since) continue;
        if (!found->second.removing) change(found->first, found->second, true);
    }
}

std::vector<NodeRoutes::Change> NodeRoutes::take_changes() {
    return std::exchange(changes_, {});
}

std::vector<NodeRoutes::Shown> NodeRoutes::take_shown() {
    return std::exchange(shown_, {});
}

std::optional<NodeRoutes::Time> NodeRoutes::next_sweep() const {
    if (unwanted_.empty()) return std::nullopt;
    return unwanted_.front().first + kKeep;
}

}  // namespace quorate::cluster
