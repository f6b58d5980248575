#include "cluster/group/group_runner.h"

#include <algorithm>
#include <utility>

#include "proto/base/assert.h"
#include "storage/keys.h"

namespace quorate::cluster {

GroupRunner::GroupRunner(GroupContext context, storage::LogSink& sink, GroupRunnerOptions options)
    : context_(context),
      sink_(sink),
      options_(std::move(options)),
      next_tick_(context.clock.now() + options_.tick) {}

GroupRunner::~GroupRunner() = default;

Result<Group*> GroupRunner::add(const GroupOptions& options, StateMachine& machine) {
    if (groups_.contains(options.id)) {
        return Error{ErrorCode::AlreadyExists,
                     "group " + std::to_string(options.id.value()) + " is here already"};
    }
    if (removals_.contains(options.id)) {
        return Error{ErrorCode::Unavailable,
                     "group " + std::to_string(options.id.value()) + " is being removed"};
    }
    cuts_.erase(options.id);  // one of before
    Result<std::unique_ptr<Group>> group = Group::open(options, context_, machine);
    if (!group) return group.error();
    Group* added = group->get();
    groups_.emplace(options.id, std::move(*group));
    added->set_touched(&touched_);
    added->set_counters(&counters_);
    added->touch();
    return added;
}

Group* GroupRunner::find(GroupId id) {
    const auto found = groups_.find(id);
    return found == groups_.end() ? nullptr : found->second.get();
}

// First the log, then the state: the other order would leave a log whose state is gone. Whatever
// the group has asked the flusher for comes back before the flush that ends the removal.
Status GroupRunner::remove(GroupId id, std::function<void()> done) {
    const auto [removal, created] = removals_.try_emplace(id);
    if (!created) {
        return Error{ErrorCode::Unavailable,
                     "group " + std::to_string(id.value()) + " is being removed already"};
    }
    removal->second.done = std::move(done);
    to_remove_.push_back(id);
    auto found = groups_.extract(id);
    if (!found) return {};
    Group* group = found.mapped().get();
    removal->second.group = std::move(found.mapped());
    group->retire();
    std::erase(touched_, group);
    std::erase(held_, group);
    for (Request& request : requests_) {
        std::erase(request.writers, group);
    }
    return {};
}

void GroupRunner::remove_state(GroupId id) {
    storage::StateBatch batch;
    batch.set_prefix(storage::group_prefix(id));
    batch.remove_range({}, {});
    Status done = context_.state.write(batch);
    const auto finish = [this, id] {
        const auto removal = removals_.extract(id);
        if (removal.mapped().done) removal.mapped().done();
    };
    if (done && context_.flusher != nullptr) {
        context_.flusher->flush(finish);
        return;
    }
    if (done) done = context_.state.flush();
    if (done) {
        finish();
        return;
    }
    if (!options_.on_failure) QUORATE_FATAL(done.error().message.c_str());
    options_.on_failure(done.error());
}

bool GroupRunner::turn() {
    figures_ = TurnFigures{};
    counters_.commits.clear();
    run_ticks();
    turn_.swap(touched_);
    write_log();
    apply();
    turn_.clear();
    return !touched_.empty();
}

void GroupRunner::run_ticks() {
    const std::chrono::nanoseconds now = context_.clock.now();
    if (now < next_tick_) return;
    // After a pause one tick, not a burst of them: missed time is no reason to depose anybody.
    next_tick_ = now + options_.tick;
    for (auto& [id, group] : groups_) {
        if (group->needs_ticks()) group->tick();
    }
}

void GroupRunner::write_log() {
    const bool hold = requests_.size() >= storage::kLogRequestsInFlight;
    storage::LogRequest request;
    std::vector<Group*> writers;
    for (Group* group : turn_) {
        if (group->collect(request.batch, hold)) writers.push_back(group);
        if (hold && group->has_pending() &&
            std::find(held_.begin(), held_.end(), group) == held_.end()) {
            held_.push_back(group);
        }
    }
    for (const auto& [id, synced] : std::exchange(cuts_, {})) {
        if (Group* group = find(id)) group->cut(synced, request.batch);
    }
    for (const GroupId id : to_remove_) {
        request.batch.remove(id);
    }
    if (writers.empty() && request.batch.empty()) return;
    figures_.groups_written = writers.size();
    figures_.entries_written = request.batch.entries();
    requests_.push_back(Request{std::move(writers), std::exchange(to_remove_, {})});
    request.done = options_.post_log_done;
    sink_.submit(std::move(request));
}

void GroupRunner::log_done() {
    ASSERT(!requests_.empty(), "a request completed that was never made");
    const Request request = std::move(requests_.front());
    requests_.pop_front();
    for (Group* group : request.writers) {
        group->persisted();
    }
    for (const GroupId id : request.removed) {
        remove_state(id);
    }
    for (Group* group : std::exchange(held_, {})) {
        group->touch();
    }
}

void GroupRunner::apply() {
    std::erase_if(turn_, [](const Group* group) { return !group->has_committed(); });
    if (turn_.empty()) return;
    const std::chrono::nanoseconds started = context_.clock.now();
    state_batch_.clear();
    for (Group* group : turn_) {
        figures_.entries_applied += group->committed_.size();
        group->commands_applied_ = 0;
        group->note_commits(started);
        group->apply_committed(state_batch_);
        figures_.commands_applied += group->commands_applied_;
    }
    const Status written = context_.state.write(state_batch_);
    if (!written) {
        if (!options_.on_failure) QUORATE_FATAL(written.error().message.c_str());
        options_.on_failure(written.error());
        return;
    }
    figures_.apply = context_.clock.now() - started;
    for (Group* group : turn_) {
        group->after_apply();
    }
}

void GroupRunner::state_synced(GroupId id, LogIndex synced) {
    cuts_[id] = synced;
}

bool GroupRunner::any_needs_ticks() const {
    return std::any_of(groups_.begin(), groups_.end(),
                       [](const auto& entry) { return entry.second->needs_ticks(); });
}

std::optional<std::chrono::nanoseconds> GroupRunner::next_tick() const {
    if (!any_needs_ticks()) return std::nullopt;
    return next_tick_;
}

}  // namespace quorate::cluster
