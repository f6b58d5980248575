#include "cluster/steward/group_steward.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "cluster/meta/replica_id.h"

namespace quorate::cluster {

GroupSteward::GroupSteward(GroupId group, const Clock& clock, const Log& log, Report report,
                           TableLease* lease, const Options& options)
    : id_(group),
      clock_(clock),
      log_(log),
      report_(std::move(report)),
      lease_(lease),
      options_(options) {}

GroupSteward::GroupSteward(GroupId group, const Clock& clock, const Log& log, Report report,
                           TableLease* lease)
    : GroupSteward(group, clock, log, std::move(report), lease, Options{}) {}

void GroupSteward::set_group(Group* group) {
    group_ = group;
    learnt_.reset();
    term_ = Term();
    if (group_ != nullptr) group_->set_priority(suspended_ ? 0 : options_.priority);
}

void GroupSteward::suspend(bool suspended) {
    if (std::exchange(suspended_, suspended) == suspended) return;
    if (group_ != nullptr) group_->set_priority(suspended ? 0 : options_.priority);
}

// Who may speak to this replica, and which incarnations get no lease.
void GroupSteward::learn(const MetaState& meta) {
    if (const MetaGroup* group = meta.group(id_)) {
        std::vector<ReplicaId> replicas;
        const auto add = [&replicas](ReplicaId replica) { replicas.push_back(replica); };
        group->target().for_each(add);
        group->configured.for_each(add);
        std::ranges::sort(replicas);
        const auto repeats = std::ranges::unique(replicas);
        replicas.erase(repeats.begin(), repeats.end());
        group_->set_known(std::move(replicas));
    }
    if (lease_ == nullptr) return;
    for (const auto& [id, node] : meta.nodes()) {
        if (node.first_up <= make_incarnation(id, 1)) continue;  // none was down yet
        lease_->down(Incarnation(node.first_up.value() - 1));
    }
}

void GroupSteward::tick(const MetaState& meta, LogIndex as_of) {
    if (group_ == nullptr) return;
    if (learnt_ != as_of) {
        learnt_ = as_of;
        learn(meta);
    }
    if (!group_->leading()) return;
    if (group_->term() != term_) {
        term_ = group_->term();
        catch_up_ = CatchUp();
        reported_.reset();
        transfer_due_ = {};
    }
    catch_up_.sample(group_->committed(), clock_.now());
    const GroupStep step = next_step(meta, view());
    std::visit([this](const auto& each) { carry_out(each); }, step);
}

LedGroupView GroupSteward::view() const {
    LedGroupView view;
    view.group = id_;
    view.self = group_->self();
    view.configuration = group_->configuration();
    view.configuration_index = group_->configuration_index();
    view.committed = view.configuration_index <= group_->committed();
    view.transferring = group_->transferring();
    view.suspended = suspended_ || group_->disk() != storage::DiskState::Ample;
    for (const GroupFollower& follower : group_->followers()) {
        if (!follower.recently_active || !catch_up_.caught_up(follower.match)) continue;
        view.caught_up.push_back(follower.replica);
        if (follower.priority == 0) view.unwilling.push_back(follower.replica);
    }
    if (lease_ != nullptr) view.leased = lease_->leased();
    return view;
}

void GroupSteward::carry_out(const NothingToDo& /*step*/) {
    if (lease_ != nullptr) lease_->stop({});
}

void GroupSteward::carry_out(const ChangeConfiguration& step) {
    const Result<EntryId> begun = group_->change(step.to);
    if (!begun) {
        log_.debug("change of members not begun",
                   {{"group", id_.value()}, {"error", begun.error().message}});
        return;
    }
    log_.info("changing members", {{"group", id_.value()},
                                   {"term", group_->term().value()},
                                   {"index", begun->index.value()},
                                   {"voters", step.to.voters.size()},
                                   {"learners", step.to.learners.size()}});
}

void GroupSteward::carry_out(const TransferLeadership& step) {
    const std::chrono::nanoseconds now = clock_.now();
    if (now < transfer_due_) return;
    transfer_due_ = now + options_.transfer_again;
    if (!group_->transfer(step.to)) return;
    log_.info("handing over leadership", {{"group", id_.value()},
                                          {"term", group_->term().value()},
                                          {"to_node", node_of(step.to).value()}});
}

void GroupSteward::carry_out(const ReportConfigured& step) {
    const std::chrono::nanoseconds now = clock_.now();
    if (reported_ == step.index && now < report_due_) return;
    reported_ = step.index;
    report_due_ = now + options_.report_again;
    report_(Configured{id_, step.index, step.configuration});
}

void GroupSteward::carry_out(const StopLeases& step) {
    if (lease_ != nullptr) lease_->stop(step.nodes);
}

}  // namespace quorate::cluster
