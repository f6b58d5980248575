#include "cluster/router/leader/wildcards_runner.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "cluster/group/group_ids.h"
#include "proto/base/assert.h"

namespace quorate::cluster {
namespace {

// Routes that one NodeDown removes before others get their turn.
constexpr uint32_t kStepLimit = 256;

}  // namespace

WildcardsRunner::WildcardsRunner(WorkerRouter& router, const Log& log)
    : GroupRunnerBase(kWildcardsGroup, router, log), state_(kStepLimit) {}

void WildcardsRunner::set_lease(TableLease* lease) {
    lease_ = lease;
    lease_->on_made = [this](LogIndex index) { made(index); };
}

Status WildcardsRunner::load(storage::StateStore& store, LogIndex applied, ClusterTime) {
    actions_.clear();
    changed_filters_.clear();
    state_.routes().for_each([this](std::string_view filter, const RouteEntry&) {
        if (replaced_filters_.empty() || replaced_filters_.back() != filter)
            replaced_filters_.emplace_back(filter);
    });
    reloaded_ = true;
    applied_ = applied;
    return state_.load(store);
}

void WildcardsRunner::unloaded() {
    hide_all();
    set_group(nullptr);
}

Status WildcardsRunner::apply(const CommandEntry& entry, storage::StateBatch& batch) {
    CommandReader reader = entry.commands;
    while (const auto command = reader.next()) {
        const std::size_t first = actions_.answers.size();
        if (Status status = state_.apply(*command, batch, actions_); !status.ok()) return status;
        note_route_changes(*command, first);
    }
    state_.end_entry(batch);
    if (!reader.finished()) return Error{ErrorCode::Corrupt, "entry with damaged commands"};
    return {};
}

void WildcardsRunner::note_route_changes(std::string_view command, std::size_t first) {
    for (std::size_t at = first; at < actions_.answers.size(); ++at) {
        if (!std::holds_alternative<RouteResult>(actions_.answers[at].result)) continue;
        const auto decoded = decode_command(command);
        ASSERT(decoded.ok(), "an applied command can be decoded");
        if (const auto* route = std::get_if<Route>(&decoded->body)) {
            changed_filters_.emplace_back(route->filter);
        }
    }
}

void WildcardsRunner::applied(LogIndex index) {
    applied_ = index;
    std::vector<GroupAnswer> answers;
    if (leading()) {
        for (Answer& answer : actions_.answers)
            answers.push_back({group_id(), std::move(answer)});
        if (actions_.work_left) owe_node_downs();
    }
    if (lease_ == nullptr) {
        if (!answers.empty()) show(changed_ops(), std::move(answers));
    } else {
        if (!answers.empty()) waiting_.push_back({index, std::move(answers)});
        if (!reloaded_) show_changed(changed_ops(), index);
        lease_->committed(index);
    }
    actions_.clear();
    changed_filters_.clear();
}

std::vector<DirectoryOp> WildcardsRunner::changed_ops() const {
    std::vector<DirectoryOp> ops;
    for (const std::string& filter : changed_filters_)
        ops.push_back(directory_op(filter, state_.routes().routes_of(filter)));
    return ops;
}

void WildcardsRunner::show_changed(std::vector<DirectoryOp> ops, LogIndex index) {
    auto parcel = std::make_unique<WorkerParcel>();
    parcel->wildcards_shown = index;
    show(std::move(ops), std::move(parcel));
}

void WildcardsRunner::shown(LogIndex index) {
    if (lease_ != nullptr) lease_->shown(index);
}

void WildcardsRunner::made(LogIndex index) {
    while (!waiting_.empty() && waiting_.front().index <= index) {
        for (GroupAnswer& answer : waiting_.front().answers)
            router_.route_answer(std::move(answer));
        waiting_.pop_front();
    }
}

void WildcardsRunner::turn() {
    if (lease_ == nullptr) return;
    if (reloaded_) {
        reloaded_ = false;
        std::vector<DirectoryOp> ops;
        for (const std::string& filter : replaced_filters_)
            ops.push_back(directory_op(filter, {}));
        replaced_filters_.clear();
        std::ranges::move(table_ops(), std::back_inserter(ops));
        show_changed(std::move(ops), applied_);
        lease_->committed(applied_);
    }
    const auto now = router_.nodes()->now();
    if (now < next_tick_) return;
    next_tick_ = now + kLeaseTick;
    lease_->tick();
}

std::vector<DirectoryOp> WildcardsRunner::table_ops() const {
    return all_directory_ops(state_.routes());
}

void WildcardsRunner::begin_leading() {
    if (lease_ == nullptr) return show(table_ops(), std::vector<GroupAnswer>());
    lease_->lead(term(), group_->term_start());
    router_.nodes()->lead(group_id(), term());
    owe_node_downs();
}

void WildcardsRunner::end_leading() {
    waiting_.clear();
    if (lease_ != nullptr) lease_->follow();
}

void WildcardsRunner::peers_changed() {
    if (leading()) owe_node_downs();
}

// Alone, routes lead to shards only.
void WildcardsRunner::owe_node_downs() {
    for (const Incarnation node : state_.routes().nodes()) {
        if (router_.ended(node)) propose_own(NodeDown{node});
    }
}

}  // namespace quorate::cluster
