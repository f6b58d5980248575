// One front-end loop: its clients, and the desks that do their work.
//
//   socket -> Connection -> Channel -> Client (host) -> PublishDesk, SessionDesk, SubscriptionDesk
//          -> LoopPort -> shards and other loops -> LoopSink (here) -> Channel -> socket
//
// In a turn everything that is ready is read first; what was gathered for other threads and for the
// sockets leaves at its end, one batch per thread and one write per connection.
//
// Thread: that which holds the loop's turn, but for construction and destruction; tasks and ticks
// run on the loop's own. Owner: the broker.
// Errors: what ends a connection is logged once, here, and counted.
// Spec: design of the front-ends; MQTT 5 §4.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/app/auth_failures.h"
#include "broker/app/client.h"
#include "broker/app/desks/local_subscriptions.h"
#include "broker/app/desks/publish_desk.h"
#include "broker/app/desks/retained_desk.h"
#include "broker/app/desks/session_desk.h"
#include "broker/app/desks/subscription_desk.h"
#include "broker/app/desks/takeover_limiter.h"
#include "broker/app/time_wheel.h"
#include "broker/mqtt/channel.h"
#include "broker/net/connection.h"
#include "broker/net/connection_set.h"
#include "broker/net/event_loop.h"
#include "broker/net/listener.h"
#include "cluster/router/cluster.h"
#include "proto/base/environment.h"
#include "proto/base/log.h"
#include "proto/base/mailbox.h"
#include "proto/base/metrics.h"
#include "proto/base/task.h"

namespace quorate::broker {

// What all loops share; read by all, written by the broker's thread.
struct NodeStatus {
    std::atomic<uint8_t> overload{0};  // 1: publishers pause, 2: connects refused, 3: shed
    std::atomic<bool> draining{false};
    std::atomic<uint64_t> unauthenticated{0};        // sockets without a session, on all loops
    std::atomic<uint64_t> unauthenticated_bytes{0};  // received there and not yet used
    AuthFailures auth_failures{system_seed()};
    TakeoverLimiter takeovers;
    const std::atomic<int64_t>* sessions = nullptr;  // of the whole broker; before the loops run
};

struct FrontEndOptions {
    ChannelLimits limits;
    SubscriptionLimits subscriptions;
    bool allow_anonymous = false;
    LoopTime publish_timeout{10'000};
    LoopTime attach_timeout{15'000};
    uint64_t unauthenticated_max = 4096;
    uint64_t unauthenticated_bytes_max = 64U << 20;
    uint64_t sessions_max = 0;                     // of the whole broker; 0: no limit
    uint32_t message_expiry_max_s = kExpiryNever;  // of what may be queued or retained
    bool expire_qos0 = false;                      // QoS 0 may be queued as well
    uint64_t retained_bytes_max = 1 << 20;         // of one retained message's payload
    uint32_t takeovers = 0;                        // so many of a client id ...
    LoopTime takeover_period{60'000};              // ... in so much time; 0 takeovers: no limit
    uint32_t publish_rate = 0;  // messages of one client in a period; 0: no limit
    LoopTime publish_period{1'000};
    uint64_t publish_bytes_rate = 0;  // payload bytes a second of one client; 0: no limit
    bool publish_rate_ends = false;   // above either the client is told 0x96, else it waits
    // For the loop and its listeners:
    std::chrono::milliseconds write_stall_timeout{30'000};
    uint32_t handshakes_open_max = 500;
    ConnectLimits connect_limits;
    uint32_t reserved_descriptors = 256;
};

class FrontEnd final : public LoopHooks, public ConnectionHandler, public cluster::LoopSink {
  public:
    FrontEnd(EventLoop& loop, const FrontEndOptions& options, NodeStatus& status,
             MetricsShard& metrics, const Log& log, uint64_t seed);
    ~FrontEnd() override;

    // Before the loop runs.
    void set_port(std::unique_ptr<cluster::LoopPort> port);
    void add_listener(std::unique_ptr<Listener> listener);

    // For clients and desks:
    [[nodiscard]] LoopTime now() const { return now_; }
    // Null when the slot is empty.
    [[nodiscard]] Client* client(uint32_t slot) {
        return slot < clients_.size() ? clients_[slot].get() : nullptr;
    }
    // All slots are below it.
    [[nodiscard]] uint32_t slots() const { return static_cast<uint32_t>(clients_.size()); }
    [[nodiscard]] cluster::LoopPort& port() { return *port_; }
    [[nodiscard]] ChannelContext& channel_context() { return context_; }
    [[nodiscard]] PublishDesk& publishes() { return *publishes_; }
    [[nodiscard]] SessionDesk& sessions() { return *sessions_; }
    [[nodiscard]] SubscriptionDesk& subscriptions() { return *subscriptions_; }
    // Room for output of a client without a connection: written and forgotten.
    [[nodiscard]] std::byte* scratch(std::size_t size);
    [[nodiscard]] std::string make_client_id();
    [[nodiscard]] AuthOutcome authenticate(Client& client, const AuthenticateRequest& request);
    [[nodiscard]] PublishVerdict publish(Client& client, const InboundPublish& publish);
    void close(Client& client, const CloseCause& cause);
    // The answer to attach() has been told to the channel.
    void attached(Client& client, mqtt::ReasonCode reason);
    // Retained messages that an earlier connection of the session did not see queued.
    void go_on_replaying(Client& client, const std::vector<cluster::OwedReplay>& owed);
    void refuse_attach(Client& client, mqtt::ReasonCode reason);
    void detached(Client& client);
    // True while this client id is taken over more often than limits.takeover_rate: then the holder
    // stays for a while (at most 10 s: see the shard's own bound).
    [[nodiscard]] bool takeover_too_fast(const Client& client);
    // After anything that may have let a paused channel go on, or have ended it.
    void after_event(Client& client);
    void shared_settled(uint64_t ticket, AckKind kind);
    // No further session may be made; counted by who asks.
    [[nodiscard]] bool sessions_full() const;
    // Brings the expiry of a message that may be kept down to mqtt.message_expiry_max.
    void limit_expiry(mqtt::MessageView& message) const;
    // For the metrics: a PUBLISH read at `since` is answered now; one match in 64.
    void note_ack(mqtt::QoS qos, LoopTime since);
    void note_match(std::chrono::nanoseconds took, std::size_t subscriptions);
    // A publish whose match reached its step limit: refused, or of QoS 0 and not for everybody.
    void note_cut_off();

    // Runs `task` on the loop. Thread: any.
    void post(Task task);

    // Limits for what happens from now on; a connection keeps what its CONNACK said.
    // Thread: the loop's.
    void reconfigure(const FrontEndOptions& options);
    // A socket that another loop accepted. Thread: the loop's.
    void adopt(AcceptedSocket accepted);
    // Ends the clients with the largest buffers and queues until about so much is given back.
    // Thread: the loop's.
    void shed(uint64_t bytes);

    // Tells every client why and ends it; for shutdown. Thread: the loop's.
    void disconnect_all(mqtt::ReasonCode reason, const char* text);
    // Thread: any.
    [[nodiscard]] std::size_t clients() const {
        return client_count_.load(std::memory_order_relaxed);
    }
    void stop_listening();

    // Of LoopHooks:
    void on_wakeup() override;
    void on_mail() override;
    void before_poll() override;
    void after_poll() override;
    void on_tick(std::chrono::nanoseconds now) override;

    // Of ConnectionHandler:
    void on_open(Connection& connection) override;
    std::size_t on_bytes(Connection& connection, ByteView bytes) override;
    void on_writable(Connection& connection) override;
    void on_secured(Connection& connection, std::chrono::nanoseconds took) override;
    void on_write_stalled(Connection& connection) override;
    void on_closed(Connection& connection, EndCause cause) override;

    // Of LoopSink:
    void on_retained(const cluster::RetainedPage& page) override;
    void on_publishes(const cluster::PublishBatch& batch) override;
    void on_taken(const cluster::TakenBatch& batch) override;
    void on_answer(uint64_t token, const cluster::Answer& answer) override;
    void on_deliveries(const cluster::DeliveryBatch& batch) override;
    void on_shared(const cluster::SharedDelivery& delivery) override;
    void on_let_go(const cluster::LetGoRequest& request) override;
    void on_shown(uint64_t token) override;
    void on_credit() override;
    void on_moved(ShardId shard) override;

  private:
    struct Waiting {
        uint32_t slot = 0;
        uint32_t generation = 0;
    };

    // Tells groups whose member had no room that it has some again.
    void tell_room();
    void end_turn();
    void watch_deadline(Client& client);
    void forget_if_over(Client& client);
    void update_metrics();
    // False when the client has to wait for its rate; it is resumed by a tick.
    [[nodiscard]] bool take_rate(Client& client, std::size_t bytes);
    void end_over_rate();
    [[nodiscard]] bool overloaded(uint8_t level) const {
        return status_.overload.load(std::memory_order_relaxed) >= level;
    }
    [[nodiscard]] bool memory_is_short(Client& client);
    // Sockets without a session, and what they sent; false: one too many.
    [[nodiscard]] bool enter_unauthenticated(Client& client);
    void hold_unauthenticated(Client& client, std::size_t bytes);
    void leave_unauthenticated(Client& client);
    void resume_busy(std::vector<Waiting>& waiting);
    // Has the bytes that were left unconsumed presented again, in this turn or the next.
    static void present_again(Connection& connection);
    void log_end(Client& client, const CloseCause& cause);

    EventLoop& loop_;
    FrontEndOptions options_;
    NodeStatus& status_;
    MetricsShard& metrics_;
    Log log_;
    ChannelContext context_;
    ChannelCounters reported_;
    NetCounters reported_net_;
    std::chrono::nanoseconds reported_busy_{0};
    LocalSubscriptions local_;
    std::unique_ptr<cluster::LoopPort> port_;
    std::unique_ptr<PublishDesk> publishes_;
    std::unique_ptr<SessionDesk> sessions_;
    std::unique_ptr<RetainedDesk> retained_;
    std::unique_ptr<SubscriptionDesk> subscriptions_;
    std::vector<std::unique_ptr<Listener>> listeners_;

    std::vector<std::unique_ptr<Client>> clients_;
    std::vector<uint32_t> free_slots_;
    uint32_t next_generation_ = 1;
    std::atomic<std::size_t> client_count_{0};
    std::vector<std::unique_ptr<Client>> over_;  // freed at the end of the turn

    std::vector<Waiting> busy_;       // for credit
    std::vector<Waiting> over_rate_;  // for their rate
    std::vector<Waiting> over_memory_;
    TimeWheel wheel_;
    struct NoRoom {
        Waiting who;
        ShardId shard;
    };
    std::vector<NoRoom> no_room_;
    uint64_t reported_unmatched_ = 0;
    uint64_t id_seed_;
    uint64_t next_id_ = 1;
    LoopTime now_{0};
    LoopTime last_sweep_{0};
    static constexpr std::size_t kScratchKept = 64 << 10;  // a larger one ends with its turn
    std::vector<std::byte> scratch_;
    Mailbox<Task> tasks_;
    std::vector<Task> taken_tasks_;
};

}  // namespace quorate::broker
