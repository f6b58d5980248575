#include "cluster/sessions/shared_dispatcher.h"

#include <algorithm>
#include <utility>

namespace quorate::cluster {

SharedDispatcher::Member* SharedDispatcher::find(const Destination& member) {
    const auto at = std::ranges::find_if(
        members_, [&member](const Member& m) { return m.member.member == member; });
    return at == members_.end() ? nullptr : &*at;
}

void SharedDispatcher::set_members(std::span<const GroupMember> members) {
    std::vector<Member> kept;
    kept.reserve(members.size());
    for (const GroupMember& member : members) {
        Member* old = find(member.member);
        Member next = old == nullptr ? Member{} : std::move(*old);
        next.member = member;
        kept.push_back(std::move(next));
    }
    members_ = std::move(kept);
    if (next_ >= members_.size()) next_ = 0;
}

void SharedDispatcher::set_credit(const Destination& member, uint32_t credit) {
    if (Member* found = find(member)) found->credit = credit;
}

uint32_t SharedDispatcher::credit(const Destination& member) const {
    const auto* found = const_cast<SharedDispatcher*>(this)->find(member);  // reads only
    return found == nullptr ? 0 : found->credit;
}

std::optional<std::size_t> SharedDispatcher::from(std::size_t start) const {
    for (std::size_t i = 0; i < members_.size(); ++i) {
        const std::size_t at = (start + i) % members_.size();
        if (members_[at].credit > 0) return at;
    }
    return std::nullopt;
}

std::size_t SharedDispatcher::preferred(const SharedMessage& message) {
    switch (strategy_) {
        case SharedStrategy::RoundRobin:
            return next_;
        case SharedStrategy::Random:
            return random_.below(members_.size());
        case SharedStrategy::HashClientId:
            return message.publisher % members_.size();
        case SharedStrategy::HashTopic:
            return message.topic_hash % members_.size();
        case SharedStrategy::Sticky: {
            const auto at = std::ranges::find_if(members_, [this](const Member& m) {
                return favoured_.has_value() && m.member.member == *favoured_;
            });
            if (at == members_.end()) return random_.below(members_.size());
            return static_cast<std::size_t>(at - members_.begin());
        }
    }
    return 0;
}

std::optional<GroupMember> SharedDispatcher::pick(const SharedMessage& message) {
    if (members_.empty()) return std::nullopt;
    const auto at = from(preferred(message));
    if (!at) return std::nullopt;
    Member& member = members_[*at];
    --member.credit;
    next_ = (*at + 1) % members_.size();
    favoured_ = member.member.member;
    return member.member;
}

void SharedDispatcher::unpick(const Destination& member) {
    if (Member* found = find(member)) ++found->credit;
}

SharedDispatcher::Ticket SharedDispatcher::sent(const Destination& member, SharedBytes message,
                                                mqtt::QoS qos) {
    const Ticket ticket = next_ticket_++;
    Member* found = find(member);
    if (found == nullptr) return ticket;
    found->in_flight.emplace(ticket, InFlight{ticket, std::move(message), qos});
    owner_of_.emplace(ticket, member);
    return ticket;
}

bool SharedDispatcher::settle(Ticket ticket) {
    const auto owner = owner_of_.find(ticket);
    if (owner == owner_of_.end()) return false;
    if (Member* found = find(owner->second)) found->in_flight.erase(ticket);
    owner_of_.erase(owner);
    return true;
}

std::vector<SharedDispatcher::InFlight> SharedDispatcher::member_left(const Destination& member) {
    std::vector<InFlight> out;
    Member* found = find(member);
    if (found == nullptr) return out;
    for (auto& [ticket, message] : found->in_flight) {
        owner_of_.erase(ticket);
        out.push_back(std::move(message));
    }
    const auto index = static_cast<std::size_t>(found - members_.data());
    members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(index));
    if (next_ > index) --next_;
    if (next_ >= members_.size()) next_ = 0;
    if (favoured_ == member) favoured_.reset();
    return out;
}

}  // namespace quorate::cluster
