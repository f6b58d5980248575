#include "cluster/router/exchange.h"

#include "proto/base/assert.h"

namespace quorate::cluster {
namespace {

// Only `push_reserved` is used: see Exchange::post.
constexpr std::size_t kUnbounded = SIZE_MAX;

}  // namespace

void Exchange::set_loop(LoopId loop, Tell tell) {
    ASSERT(loop.value() < loops_, "no such loop");
    mailboxes_[loop.value()] = std::make_unique<LoopMailbox>(kUnbounded, [] {});
    tell_[loop.value()] = std::move(tell);
}

void Exchange::post(LoopId loop, std::unique_ptr<LoopParcel> parcel) {
    // What a loop sends itself comes back by way of the directory's thread.
    const PortRef from = parcel->from;
    unread_[loop.value()].bytes.fetch_add(parcel->message_bytes(), std::memory_order_relaxed);
    std::optional<LoopId> sender;
    if (from.local() && is_loop(from.port) && from.port != port_of(loop)) {
        sender = loop_at(from.port);
    }
    mailboxes_[loop.value()]->push_reserved(std::move(parcel));
    tell_[loop.value()](sender);
}

void Exchange::post(WorkerId worker, std::unique_ptr<WorkerParcel> parcel) {
    unread_[port_of(worker).value()].bytes.fetch_add(parcel->message_bytes(),
                                                     std::memory_order_relaxed);
    post_to_worker_(worker, std::move(parcel));
}

uint64_t Exchange::unread() const {
    uint64_t sum = 0;
    for (const Unread& port : unread_)
        sum += port.bytes.load(std::memory_order_relaxed);
    return sum;
}

Outbound::Outbound(Exchange& exchange, PortId self, const OtherNodes* others)
    : exchange_(exchange),
      self_(self),
      others_(others),
      loops_(exchange.loops()),
      workers_(exchange.workers()) {
    if (others != nullptr) remote_.emplace(others->office, self);
}

std::optional<NodeId> Outbound::elsewhere(GroupId group) const {
    if (others_ == nullptr) return std::nullopt;
    const NodeId node = others_->leaders.at(group).node;
    if (node == others_->self) return std::nullopt;
    return node;
}

// The ports of all nodes are numbered alike: loops first.
PortRef Outbound::remote_port(const ConnectionRef& connection) const {
    return {connection.incarnation, exchange_.port_of(connection.loop)};
}

WorkerParcel& Outbound::leader(GroupId group) {
    const auto node = elsewhere(group);
    if (!node) return worker(exchange_.worker_of(group));
    return *node == NodeId() ? nowhere_ : remote_->leaders(*node);
}

LoopParcel& Outbound::at(const ConnectionRef& connection) {
    if (here(connection.incarnation)) return loop(connection.loop);
    return remote_->loop(remote_port(connection));
}

LoopParcel& Outbound::loop(LoopId loop) {
    auto& parcel = loops_[loop.value()];
    if (parcel == nullptr) {
        parcel = std::make_unique<LoopParcel>();
        parcel->from = local_port(self_);
        parcel->publishes.from = local_port(self_);
        dirty_loops_.push_back(loop.value());
    }
    return *parcel;
}

WorkerParcel& Outbound::worker(WorkerId worker) {
    auto& parcel = workers_[worker.value()];
    if (parcel == nullptr) {
        parcel = std::make_unique<WorkerParcel>();
        parcel->from = local_port(self_);
        parcel->owned.from = local_port(self_);
        parcel->live.from = local_port(self_);
        dirty_workers_.push_back(worker.value());
    }
    return *parcel;
}

// Of this node a port is a loop's or a worker's by its number; of another, only the asker knows.
std::vector<TakenBatch::Taken>& Outbound::taken(const PortRef& asker) {
    if (!here(asker.node)) return remote_->worker(asker).taken.taken;
    if (exchange_.is_loop(asker.port)) return loop(exchange_.loop_at(asker.port)).taken.taken;
    return worker(exchange_.worker_at(asker.port)).taken.taken;
}

std::vector<GroupAnswer>& Outbound::answers(const PortRef& asker) {
    if (!here(asker.node)) return remote_->worker(asker).answers;
    if (exchange_.is_loop(asker.port)) return loop(exchange_.loop_at(asker.port)).answers;
    return worker(exchange_.worker_at(asker.port)).answers;
}

std::vector<RetainedPage>& Outbound::pages(const PortRef& asker) {
    if (!here(asker.node)) return remote_->loop(asker).retained;
    return loop(exchange_.loop_at(asker.port)).retained;
}

std::vector<StreamAnswer>& Outbound::stream_answers(const PortRef& asker) {
    if (!here(asker.node)) return remote_->loop(asker).stream_answers;
    return loop(exchange_.loop_at(asker.port)).stream_answers;
}

std::vector<NodeCopyAnswer>& Outbound::copy_answers(const PortRef& asker) {
    if (!here(asker.node)) return remote_->worker(asker).copy_answers;
    return worker(exchange_.worker_at(asker.port)).copy_answers;
}

bool Outbound::admit(PortId port, uint64_t staged, uint64_t bytes) {
    const uint64_t waits = exchange_.unread(port) + staged;
    if (waits == 0 || waits + bytes <= exchange_.unread_bytes_max()) return true;
    exchange_.count_drop();
    return false;
}

bool Outbound::admit(LoopId loop, uint64_t bytes) {
    const auto& parcel = loops_[loop.value()];
    const uint64_t staged =
        parcel == nullptr ? 0 : parcel->publishes.bytes.size() + parcel->deliveries.bytes.size();
    return admit(exchange_.port_of(loop), staged, bytes);
}

bool Outbound::admit(WorkerId worker, uint64_t bytes) {
    const auto& parcel = workers_[worker.value()];
    const uint64_t staged =
        parcel == nullptr ? 0 : parcel->live.bytes.size() + parcel->group_batch.bytes.size();
    return admit(exchange_.port_of(worker), staged, bytes);
}

bool Outbound::admit(GroupId group, uint64_t bytes) {
    return elsewhere(group) || admit(exchange_.worker_of(group), bytes);
}

bool Outbound::admit(const ConnectionRef& connection, uint64_t bytes) {
    return !here(connection.incarnation) || admit(connection.loop, bytes);
}

void Outbound::flush() {
    if (remote_) {
        nowhere_ = {};
        remote_->flush();
    }
    for (const uint16_t loop : dirty_loops_) {
        exchange_.post(LoopId(loop), std::move(loops_[loop]));
    }
    dirty_loops_.clear();
    for (const uint16_t worker : dirty_workers_) {
        exchange_.post(WorkerId(worker), std::move(workers_[worker]));
    }
    dirty_workers_.clear();
}

}  // namespace quorate::cluster
