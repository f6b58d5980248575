// The retained messages that follow a SUBSCRIBE of this loop's clients, read page by page at the
// workers of their topics.
//
// A page is asked for when its client has room: output for QoS 0, half of its queue for QoS 1 and 2
// (of a durable session its shard says, see RetainedQuery). What a page has beyond that is thrown
// away and read again later, never kept: kept, it could follow a newer live value of its topic
// . So a replay drops no message, live or retained, and lasts as long as its reader takes; it
// ends with the connection and with the subscription.
//
// Thread: the loop's. Owner: the front-end. Errors: none. Bounded: pages under way on the loop; per
// client see ReplaySchedule. Spec: R-4; MQTT 5 §3.3.1.3, §3.8.4, §3.10.4.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "broker/app/desks/replay_schedule.h"
#include "broker/mqtt/host.h"
#include "cluster/router/loop_port.h"

namespace quorate::broker {

class Client;
class FrontEnd;

class RetainedDesk {
  public:
    RetainedDesk(FrontEnd& front_end, cluster::LoopPort& port, uint32_t pages_max)
        : front_end_(front_end),
          port_(port),
          among_others_(port.owner_distributes()),
          pages_max_(pages_max) {}

    // Of a memory session. `entry.qos` is what was granted.
    void begin(Client& client, const SubscribeEntry& entry, uint32_t subscription_id);
    // Of a durable session, whose shard knows how far it has come: from the start after a
    // SUBSCRIBE, from anywhere after a CONNECT.
    void go_on(Client& client, std::string_view filter, const cluster::PendingReplay& from);
    void cancel(const Client& client, std::string_view filter);
    void drop(const Client& client);
    void on_page(const cluster::RetainedPage& page);
    // Pages that were asked for at the shard may be lost: they are asked for again.
    void on_moved(ShardId shard);
    // After anything that may have made room for a client that waits for it.
    void on_room(Client& client);
    // The same for all of them; also for durable sessions, whose queues other events empty too.
    void sweep();
    void set_pages_max(uint32_t pages_max) { pages_max_ = pages_max; }

    [[nodiscard]] std::size_t replays() const { return schedule_.replays(); }
    // Since the last call, for the metrics: replays begun, and those of them that found as many
    // pages under way as there may be.
    [[nodiscard]] uint64_t take_begun() { return std::exchange(begun_, 0); }
    [[nodiscard]] uint64_t take_delayed() { return std::exchange(delayed_, 0); }

  private:
    using Then = ReplaySchedule::Then;

    void add(Client& client, ReplaySchedule::Replay&& replay);
    void ask_next();
    // Where a scan by a durable session goes on after its shard.
    void pass_empty_shards(cluster::RetainedQuery& query);
    void ask(Client& client, const ReplaySchedule::Replay& replay, uint32_t room);
    Then take(Client& client, ReplaySchedule::Replay& replay, const cluster::RetainedPage& page);
    void offer(Client& client, const ReplaySchedule::Replay& replay, const SharedBytes& flat);
    // Messages that may be asked for; of a durable session its shard decides.
    [[nodiscard]] uint32_t room(const Client& client, const SubscribeEntry& entry) const;
    // Whether one more message of a page is taken.
    [[nodiscard]] bool takes(const Client& client, const SubscribeEntry& entry,
                             std::size_t bytes) const;
    [[nodiscard]] Client* client_of(ReplaySchedule::Who who);

    FrontEnd& front_end_;
    cluster::LoopPort& port_;
    const bool among_others_;  // LoopPort::owner_distributes()
    uint32_t pages_max_;
    ReplaySchedule schedule_;
    uint64_t next_token_ = 1;
    uint64_t begun_ = 0;
    uint64_t delayed_ = 0;
};

}  // namespace quorate::broker
