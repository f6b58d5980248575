// Publishes for memory sessions of other nodes, on one worker: copies out to them as an owner, and
// copies in from the owners of other nodes, matched again by this node's loops.
//
//   owner ─ send() ─► NodeCopy ─► worker of the same shard there ─ arrived() ─► its loops
//   done(token) ◄── NodeCopyAnswer ◄── taken() when every loop has it
//
// All copies of a shard's topics pass the same worker of a node, so that one place judges their
// order, their term and repeats, before any loop sees them.
//
// Thread: its worker's. Owner: the WorkerRouter. Errors: none; what is stale is nobody's. Bounded
// by what owners may have unanswered, which loops' credits bound. Spec.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "cluster/router/remote/peers.h"
#include "cluster/router/traffic.h"
#include "cluster/sessions/repeat_filter.h"
#include "cluster/stream/copy_link.h"
#include "cluster/stream/node_fence.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// What the desk needs of its worker; implemented by WorkerRouter.
class CopyDeskHost {
  public:
    virtual ~CopyDeskHost() = default;
    virtual void send(const NodeCopy& copy) = 0;
    virtual void answer(const PortRef& owner, const NodeCopyAnswer& answer) = 0;
    // To this node's loops that have subscribers; the number of loops that answer taken(ticket).
    // Ticket 0: none does.
    [[nodiscard]] virtual uint32_t to_loops(uint64_t ticket, const mqtt::MessageView& message) = 0;
    // A copy is done. Stale: by a node that has heard a later owner.
    virtual void copied(uint64_t token, uint32_t receivers, bool stale, const SourceFence& of) = 0;
};

class CopyDesk {
  public:
    // Tickets of to_loops() have this bit.
    static constexpr uint64_t kTicketBit = uint64_t{1} << 63U;

    CopyDesk(CopyDeskHost& host, uint32_t shards) : host_(host), fence_(shards) {}

    // This node owns the shard's topics from now on; what earlier terms have finished is forgotten.
    void lead(ShardId shard, Term term);
    // As the owner: `token` comes back by copied(); 0 is QoS 0, which nobody answers.
    void send(Incarnation to, uint64_t token, Copy copy);
    void answered(const NodeCopyAnswer& answer);

    void arrived(const PortRef& from, Incarnation owner, const Copy& copy);
    void taken(uint64_t ticket, uint32_t receivers);
    // False: this node has heard a later owner of the shard.
    [[nodiscard]] bool hear(const SourceFence& owner) { return fence_.hear(owner); }
    // Whether this node's own loops have not had it, and count it as taken.
    [[nodiscard]] bool first_time(const OutboxSource& source) {
        return repeats_.take(source) == RepeatVerdict::First;
    }

    // `before` and `now` differ: incarnations went down, links began anew.
    void peers_changed(const PeerMap& before, const PeerMap& now);

    [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

  private:
    struct SenderName {
        Incarnation to;
        SourceFence from;
        auto operator<=>(const SenderName&) const = default;
    };
    // A copy that this node's loops have not all taken.
    struct Waiting {
        PortRef owner;
        NodeCopyAnswer answer;
        uint32_t awaited = 0;
    };
    void flush(const SenderName& name, CopySender& sender);
    void tell(const std::vector<CopySender::Done>& done, uint32_t receivers, const SourceFence& of);
    [[nodiscard]] bool over(const SenderName& name, const CopySender& sender) const;

    CopyDeskHost& host_;

    std::map<SenderName, CopySender> senders_;
    std::map<ShardId, Term> led_;  // the last term
    NodeFence fence_;
    RepeatFilters repeats_;
    CopyReceiver receiver_{fence_, repeats_};
    std::unordered_map<uint64_t, Waiting> waiting_;  // by ticket
    uint64_t next_ticket_ = 1;
};

}  // namespace quorate::cluster
