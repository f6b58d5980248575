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
    const PortId from = parcel->from;
    unread_[loop.value()].bytes.fetch_add(parcel->message_bytes(), std::memory_order_relaxed);
    std::optional<LoopId> sender;
    if (is_loop(from) && from != port_of(loop)) sender = loop_at(from);
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

Outbound::Outbound(Exchange& exchange, PortId self)
    : exchange_(exchange), self_(self), loops_(exchange.loops()), workers_(exchange.workers()) {}

LoopParcel& Outbound::loop(LoopId loop) {
    auto& parcel = loops_[loop.value()];
    if (parcel == nullptr) {
        parcel = std::make_unique<LoopParcel>();
        parcel->from = self_;
        parcel->publishes.from = self_;
        dirty_loops_.push_back(loop.value());
    }
    return *parcel;
}

WorkerParcel& Outbound::worker(WorkerId worker) {
    auto& parcel = workers_[worker.value()];
    if (parcel == nullptr) {
        parcel = std::make_unique<WorkerParcel>();
        parcel->from = self_;
        parcel->owned.from = self_;
        parcel->live.from = self_;
        dirty_workers_.push_back(worker.value());
    }
    return *parcel;
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

void Outbound::flush() {
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
