#include "cluster/router/leader/group_runner_base.h"

#include <memory>

#include "proto/base/assert.h"

namespace quorate::cluster {

void GroupRunnerBase::propose(std::string_view command) {
    if (refused_.empty() && try_propose(command)) {
        proposed_ = true;
        return;
    }
    refused_.emplace_back(command);
}

bool GroupRunnerBase::try_propose(std::string_view command) {
    if (group_ == nullptr) return false;
    if (group_->propose(command).ok()) return true;
    // Otherwise it waits: for what is in flight, or until somebody frees the last of the disk.
    if (group_->disk() != storage::DiskState::Full) return false;
    // Asked late: the hot path does not look at what it proposes.
    const auto decoded = decode_command(command);
    if (!decoded.ok() || !may_refuse(*decoded)) {
        return group_->propose(command, Growth::Frees).ok();
    }
    std::string refusal;
    encode_command(refusal, decoded->header, Void{true});
    return group_->propose(refusal, Growth::Frees).ok();
}

void GroupRunnerBase::propose_own(const CommandBody& body, uint64_t token) {
    std::string bytes;
    CommandHeader header;
    header.token = token;
    header.lane = {router_.incarnation(), router_.exchange().port_of(router_.id()).value(),
                   LaneClass::Leader};
    encode_command(bytes, header, body);
    propose(bytes);
}

bool GroupRunnerBase::end_turn() {
    proposed_ = false;
    if (leading()) work();
    while (!refused_.empty() && try_propose(refused_.front())) {
        refused_.pop_front();
        proposed_ = true;
    }
    return proposed_;
}

void GroupRunnerBase::on_leader(Term term) {
    led_ = true;
    term_ = term;
    if (started_) begin_leading();
}

void GroupRunnerBase::on_follower(Term term) {
    led_ = false;
    term_ = term;
    end_leading();
}

void GroupRunnerBase::start_serving() {
    started_ = true;
    if (led_) begin_leading();
}

DirectoryOp GroupRunnerBase::directory_op(std::string_view filter,
                                          const std::vector<RouteEntry>& routes) {
    DirectoryOp op;
    op.kind = DirectoryOp::Kind::SetRoutes;
    op.filter = filter;
    for (const RouteEntry& route : routes) {
        switch (route.destination.kind) {
            case DestinationKind::Shard:
                op.shards.push_back({route.destination.shard, route.best_qos});
                break;
            case DestinationKind::Group:
                op.groups.push_back({route.destination.shard, route.destination.group});
                break;
            case DestinationKind::Node:     // of other nodes: not on a single one
            case DestinationKind::Session:  // members of groups are not routes of topics
            case DestinationKind::Connection:
                break;
        }
    }
    return op;
}

std::vector<DirectoryOp> GroupRunnerBase::all_directory_ops(const RouteTable& routes) {
    std::vector<DirectoryOp> ops;
    std::vector<RouteEntry> of_filter;
    std::string filter;
    const auto finish = [&] {
        if (!of_filter.empty()) ops.push_back(directory_op(filter, of_filter));
        of_filter.clear();
    };
    routes.for_each([&](std::string_view next, const RouteEntry& route) {
        if (next != filter) {
            finish();
            filter = next;
        }
        of_filter.push_back(route);
    });
    finish();
    return ops;
}

void GroupRunnerBase::show(std::vector<DirectoryOp> ops, std::vector<GroupAnswer> then) {
    // The answers go out through a parcel to this worker's own mailbox: `shown` runs on the
    // directory's thread, which may only post.
    auto parcel = std::make_unique<WorkerParcel>();
    parcel->from = local_port(router_.outbound().self());
    parcel->shown_answers = std::move(then);
    Exchange& exchange = router_.exchange();
    const WorkerId worker = router_.id();
    router_.directory().change(std::move(ops),
                               [&exchange, worker, held = std::move(parcel)]() mutable {
                                   exchange.post(worker, std::move(held));
                               });
}

}  // namespace quorate::cluster
