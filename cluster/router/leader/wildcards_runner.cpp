#include "cluster/router/leader/wildcards_runner.h"

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

Status WildcardsRunner::load(storage::StateStore& store, LogIndex, ClusterTime) {
    actions_.clear();
    changed_filters_.clear();
    return state_.load(store);
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

void WildcardsRunner::applied(LogIndex) {
    if (leading() && !actions_.answers.empty()) {
        std::vector<DirectoryOp> ops;
        for (const std::string& filter : changed_filters_) {
            ops.push_back(directory_op(filter, state_.routes().routes_of(filter)));
        }
        std::vector<GroupAnswer> answers;
        for (Answer& answer : actions_.answers)
            answers.push_back({group_id(), std::move(answer)});
        show(std::move(ops), std::move(answers));
    }
    actions_.clear();
    changed_filters_.clear();
}

std::vector<DirectoryOp> WildcardsRunner::table_ops() const {
    return all_directory_ops(state_.routes());
}

void WildcardsRunner::begin_leading() {
    show(table_ops(), {});
}

}  // namespace quorate::cluster
