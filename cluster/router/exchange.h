// The post office of a node: how a thread hands its parcels to the other threads of the node.
//
// Each thread fills an `Outbound` during its turn and flushes it at the end: at most one parcel,
// one post and one wake-up per destination and turn.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "cluster/router/remote/leaders.h"
#include "cluster/router/remote/peers.h"
#include "cluster/router/remote/remote_outbound.h"
#include "cluster/router/traffic.h"
#include "proto/base/environment.h"
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

    // `unread_bytes_max`: with more of them unread a port gets no further QoS 0 messages.
    Exchange(uint16_t loops, uint16_t workers, uint64_t unread_bytes_max = 32ULL << 20)
        : loops_(loops),
          workers_(workers),
          unread_bytes_max_(unread_bytes_max),
          unread_(std::size_t{loops} + workers) {
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
    // Where GroupHost pins a group.
    [[nodiscard]] WorkerId worker_of(GroupId group) const {
        return WorkerId(static_cast<uint16_t>(group.value() % workers_));
    }
    [[nodiscard]] PortId port_of(WorkerId worker) const {
        return PortId(static_cast<uint16_t>(loops_ + worker.value()));
    }
    // Requires: is_loop(port), or not.
    [[nodiscard]] LoopId loop_at(PortId port) const { return LoopId(port.value()); }
    [[nodiscard]] WorkerId worker_at(PortId port) const {
        return WorkerId(static_cast<uint16_t>(port.value() - loops_));
    }

    // Parcels are bounded by what their senders are allowed to have unanswered, and for QoS
    // 0, which nobody answers, by Outbound::admit; so a post cannot fail. Thread: any.
    void post(LoopId loop, std::unique_ptr<LoopParcel> parcel);
    void post(WorkerId worker, std::unique_ptr<WorkerParcel> parcel);
    // Thread: the loop's; its size() from any.
    [[nodiscard]] LoopMailbox& mailbox(LoopId loop) { return *mailboxes_[loop.value()]; }
    // The receiver is done with a parcel of so many message_bytes().
    void done(PortId receiver, uint64_t bytes) {
        unread_[receiver.value()].bytes.fetch_sub(bytes, std::memory_order_relaxed);
    }

    // Bytes of messages that were posted to a port and that it is not done with. Thread: any.
    [[nodiscard]] uint64_t unread(PortId port) const {
        return unread_[port.value()].bytes.load(std::memory_order_relaxed);
    }
    [[nodiscard]] uint64_t unread() const;
    // QoS 0 messages that were dropped because their receiver had too much unread. Thread: any.
    [[nodiscard]] uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
    void count_drop() { dropped_.fetch_add(1, std::memory_order_relaxed); }
    [[nodiscard]] uint64_t unread_bytes_max() const { return unread_bytes_max_; }

  private:
    uint16_t loops_;
    uint16_t workers_;
    std::vector<std::unique_ptr<LoopMailbox>> mailboxes_;
    std::vector<Tell> tell_;
    PostToWorker post_to_worker_;
    uint64_t unread_bytes_max_;
    struct alignas(64) Unread {
        std::atomic<uint64_t> bytes{0};
    };
    std::vector<Unread> unread_;  // by port
    std::atomic<uint64_t> dropped_{0};
};

// The right to match with this node's tables. Thread: any. Owner: the Cluster.
class TableLeases {
  public:
    virtual ~TableLeases() = default;
    // Both are valid now. Ask after the bytes were read and the table was loaded.
    [[nodiscard]] virtual bool valid() const = 0;
};

// How threads reach groups and ports that are elsewhere. Thread: any. Owner: the Cluster.
struct OtherNodes {
    NodeId self;
    Leaders& leaders;
    RemoteOffice& office;
    const Peers& peers;
    const TableLeases& leases;
    const Clock& clock;
};

// What a thread has gathered for the others in this turn. Thread, Owner: that thread's.
class Outbound {
  public:
    // `others` null: there is no other node, and every group is led here.
    Outbound(Exchange& exchange, PortId self, const OtherNodes* others = nullptr);

    [[nodiscard]] LoopParcel& loop(LoopId loop);
    [[nodiscard]] WorkerParcel& worker(WorkerId worker);
    // For the worker that leads the group, here or on another node. While nobody is known to lead,
    // what is added goes nowhere: whoever waits for an answer sends again.
    [[nodiscard]] WorkerParcel& leader(GroupId group);
    // For the loop of a connection, here or on another node.
    [[nodiscard]] LoopParcel& at(const ConnectionRef& connection);
    // Answers for whoever asked.
    [[nodiscard]] std::vector<TakenBatch::Taken>& taken(const PortRef& asker);
    [[nodiscard]] std::vector<GroupAnswer>& answers(const PortRef& asker);
    [[nodiscard]] std::vector<RetainedPage>& pages(const PortRef& asker);
    [[nodiscard]] std::vector<StreamAnswer>& stream_answers(const PortRef& loop);
    [[nodiscard]] std::vector<NodeCopyAnswer>& copy_answers(const PortRef& worker);
    // For workers of another node, each by the group that an item is about. Requires: others.
    [[nodiscard]] WorkerParcel& node(NodeId node) { return remote_->leaders(node); }

    // Whether a QoS 0 message of so many bytes may be added for that thread: not while it is so far
    // behind that it has Exchange::unread_bytes_max to read; then the message counts as dropped. A
    // message of any size is admitted when nothing else waits.
    [[nodiscard]] bool admit(LoopId loop, uint64_t bytes);
    [[nodiscard]] bool admit(WorkerId worker, uint64_t bytes);
    // The same for whoever leads the group, or for the loop of a connection. Of other nodes every
    // one is admitted: their links refuse what they have no room for.
    [[nodiscard]] bool admit(GroupId group, uint64_t bytes);
    [[nodiscard]] bool admit(const ConnectionRef& connection, uint64_t bytes);
    // Where the group leads; nothing: here. Node 0: nowhere.
    [[nodiscard]] std::optional<NodeId> elsewhere(GroupId group) const;
    // See Leaders; without other nodes nothing ever changes.
    [[nodiscard]] uint64_t leader_changes() const {
        return others_ == nullptr ? 0 : others_->leaders.changes();
    }
    [[nodiscard]] Leaders::Place leader_place(GroupId group) const {
        return others_ == nullptr ? Leaders::Place{} : others_->leaders.at(group);
    }
    // Hands everything over.
    void flush();
    [[nodiscard]] PortId self() const { return self_; }
    [[nodiscard]] Exchange& exchange() { return exchange_; }

  private:
    [[nodiscard]] bool admit(PortId port, uint64_t staged, uint64_t bytes);
    [[nodiscard]] bool here(Incarnation node) const {
        return others_ == nullptr || node == Incarnation() || node_of(node) == others_->self;
    }
    [[nodiscard]] PortRef remote_port(const ConnectionRef& connection) const;

    Exchange& exchange_;
    PortId self_;
    const OtherNodes* others_;
    std::optional<RemoteOutbound> remote_;
    WorkerParcel nowhere_;
    std::vector<std::unique_ptr<LoopParcel>> loops_;
    std::vector<std::unique_ptr<WorkerParcel>> workers_;
    std::vector<uint16_t> dirty_loops_;
    std::vector<uint16_t> dirty_workers_;
};

}  // namespace quorate::cluster
