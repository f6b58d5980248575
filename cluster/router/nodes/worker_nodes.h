// What one worker does because there are other nodes: the streams of loops anywhere, copies to and
// from other nodes, this node's routes, what it leads and who has to know, what is sent again when
// leaders move, links break or nodes end.
//
// Thread: the worker's. Owner: the WorkerRouter; a single node has none. Errors: none; what cannot
// be done now is refused, dropped or sent again by whoever waits. Spec.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cluster/router/exchange.h"
#include "cluster/router/nodes/copy_desk.h"
#include "cluster/router/nodes/node_routes.h"
#include "cluster/router/nodes/stream_desk.h"
#include "cluster/router/owner.h"
#include "cluster/router/remote/announcements.h"
#include "cluster/router/traffic.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

// What it needs of its worker; implemented by WorkerRouter.
class WorkerNodesHost {
  public:
    virtual ~WorkerNodesHost() = default;
    // Pins the table for this turn, if it is not.
    virtual void load_table() = 0;
    virtual void match_all(std::string_view topic, Destinations& out) = 0;
    // As StreamDeskHost::confirm.
    [[nodiscard]] virtual bool confirm(ShardId shard, uint64_t round) = 0;
    // In this worker's control lane; NodeRoutes::answered(change.token) follows.
    virtual void send_route(GroupId holder, const NodeRoutes::Change& change) = 0;
    // Groups whose leader is elsewhere now, or may have lost what it was sent.
    virtual void moved(GroupId group) = 0;
    // Incarnations went down, or came.
    virtual void peers_changed() = 0;
};

class WorkerNodes final : private StreamDeskHost, private CopyDeskHost {
  public:
    struct Context {
        WorkerNodesHost& host;
        Outbound& outbound;
        Owner& owner;
        const OtherNodes& others;
        ShardLayout layout;
    };
    // The asker of what streams bring to the owner.
    static constexpr PortRef kStreams{Incarnation(UINT64_MAX), PortId(UINT16_MAX)};

    explicit WorkerNodes(const Context& context);
    void set_incarnation(Incarnation incarnation) { incarnation_ = incarnation; }

    // The group serves here, from now on and in this term: its routes are shown.
    void lead(GroupId group, Term term);
    void follow(GroupId group);
    [[nodiscard]] std::chrono::nanoseconds now() const { return context_.others.clock.now(); }
    [[nodiscard]] bool down(Incarnation incarnation) const { return is_down(peers_, incarnation); }

    // Of a parcel, after the table was loaded.
    void receive(const WorkerParcel& parcel);
    // True when the answer was for a copy or a group's message that was sent from here.
    [[nodiscard]] bool taken(const TakenBatch::Taken& taken);
    // The owner's answer to what came by a stream.
    void distributed(const TakenBatch::Taken& taken) {
        streams_.done(taken.ticket, taken.receivers, taken.code);
    }
    void stale(ShardId shard, Term term) { streams_.stale(shard, term); }
    void round(ShardId shard, uint64_t round, bool confirmed) {
        streams_.round(shard, round, confirmed);
    }
    void route_answered(uint32_t token, bool made) { routes_.answered(token, made); }

    // As OwnerHost.
    void to_group(const GroupPublish& publish);
    [[nodiscard]] bool to_node(Incarnation node, uint64_t token, const SharedBytes& flat,
                               const OutboxSource* source, ShardId of);
    [[nodiscard]] bool first_time(const OutboxSource& source) { return copies_.first_time(source); }
    // Whether an owner here may match now: both leases are valid after the table was loaded.
    [[nodiscard]] bool may_act(ShardId shard) const;
    // In whose name this worker speaks as owner of the shard's topics.
    [[nodiscard]] Term term_of(ShardId shard) const;

    // Before anything else in a turn that something came in, and at its end.
    void look();
    void end_turn();

    [[nodiscard]] std::size_t waiting() const {
        return streams_.open() + copies_.waiting() + groups_.size();
    }

  private:
    static constexpr uint64_t kGroupTicketBit = uint64_t{1} << 62U;
    static constexpr std::chrono::seconds kAnnounceEvery{1};

    struct GroupSend {
        Ticket ticket = 0;  // the owner's
        GroupPublish publish;
    };

    void distribute(const StreamPublish& publish) override;
    void answer(const PortRef& loop, const StreamAnswer& answer) override;
    bool confirm(ShardId shard, uint64_t round) override;
    void send(const NodeCopy& copy) override;
    void answer(const PortRef& owner, const NodeCopyAnswer& answer) override;
    uint32_t to_loops(uint64_t ticket, const mqtt::MessageView& message) override;
    void copied(uint64_t token, uint32_t receivers, bool stale, const SourceFence& of) override;

    void follow_leaders();
    void follow_peers();
    void announce();

    Context context_;
    Incarnation incarnation_;
    StreamDesk streams_;
    CopyDesk copies_;
    NodeRoutes routes_;
    std::map<GroupId, Term> led_;
    uint64_t leader_changes_ = 0;         // as of the last look,
    std::vector<Leaders::Place> places_;  // and where groups were led then
    uint64_t peer_changes_ = 0;           // the same of peers
    PeerMap peers_;
    std::unordered_map<uint64_t, GroupSend> groups_;  // unanswered, by this worker's ticket
    uint64_t next_ticket_ = 1;
    std::chrono::nanoseconds next_announcement_{0};
    Destinations destinations_;
};

}  // namespace quorate::cluster
