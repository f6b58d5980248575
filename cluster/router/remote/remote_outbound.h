// What one thread has gathered in a turn for threads of other nodes.
//
// As Outbound does within the node: one parcel a turn and destination, handed over at the turn's
// end. A parcel that grows large leaves earlier, since an item of a link is bounded.
//
// Thread, Owner: the thread's Outbound. Errors: none; what a link has lost or refused is sent again
// by whoever waits for an answer. Spec: R-9.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "cluster/router/remote/parcel_address.h"
#include "cluster/router/traffic.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// The way to other nodes. Thread: any. Owner: outlives all threads' outbounds.
class RemoteOffice {
  public:
    virtual ~RemoteOffice() = default;
    // One item: address and parcel. Never waits; items of one thread for one node keep their order
    // unless the link breaks.
    virtual void post(NodeId to, std::string_view item) = 0;
    // Sends what has waited for room. Called once a turn by each thread; cheap when nothing waits.
    virtual void pump() = 0;
};

class RemoteOutbound {
  public:
    // A parcel of more bytes than this leaves before the next is added to it.
    static constexpr std::size_t kParcelBytes = std::size_t{256} << 10U;

    RemoteOutbound(RemoteOffice& office, PortId self) : office_(office), self_(self) {}

    // For the leaders on that node.
    [[nodiscard]] WorkerParcel& leaders(NodeId node);
    // Requires of both: not of this node.
    [[nodiscard]] LoopParcel& loop(const PortRef& port);
    [[nodiscard]] WorkerParcel& worker(const PortRef& port);
    void flush();

  private:
    void send(NodeId node, const ParcelAddress& address, const WorkerParcel& parcel);
    void send(NodeId node, const ParcelAddress& address, const LoopParcel& parcel);
    template <typename Parcel>
    void encode_and_post(NodeId node, const ParcelAddress& address, const Parcel& parcel);

    RemoteOffice& office_;
    PortId self_;
    std::map<NodeId, WorkerParcel> leaders_;
    std::map<PortRef, LoopParcel> loops_;
    std::map<PortRef, WorkerParcel> workers_;
    std::string item_;
};

}  // namespace quorate::cluster
