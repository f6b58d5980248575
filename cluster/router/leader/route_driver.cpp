#include "cluster/router/leader/route_driver.h"

#include "cluster/group/group_ids.h"

namespace quorate::cluster {

void RouteDriver::start(Term term) {
    stop();
    term_ = term;
}

void RouteDriver::stop() {
    sent_up_to_ = RouteSerial();
    sent_.clear();
    made_.clear();
    waiters_.clear();
    waiting_for_.clear();
}

void RouteDriver::drive(const ShardState& state) {
    while (sent_.size() < kWindow) {
        const auto room = static_cast<uint32_t>(kWindow - sent_.size());
        const auto wanted = state.wanted_routes(sent_up_to_, room);
        if (wanted.empty()) return;
        for (const WantedRoute& route : wanted) {
            const uint32_t token = next_token_++;
            const RouteSerial serial = route.route.serial;
            sent_[token] = {{std::string(route.made_filter), route.member}, serial};
            const GroupId target =
                route.at == WantedRoute::At::Wildcards ? kWildcardsGroup : group_of(route.shard);
            const uint64_t rest = (static_cast<uint64_t>(shard_.value()) << 32) | token;
            router_.submit(target, LaneClass::Control, lane_token(LaneUser::Routes, rest),
                           SourceFence{shard_, term_}, route.route);
            sent_up_to_ = serial;
        }
    }
}

void RouteDriver::answered(uint32_t token) {
    const auto found = sent_.find(token);
    if (found == sent_.end()) return;
    made_.push_back(std::move(found->second));
    sent_.erase(found);
}

bool RouteDriver::take_made(Made& out) {
    if (made_.empty()) return false;
    made_filters_.clear();
    for (Sent& sent : made_)
        made_filters_.push_back(std::move(sent.key.filter));
    for (std::size_t i = 0; i < made_.size(); ++i) {
        out.routes.push_back({made_filters_[i], made_[i].key.member, made_[i].serial});
    }
    made_.clear();
    return true;
}

void RouteDriver::wait(GroupAnswer answer,
                       const std::vector<std::pair<RouteName, RouteSerial>>& routes) {
    const uint64_t id = next_waiter_++;
    for (const auto& [key, serial] : routes)
        waiting_for_.insert({key, {serial, id}});
    waiters_[id] = {std::move(answer), static_cast<uint32_t>(routes.size())};
}

void RouteDriver::made(const RouteMade& made, std::vector<GroupAnswer>& ready) {
    const auto [begin, end] = waiting_for_.equal_range({made.filter, made.member});
    for (auto at = begin; at != end;) {
        const auto [serial, id] = at->second;
        if (serial > made.serial) {
            ++at;
            continue;
        }
        at = waiting_for_.erase(at);
        const auto waiter = waiters_.find(id);
        if (waiter == waiters_.end() || --waiter->second.routes > 0) continue;
        ready.push_back(std::move(waiter->second.answer));
        waiters_.erase(waiter);
    }
}

}  // namespace quorate::cluster
