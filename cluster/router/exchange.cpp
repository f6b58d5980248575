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
    std::optional<LoopId> sender;
    if (is_loop(from) && from != port_of(loop)) sender = loop_at(from);
    mailboxes_[loop.value()]->push_reserved(std::move(parcel));
    tell_[loop.value()](sender);
}

void Exchange::post(WorkerId worker, std::unique_ptr<WorkerParcel> parcel) {
    post_to_worker_(worker, std::move(parcel));
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
