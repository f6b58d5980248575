// The post office of a node: how a thread hands its parcels to the other threads of the node.
//
// Each thread fills an `Outbound` during its turn and flushes it at the end: at most one parcel,
// one post and one wake-up per destination and turn.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "cluster/router/traffic.h"
#include "proto/base/ids.h"
#include "proto/base/mailbox.h"
#include "proto/base/task.h"

namespace quorate::cluster {

// Who lives at which port, and how parcels reach them.
//
// Thread: made before the threads start, then read by all. Owner: the Cluster.
class Exchange {
  public:
    using LoopMailbox = Mailbox<std::unique_ptr<LoopParcel>>;
    using PostToWorker = std::function<void(WorkerId, std::unique_ptr<WorkerParcel>)>;

    Exchange(uint16_t loops, uint16_t workers) : loops_(loops), workers_(workers) {
        mailboxes_.resize(loops);
        tell_.resize(loops);
    }

    // Tells a loop of a parcel in its mailbox; see Cluster::make_port.
    using Tell = std::function<void(std::optional<LoopId> sender)>;
    // Before traffic begins.
    void set_loop(LoopId loop, Tell tell);
    void set_workers(PostToWorker post) { post_to_worker_ = std::move(post); }

    [[nodiscard]] uint16_t loops() const { return loops_; }
    [[nodiscard]] uint16_t workers() const { return workers_; }
    [[nodiscard]] uint16_t ports() const { return static_cast<uint16_t>(loops_ + workers_); }
    [[nodiscard]] bool is_loop(PortId port) const { return port.value() < loops_; }
    [[nodiscard]] PortId port_of(LoopId loop) const { return PortId(loop.value()); }
    [[nodiscard]] PortId port_of(WorkerId worker) const {
        return PortId(static_cast<uint16_t>(loops_ + worker.value()));
    }
    // Requires: is_loop(port), or not.
    [[nodiscard]] LoopId loop_at(PortId port) const { return LoopId(port.value()); }
    [[nodiscard]] WorkerId worker_at(PortId port) const {
        return WorkerId(static_cast<uint16_t>(port.value() - loops_));
    }

    // Parcels are bounded by what their senders are allowed to have unanswered, so that a
    // post cannot fail. Thread: any.
    void post(LoopId loop, std::unique_ptr<LoopParcel> parcel);
    void post(WorkerId worker, std::unique_ptr<WorkerParcel> parcel);
    // Thread: the loop's; its size() from any.
    [[nodiscard]] LoopMailbox& mailbox(LoopId loop) { return *mailboxes_[loop.value()]; }

  private:
    uint16_t loops_;
    uint16_t workers_;
    std::vector<std::unique_ptr<LoopMailbox>> mailboxes_;
    std::vector<Tell> tell_;
    PostToWorker post_to_worker_;
};

// What a thread has gathered for the others in this turn. Thread, Owner: that thread's.
class Outbound {
  public:
    Outbound(Exchange& exchange, PortId self);

    [[nodiscard]] LoopParcel& loop(LoopId loop);
    [[nodiscard]] WorkerParcel& worker(WorkerId worker);
    // Hands everything over.
    void flush();
    [[nodiscard]] PortId self() const { return self_; }
    [[nodiscard]] Exchange& exchange() { return exchange_; }

  private:
    Exchange& exchange_;
    PortId self_;
    std::vector<std::unique_ptr<LoopParcel>> loops_;
    std::vector<std::unique_ptr<WorkerParcel>> workers_;
    std::vector<uint16_t> dirty_loops_;
    std::vector<uint16_t> dirty_workers_;
};

}  // namespace quorate::cluster
