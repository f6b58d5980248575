#include "cluster/lease/table_granter.h"

#include <algorithm>

#include "cluster/mutants.h"

namespace quorate::cluster {

void TableGranter::begin(LogIndex first, std::span<const NodeId> members, BootTime now) {
    end();
    leading_ = true;
    first_ = first;
    for (const NodeId node : members) {
        Member& member = members_[node];
        // Whatever the leader before has granted began before this moment.
        if (!mutated(RuleMutant::NewLeaderMakesAtOnce)) member.owed_until = now + times_.owed();
        member.heard = now;
    }
}

void TableGranter::end() {
    leading_ = false;
    first_ = committed_ = made_ = overdue_ = LogIndex();
    pending_.clear();
    members_.clear();
    round_.reset();
}

void TableGranter::add_member(NodeId node, BootTime now) {
    Member& member = members_[node];
    member.leaving = false;
    member.heard = std::max(member.heard, now);  // it has a lease's time to say something
}

void TableGranter::leave(NodeId node) {
    const auto found = members_.find(node);
    if (found != members_.end()) found->second.leaving = true;
}

bool TableGranter::may_leave(NodeId node, BootTime now) const {
    const auto found = members_.find(node);
    if (found == members_.end()) return true;
    return found->second.leaving && found->second.owed_until <= now;
}

void TableGranter::down(Incarnation incarnation) {
    const auto found = members_.find(node_of(incarnation));
    if (found == members_.end()) return;
    Member& member = found->second;
    member.first_up = std::max(member.first_up, incarnation.next());
    if (member.incarnation >= member.first_up) return;
    member.waiting.reset();
    member.in_round.reset();
}

void TableGranter::committed(LogIndex index, BootTime now) {
    if (!leading_ || index <= committed_) return;
    committed_ = index;
    // Sixteen steps of age are exact enough, and bound the queue whatever the rate of entries.
    const BootTime step = BootTime(times_.lag_max) / 16;
    if (!pending_.empty() && now < pending_.back().since + step) {
        pending_.back().index = index;
    } else {
        pending_.push_back({index, now});
    }
    age(now);
}

void TableGranter::age(BootTime now) {
    while (!pending_.empty() && pending_.front().since + BootTime(times_.lag_max) <= now) {
        overdue_ = pending_.front().index;
        pending_.pop_front();
    }
}

void TableGranter::request(const LeaseRequest& request, BootTime now,
                           std::vector<LeaseAnswer>& out) {
    const auto found = members_.find(node_of(request.holder));
    if (!leading_ || found == members_.end()) return;
    Member& member = found->second;
    if (request.holder < member.first_up) {
        out.push_back({request.holder, request.id, LeaseVerdict::Fenced});
        return;
    }
    if (request.holder < member.incarnation) return;
    if (request.holder > member.incarnation) {
        // A new start of the node: its tables are new, and so are its requests.
        member.incarnation = request.holder;
        member.shown = LogIndex();
        member.waiting.reset();
        member.in_round.reset();
    }
    member.shown = std::max(member.shown, request.shown);
    member.heard = std::max(member.heard, now);
    if (member.leaving) return;
    if (mutated(RuleMutant::GrantUnconfirmed)) {
        member.owed_until = std::max(member.owed_until, now + times_.owed());
        out.push_back({member.incarnation, request.id, LeaseVerdict::Granted});
        return;
    }
    member.waiting = Waiting{request.id, now};
}

bool TableGranter::wants_round() const {
    // Before the first entry of its own term is committed a leader may not confirm anything.
    if (!leading_ || round_ || committed_ < first_) return false;
    return std::ranges::any_of(members_,
                               [](const auto& each) { return each.second.waiting.has_value(); });
}

void TableGranter::round_begun(uint64_t id) {
    round_ = id;
    for (auto& [node, member] : members_) {
        if (!member.waiting) continue;
        member.in_round = member.waiting;
        member.waiting.reset();
    }
}

bool TableGranter::shows_enough(const Member& member) const {
    const LogIndex counted = std::max(made_, first_);
    if (member.shown < counted && !mutated(RuleMutant::BehindMadeGranted)) return false;
    return member.shown >= overdue_ || mutated(RuleMutant::LaggardGranted);
}

void TableGranter::round_confirmed(uint64_t id, BootTime now, std::vector<LeaseAnswer>& out) {
    if (!round_ || *round_ != id) return;
    round_.reset();
    age(now);
    (void)made(now);
    for (auto& [node, member] : members_) {
        if (!member.in_round) continue;
        const Waiting asked = *member.in_round;
        member.in_round.reset();
        if (member.leaving) continue;
        const bool granted = shows_enough(member);
        // The holder counts from its stamp, which was before the request came.
        if (granted) member.owed_until = std::max(member.owed_until, asked.came + times_.owed());
        out.push_back({member.incarnation, asked.id,
                       granted ? LeaseVerdict::Granted : LeaseVerdict::Suspended});
    }
}

void TableGranter::round_failed(uint64_t id) {
    if (!round_ || *round_ != id) return;
    round_.reset();
    for (auto& [node, member] : members_) {
        if (member.in_round && !member.waiting) member.waiting = member.in_round;
        member.in_round.reset();
    }
}

LogIndex TableGranter::made(BootTime now) {
    if (!leading_) return {};
    LogIndex all = committed_;
    for (const auto& [node, member] : members_) {
        if (member.owed_until > now) all = std::min(all, member.shown);
    }
    made_ = std::max(made_, all);
    return made_;
}

std::vector<TableGranter::Report> TableGranter::report(BootTime now) {
    age(now);
    std::vector<Report> out;
    for (const auto& [node, member] : members_) {
        Report& each = out.emplace_back();
        each.node = node;
        each.incarnation = member.incarnation;
        each.shown = member.shown;
        each.holds = member.owed_until > now;
        each.silent = member.heard + times_.owed() <= now;
        each.suspended = !each.silent && !shows_enough(member);
    }
    return out;
}

}  // namespace quorate::cluster
