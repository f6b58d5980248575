// SUBSCRIBE and UNSUBSCRIBE of this loop's clients.
//
// A session that outlives its connection keeps its subscriptions in its shard; the others are kept
// here, in memory. Either way the answer comes when every route is made and shown to all threads of
// the node (G3). Shared subscriptions of memory sessions are memberships at the group's shard.
//
// Thread: the loop's. Owner: the front-end. Errors: reason codes per filter. Bounded: subscriptions
// and groups per client. Spec: R-4, G10; MQTT 5 §3.8 to §3.11.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/app/desks/local_subscriptions.h"
#include "broker/mqtt/channel.h"
#include "broker/mqtt/host.h"
#include "cluster/router/loop_port.h"

namespace quorate::broker {

class Client;
class FrontEnd;
class RetainedDesk;

struct SubscriptionLimits {
    uint32_t subscriptions_max = 1000;  // of a client
    uint32_t shared_max = 1000;         // memberships of a client
    uint32_t scans_max = 16;            // pages of retained messages under way on this loop
    uint32_t scan_levels_min = 0;       // literal levels before the first wildcard of a scan
};

class SubscriptionDesk {
  public:
    SubscriptionDesk(FrontEnd& front_end, cluster::LoopPort& port, LocalSubscriptions& local,
                     RetainedDesk& retained, const SubscriptionLimits& limits)
        : front_end_(front_end), port_(port), local_(local), retained_(retained), limits_(limits) {}

    void subscribe(Client& client, SubscribeRequest&& request);
    void unsubscribe(Client& client, const UnsubscribeRequest& request);
    // The connection's end: its own subscriptions and memberships end with it.
    void drop_all(Client& client);

    bool on_answer(uint64_t token, const cluster::Answer& answer);
    void on_shown(uint64_t token);
    // What waits longer than `limit` is refused: 0x83 for each filter (version 3: 0x80; an
    // UNSUBSCRIBE, whose answer has no codes there, ends the connection). Subscriptions that the
    // refused SUBSCRIBE makes after all are ended when that is known, unless the client has named
    // the filter again or is gone.
    void sweep(LoopTime now, LoopTime limit);

    // For what is asked from now on.
    void set_limits(const SubscriptionLimits& limits) { limits_ = limits; }

  private:
    // A SUBSCRIBE or UNSUBSCRIBE on its way to its answer.
    struct Request {
        uint32_t client = 0;
        uint32_t generation = 0;
        PacketId packet_id;
        uint32_t subscription_id = 0;
        bool subscribe = true;
        std::vector<SubscribeEntry> entries;  // for the retained messages
        std::vector<mqtt::ReasonCode> codes;
        std::vector<bool> is_new;                  // of memory sessions
        std::vector<cluster::ReplayId> replays;    // of durable ones
        std::vector<std::size_t> durable_entries;  // which entries the shard was asked about
        uint32_t awaited = 0;
        LoopTime since{0};
        bool told = false;              // that it is refused
        std::vector<std::size_t> kept;  // then: durable entries that the client has named again
        uint64_t shown = 0;             // waits for this route change of the loop; 0: none
    };
    struct CommandOf {
        uint64_t request = 0;
        std::optional<std::size_t> entry;  // of a membership; none: the session's shard
    };
    void subscribe_durable(Client& client, uint64_t id, Request& request);
    void subscribe_local(Client& client, Request& request, std::size_t index);
    void join_group(Client& client, uint64_t id, Request& request, std::size_t index);
    void leave_group(Client& client, const std::string& filter, ShardId shard);
    void unsubscribe_one(Client& client, Request& request, const UnsubscribeEntry& entry);
    void arrived(uint64_t id);
    void answer(uint64_t id);
    void refuse_late(Request& request);
    // Of a memory session: what a refused SUBSCRIBE has made.
    void undo_local(Client& client, Request& request);
    void undo_durable(const Request& request, const cluster::SubscribeResult& made);
    // What a refused request made of these filters stays as the client now asks.
    void keep_named(const Client& client, const std::vector<std::string>& filters);
    [[nodiscard]] Request& open(uint64_t id, const Client& client, PacketId packet_id);
    // Unless an UNSUBSCRIBE has come before the answer.
    void replay_retained(Client& client, const Request& request);
    // Of a memory session.
    [[nodiscard]] static bool subscribed(const Client& client, const std::string& filter);
    [[nodiscard]] Client* client_of(uint32_t slot, uint32_t generation);
    [[nodiscard]] uint64_t next_token();

    FrontEnd& front_end_;
    cluster::LoopPort& port_;
    LocalSubscriptions& local_;
    RetainedDesk& retained_;
    SubscriptionLimits limits_;
    uint64_t next_token_ = 2;  // even: this desk's
    std::unordered_map<uint64_t, Request> requests_;
    std::unordered_map<uint64_t, CommandOf> commands_;
    std::size_t told_ = 0;                     // requests that were refused and are still answered
    uint64_t routes_sent_ = 0;                 // route changes of this loop, numbered
    uint64_t routes_shown_ = 0;                // up to here
    std::deque<uint64_t> waiting_for_routes_;  // requests, by the change they wait for
    uint64_t next_serial_ = 1;                 // of this loop's memberships
};

}  // namespace quorate::broker
