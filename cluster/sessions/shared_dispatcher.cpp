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

void SharedDispatcher::set_connected(const Destination& member, bool connected) {
    if (Member* found = find(member)) found->connected = connected;
}

void SharedDispatcher::all_durable_away() {
    for (Member& member : members_)
        member.connected = !member.member.durable();
}

std::optional<mqtt::QoS> SharedDispatcher::granted(const Destination& member) const {
    const auto* found = const_cast<SharedDispatcher*>(this)->find(member);  // reads only
    if (found == nullptr) return std::nullopt;
    return found->member.qos;
}

SharedDispatcher::Rank SharedDispatcher::rank(const Member& member, const SharedMessage& message) {
    if (member.connected) return Rank::Connected;
    const bool downgraded =
        message.qos != mqtt::QoS::AtMostOnce && member.member.qos == mqtt::QoS::AtMostOnce;
    return downgraded ? Rank::Loses : Rank::Keeps;
}

std::optional<std::size_t> SharedDispatcher::from(std::size_t start,
                                                  const SharedMessage& message) const {
    std::optional<std::size_t> best;
    Rank best_rank = Rank::Loses;
    bool anyone_else = false;
    for (std::size_t i = 0; i < members_.size(); ++i) {
        const std::size_t at = (start + i) % members_.size();
        const Rank its_rank = rank(members_[at], message);
        anyone_else = anyone_else || its_rank != Rank::Loses;
        if (members_[at].credit == 0 || (best && its_rank >= best_rank)) continue;
        best = at;
        best_rank = its_rank;
        if (best_rank == Rank::Connected) break;
    }
    if (best_rank == Rank::Loses && anyone_else) return std::nullopt;
    return best;
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
    const auto at = from(preferred(message), message);
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

}  // namespace quorate::cluster
