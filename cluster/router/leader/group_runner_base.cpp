#include "cluster/router/leader/group_runner_base.h"

#include <memory>

#include "proto/base/assert.h"

namespace quorate::cluster {

void GroupRunnerBase::propose(std::string_view command) {
    // Among other nodes whoever asked looks for the leader again; alone there is no other.
    if (!led_ && router_.nodes() != nullptr) return;
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
    turn();
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
    if (WorkerNodes* nodes = router_.nodes()) {
        nodes->follow(group_id_);
        refused_.clear();
    }
    end_leading();
}

void GroupRunnerBase::tables_shown(Term term) {
    if (leading() && term == term_) router_.nodes()->lead(group_id_, term);
}

bool GroupRunnerBase::confirm(std::function<void(bool)> done) {
    return leading() && group_ != nullptr && group_->read(std::move(done)).ok();
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
            case DestinationKind::Node:
                op.nodes.push_back(route.destination.node);
                break;
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
    auto parcel = std::make_unique<WorkerParcel>();
    parcel->shown_answers = std::move(then);
    show(std::move(ops), std::move(parcel));
}

// What follows comes through a parcel to this worker's own mailbox: `shown` runs on the directory's
// thread, which may only post.
void GroupRunnerBase::show(std::vector<DirectoryOp> ops, std::unique_ptr<WorkerParcel> then) {
    then->from = local_port(router_.outbound().self());
    Exchange& exchange = router_.exchange();
    const WorkerId worker = router_.id();
    router_.directory().change(std::move(ops),
                               [&exchange, worker, held = std::move(then)]() mutable {
                                   exchange.post(worker, std::move(held));
                               });
}

void GroupRunnerBase::show_all() {
    auto parcel = std::make_unique<WorkerParcel>();
    if (router_.nodes() != nullptr) parcel->tables_shown.emplace_back(group_id_, term_);
    show(table_ops(), std::move(parcel));
}

void GroupRunnerBase::hide_all() {
    std::vector<DirectoryOp> ops = table_ops();
    for (DirectoryOp& op : ops) {
        op.shards.clear();
        op.groups.clear();
        op.nodes.clear();
    }
    show(std::move(ops), std::vector<GroupAnswer>());
}

}  // namespace quorate::cluster
