#include "cluster/control/group_reconciler.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "cluster/control/mutants.h"
#include "cluster/group/group_ids.h"
#include "cluster/meta/replica_id.h"

namespace quorate::cluster {
namespace {

using Ids = std::vector<ReplicaId>;

bool sorted_has(const Ids& ids, ReplicaId id) {
    return std::binary_search(ids.begin(), ids.end(), id);
}

// Its node leads, as far as `meta` knows.
bool may_lead(const MetaState& meta, ReplicaId replica) {
    const MetaNode* node = meta.node(node_of(replica));
    return node != nullptr && node->state == NodeState::Active && node->up();
}

class Reconciler {
  public:
    Reconciler(const MetaState& meta, const MetaGroup& group, const LedGroupView& view)
        : meta_(meta), group_(group), view_(view), target_(group.target()) {}

    [[nodiscard]] GroupStep step() const {
        // The core completes a joint change by itself; until then it takes no other.
        if (view_.transferring) return NothingToDo{};
        if (const auto to = must_hand_over()) return TransferLeadership{*to};
        if (!view_.committed || now().joint()) return NothingToDo{};
        const bool reported = group_.configured_index >= view_.configuration_index;
        if (!reported && !mutated(ControlMutant::ChangeUnreported)) {
            return ReportConfigured{view_.configuration_index, now()};
        }
        const raft::Configuration prepared = with_learners();
        if (prepared != now()) return change(prepared);
        if (now().voters != target_.voters) return change_voters();
        if (now() != target_) return change(target_);
        if (!reported) return ReportConfigured{view_.configuration_index, now()};
        return lead_where_preferred();
    }

  private:
    [[nodiscard]] const raft::Configuration& now() const { return view_.configuration; }
    [[nodiscard]] bool could_take_over(ReplicaId replica) const {
        return replica != view_.self && now().votes(replica) &&
               sorted_has(view_.caught_up, replica) && !sorted_has(view_.unwilling, replica);
    }

    [[nodiscard]] std::optional<ReplicaId> must_hand_over() const {
        const MetaNode* node = meta_.node(node_of(view_.self));
        const bool leads = node != nullptr && node->state == NodeState::Active && !view_.suspended;
        if (leads) return std::nullopt;
        return successor(now().voters);
    }

    // Of these, the first in the order of preference; whoever stays in the group before others.
    [[nodiscard]] std::optional<ReplicaId> successor(const Ids& among) const {
        const auto fits = [&](ReplicaId id) {
            return sorted_has(among, id) && could_take_over(id) && may_lead(meta_, id);
        };
        const auto preferred = std::ranges::find_if(group_.voters, fits);
        if (preferred != group_.voters.end()) return *preferred;
        const auto other = std::ranges::find_if(among, fits);
        if (other != among.end()) return *other;
        return std::nullopt;
    }

    // The voters of now, and as learners all who are wanted and no others.
    [[nodiscard]] raft::Configuration with_learners() const {
        raft::Configuration next{now().voters, {}, {}};
        target_.for_each([&](ReplicaId id) {
            if (!now().votes(id)) next.learners.push_back(id);
        });
        std::ranges::sort(next.learners);
        return next;
    }

    [[nodiscard]] GroupStep change_voters() const {
        const auto ready = [&](ReplicaId id) {
            return id == view_.self || sorted_has(view_.caught_up, id);
        };
        const bool caught_up = std::ranges::all_of(target_.voters, [&](ReplicaId id) {
            return now().votes(id) || ready(id) || mutated(ControlMutant::PromoteLaggard);
        });
        if (!caught_up || !raft::Configuration::majority(target_.voters, ready)) {
            return NothingToDo{};
        }
        if (!target_.votes(view_.self)) {
            Ids staying;
            std::ranges::set_intersection(now().voters, target_.voters,
                                          std::back_inserter(staying));
            if (const auto to = successor(staying)) return TransferLeadership{*to};
            // None of them can lead now: the core hands over when the change is committed.
        }
        return change(target_);
    }

    // A node without a copy must not go on with a lease that nobody counts.
    [[nodiscard]] GroupStep change(const raft::Configuration& to) const {
        if (shard_of_group(view_.group).has_value()) return ChangeConfiguration{to};
        StopLeases stop;
        now().for_each([&](ReplicaId id) {
            const NodeId node = node_of(id);
            bool stays = false;
            to.for_each([&](ReplicaId other) { stays = stays || node_of(other) == node; });
            if (!stays && std::ranges::binary_search(view_.leased, node)) {
                stop.nodes.push_back(node);
            }
        });
        if (stop.nodes.empty() || mutated(ControlMutant::LeaseIgnored)) {
            return ChangeConfiguration{to};
        }
        return stop;
    }

    [[nodiscard]] GroupStep lead_where_preferred() const {
        for (const ReplicaId id : group_.voters) {
            if (!may_lead(meta_, id)) continue;
            if (id == view_.self) return NothingToDo{};
            if (sorted_has(view_.unwilling, id)) continue;
            if (could_take_over(id)) return TransferLeadership{id};
            return NothingToDo{};  // it lags: soon
        }
        return NothingToDo{};
    }

    const MetaState& meta_;
    const MetaGroup& group_;
    const LedGroupView& view_;
    raft::Configuration target_;
};

}  // namespace

GroupStep next_step(const MetaState& meta, const LedGroupView& view) {
    const MetaGroup* group = meta.group(view.group);
    if (group == nullptr) return NothingToDo{};
    return Reconciler(meta, *group, view).step();
}

}  // namespace quorate::cluster
