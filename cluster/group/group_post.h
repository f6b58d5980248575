// Raft messages of all groups of this node, over its links.
//
//   worker ─ send() ─► link ─► … ─► link thread of the other node ─ arrived() ─► its workers ─►
//   step
//
// Everything between two nodes that is offered while a write of the link is under way leaves in one
// batch, so heartbeats of hundreds of groups share messages without being merged. A batch that
// arrives is handed to each worker it concerns once, and decoded there.
//
// Whatever does not fit is dropped, which Raft bears: an item that its link refuses, a batch whose
// worker is behind. Snapshots go in the bulk class, so that they hold up nobody's heartbeat.
//
// A message counts only when the node it came from has the replica that it says it is from; of
// other bytes nothing is stepped, and they are counted.
//
// Requires: groups are pinned where GroupHost pins them by default.
//
// Thread: send: workers; arrived: the link's; connect, disconnect: whoever starts and stops. Owner:
// the program; outlives links and workers that know it. Errors: none.
// Spec: R-8 (replica ids), R-9 (Raft: dropped when full); Raft §3.
#pragma once

#include <atomic>
#include <cstdint>

#include "cluster/group/group.h"
#include "cluster/link/link.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

class GroupHost;

class GroupPost final : public MessageSink {
  public:
    // The first byte of an item of the consensus and bulk classes says what it is.
    static constexpr char kRaftMessage = 1;
    // A command of more does not fit an item of a link: bounds the packets of a cluster.
    static constexpr std::size_t kLargestEntry = link::kItemBytesMax - (std::size_t{64} << 10U);

    // `node_of` says whose a replica is.
    explicit GroupPost(NodeId (*node_of)(ReplicaId)) : node_of_(node_of) {}

    // Messages pass from now on. Requires: `links` and `host` live until disconnect().
    void connect(link::LinkHost& links, GroupHost& host);
    void disconnect();

    void send(GroupId group, raft::Message message) override;

    // An item of a link begins with kRaftMessage. Hands the batch to the workers it is for; those
    // skip what is not theirs.
    void arrived(NodeId from, const link::ReceivedBatch& batch);

    [[nodiscard]] uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
    [[nodiscard]] uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

  private:
    void step(WorkerId worker, NodeId from, const link::ReceivedBatch& batch);

    NodeId (*node_of_)(ReplicaId);
    std::atomic<link::LinkHost*> links_{nullptr};
    std::atomic<GroupHost*> host_{nullptr};
    std::atomic<uint64_t> refused_{0};  // items that were no message of that node
    std::atomic<uint64_t> dropped_{0};  // offers refused, batches that a worker had no room for
};

}  // namespace quorate::cluster
