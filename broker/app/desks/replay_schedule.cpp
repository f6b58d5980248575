#include "broker/app/desks/replay_schedule.h"

#include <algorithm>
#include <utility>

namespace quorate::broker {

void ReplaySchedule::add(Who who, Replay&& replay) {
    Client& client = clients_[who];
    const auto same = std::ranges::find_if(client.replays, [&](const Replay& other) {
        return !other.begun && other.entry.filter == replay.entry.filter;
    });
    if (same != client.replays.end()) {
        *same = std::move(replay);
        return;
    }
    client.replays.push_back(std::move(replay));
    if (client.token == 0 && !waiting_.contains(who)) list(who, client);
}

void ReplaySchedule::cancel(Who who, std::string_view filter) {
    const auto found = clients_.find(who);
    if (found == clients_.end()) return;
    Client& client = found->second;
    const bool under_way = client.token != 0;
    if (under_way && client.replays.front().entry.filter == filter) client.cancelled = true;
    const auto kept = client.replays.begin() + (under_way ? 1 : 0);
    const auto ended = std::remove_if(kept, client.replays.end(), [&](const Replay& replay) {
        return replay.entry.filter == filter;
    });
    client.replays.erase(ended, client.replays.end());
    if (client.replays.empty()) {
        drop(who);
    } else if (!under_way) {
        wake(who);
    }
}

void ReplaySchedule::drop(Who who) {
    const auto found = clients_.find(who);
    if (found == clients_.end()) return;
    ready_.erase(found->second.place);
    waiting_.erase(who);
    clients_.erase(found);
}

std::optional<ReplaySchedule::Who> ReplaySchedule::next(uint32_t pages_max) {
    if (ready_.empty() || busy(pages_max)) return std::nullopt;
    const Who who = ready_.begin()->second;
    ready_.erase(ready_.begin());
    clients_.at(who).place = 0;
    return who;
}

ReplaySchedule::Replay* ReplaySchedule::front(Who who) {
    const auto found = clients_.find(who);
    return found == clients_.end() ? nullptr : &found->second.replays.front();
}

void ReplaySchedule::ask(Who who, uint64_t token) {
    Client& client = clients_.at(who);
    client.token = token;
    client.replays.front().begun = true;
    pages_.emplace(token, who);
}

void ReplaySchedule::wait(Who who) {
    waiting_.insert(who);
}

ReplaySchedule::Replay* ReplaySchedule::arrived(uint64_t token, Who& who) {
    const auto page = pages_.find(token);
    if (page == pages_.end()) return nullptr;
    who = page->second;
    pages_.erase(page);
    const auto found = clients_.find(who);
    if (found == clients_.end() || found->second.token != token) return nullptr;
    Client& client = found->second;
    client.token = 0;
    if (!std::exchange(client.cancelled, false)) return &client.replays.front();
    pop(who, client);
    return nullptr;
}

std::vector<ReplaySchedule::Page> ReplaySchedule::under_way() {
    std::erase_if(pages_, [&](const auto& page) {
        const auto found = clients_.find(page.second);
        return found == clients_.end() || found->second.token != page.first;
    });
    std::vector<Page> pages;
    for (const auto& [token, who] : pages_)
        pages.push_back({token, who, &clients_.at(who).replays.front()});
    return pages;
}

void ReplaySchedule::lost(uint64_t token) {
    Who who;
    if (arrived(token, who) != nullptr) settle(who, Then::GoOn);
}

void ReplaySchedule::settle(Who who, Then then) {
    Client& client = clients_.at(who);
    switch (then) {
        case Then::GoOn:
            list(who, client);
            return;
        case Then::Wait:
            wait(who);
            return;
        case Then::Done:
            pop(who, client);
            return;
    }
}

void ReplaySchedule::wake(Who who) {
    if (waiting_.erase(who) == 0) return;
    list(who, clients_.at(who));
}

std::size_t ReplaySchedule::replays() const {
    std::size_t count = 0;
    for (const auto& [who, client] : clients_)
        count += client.replays.size();
    return count;
}

void ReplaySchedule::list(Who who, Client& client) {
    if (client.place != 0) return;
    client.place = next_place_++;
    ready_.emplace(client.place, who);
}

void ReplaySchedule::pop(Who who, Client& client) {
    client.replays.pop_front();
    if (client.replays.empty()) {
        drop(who);
    } else {
        list(who, client);
    }
}

}  // namespace quorate::broker
