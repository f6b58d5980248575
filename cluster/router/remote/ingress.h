// Where parcels of other nodes' threads arrive: judged, told apart, handed to this node's threads.
//
// A parcel for leaders holds work for several groups: each worker gets what is for its own. What is
// for groups without a copy here stays with nobody, as does what was meant for an earlier start of
// this node; their senders learn of the right place and send again.
//
// Thread: the link's; it never waits. Owner: the Cluster. Errors: bytes that are no parcel, and
// parcels in a wrong place, are dropped and counted. Spec; R-0 (incarnations).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "cluster/router/exchange.h"
#include "cluster/router/traffic.h"
#include "cluster/topics/destination.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

class Ingress {
  public:
    Ingress(Exchange& exchange, const ShardLayout& layout, Incarnation self)
        : exchange_(exchange), layout_(layout), self_(self) {}

    // One item of a link, from that start of another node.
    void arrived(Incarnation from, std::string_view item);

    [[nodiscard]] uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

  private:
    void to_leaders(const PortRef& from, const WorkerParcel& parcel);
    void to_port(const PortRef& from, PortId port, std::unique_ptr<WorkerParcel> parcel);
    void to_loop(const PortRef& from, PortId port, std::unique_ptr<LoopParcel> parcel);
    // Of the worker of the shard's group; null: there is no such shard.
    [[nodiscard]] WorkerParcel* part(ShardId shard);
    [[nodiscard]] WorkerParcel* part(GroupId group);

    Exchange& exchange_;
    ShardLayout layout_;
    Incarnation self_;
    PortRef from_;                                      // of the parcel under way,
    std::vector<std::unique_ptr<WorkerParcel>> parts_;  // and its parts, by worker
    std::atomic<uint64_t> refused_{0};
};

}  // namespace quorate::cluster
