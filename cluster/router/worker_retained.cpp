// WorkerRouter: pages of retained messages, to loops and into the queues of durable sessions.
#include <algorithm>
#include <iterator>
#include <utility>

#include "cluster/group/group_ids.h"
#include "cluster/router/leader/shard_runner.h"
#include "cluster/router/worker_router.h"
#include "proto/base/assert.h"

namespace quorate::cluster {
namespace {

// Retained messages in one page: the worker turns to others between pages.
constexpr uint32_t kRetainedPage = 256;

}  // namespace

// At the worker of the session's shard: nothing is read before there is room for it.
void WorkerRouter::make_room(RetainedQuery query) {
    if (leading_shard(query.durable->shard) == nullptr) return;  // it is asked for again
    query.room = shard_runner(query.durable->shard)->replay_room(query.durable->session);
    if (query.room == 0) {
        RetainedPage page;
        page.token = query.token;
        page.worker = id();
        page.next = query.at;
        page.full = true;
        outbound_.pages(query.from).push_back(std::move(page));
        return;
    }
    const GroupId group = group_of(query.at.shard);
    if (!outbound_.elsewhere(group) && worker_of(group) == id()) return read_retained(query);
    outbound_.leader(group).retained.push_back(std::move(query));
}

// What a leader reads must be what the group holds: one that was deposed finds out first (G4).
void WorkerRouter::read_retained(const RetainedQuery& query) {
    if (!nodes_ || (query.durable && query.room == 0)) return scan_retained(query);
    ShardRunner* runner = leading_shard(query.at.shard);
    if (runner == nullptr) return;
    const bool begun = runner->confirm([this, query](bool confirmed) {
        if (confirmed && leading_shard(query.at.shard) != nullptr) scan_retained(query);
    });
    if (!begun) return;
}

void WorkerRouter::scan_retained(const RetainedQuery& query) {
    if (query.durable && query.room == 0) return make_room(query);
    const uint32_t room = std::min(kRetainedPage, query.room);
    RetainedPage page;
    page.token = query.token;
    page.worker = id();
    RetainedQuery part = query;
    for (auto at = runners_.lower_bound(group_of(query.at.shard)); at != runners_.end(); ++at) {
        auto* runner = static_cast<ShardRunner*>(at->second);
        if (part.at.shard != runner->shard()) part.at = {runner->shard(), {}};
        if (!runner->retained(part, room, page) || !query.whole_worker) break;
        if (page.messages.size() >= room && std::next(at) != runners_.end()) {
            page.next =
                RetainedCursor{static_cast<ShardRunner*>(std::next(at)->second)->shard(), {}};
            break;
        }
    }
    if (query.durable) {
        if (!page.next && query.durable->then) page.next = RetainedCursor{*query.durable->then, {}};
        // An empty page is worth a command only when it is the last.
        if (!page.messages.empty() || !page.next) return replay(query, std::move(page));
    }
    outbound_.pages(query.from).push_back(std::move(page));
}

void WorkerRouter::replay(const RetainedQuery& query, RetainedPage&& page) {
    Replay command;
    command.session = query.durable->session;
    command.filter = query.durable->filter;
    command.id = query.durable->replay;
    command.from = {query.durable->from.shard, query.durable->from.after};
    if (page.next) command.next = Replay::Position{page.next->shard, page.next->after};
    for (const SharedBytes& flat : page.messages)
        command.messages.push_back(flat.text());
    const uint64_t id = next_replay_++;
    submit(group_of(query.durable->shard), LaneClass::Publish, lane_token(LaneUser::Replay, id),
           std::nullopt, command);
    replays_.emplace(id, ReplayUnderWay{query.from, std::move(page)});
}

void WorkerRouter::on_replayed(uint64_t id, const Answer& answer) {
    const auto found = replays_.find(id);
    ASSERT(found != replays_.end(), "a replay is answered once");
    const PortRef from = found->second.from;
    RetainedPage page = std::move(found->second.page);
    replays_.erase(found);
    page.noted = true;
    // Without a result nothing is owed any more: the subscription has ended, or was made anew.
    page.next.reset();
    if (const auto* result = std::get_if<ReplayResult>(&answer.result)) {
        if (result->left) page.next = RetainedCursor{result->left->shard, result->left->after};
        page.full = result->full;
    }
    page.messages.clear();
    outbound_.pages(from).push_back(std::move(page));
}

}  // namespace quorate::cluster
