// The state machine of one shard: sessions whose client id hashes here, a slice of the topics, the
// shared groups, and the outbox through which this shard owes messages to others.
//
// Deterministic: equal commands in equal order give equal state and equal actions on every replica.
// Time arrives with the command. All that decisions need is in memory and written through to the
// batch; message bodies are in the store, the newest of them also in a bounded tail cache, so that
// fresh messages are delivered without reading. apply() never reads the store.
//
// Thread: the shard's worker. Owner: the StateMachine around it (router's action_runner).
// Errors: load() and the reads answer Corrupt with the key; apply() answers through Actions and
// fails only for bytes that are no command, which then have changed nothing.
// Spec: rules and their details; MQTT 5 §3.1.2.11, §3.3, §4.1, §4.3, §4.6, §4.8.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/sessions/outbox_source.h"
#include "cluster/shard/actions.h"
#include "cluster/shard/command.h"
#include "cluster/topics/destination.h"
#include "cluster/topics/route_table.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "proto/mqtt/message.h"

namespace quorate::storage {
class StateBatch;
class StateStore;
}  // namespace quorate::storage

namespace quorate::cluster {

// What happens to a message for a full queue. Whatever is dropped is counted.
enum class QueuePolicy : uint8_t { DropOldest, DropNewest, Reject };

// All replicas of a cluster must hold equal values: they decide what commands do.
struct ShardOptions {
    uint32_t queue_messages_max = 10'000;     // per session
    uint64_t queue_bytes_max = 64ULL << 20U;  // per session
    QueuePolicy queue_full = QueuePolicy::DropOldest;
    // A queue spans at most 4 * queue_messages_max + this many numbers, settled ones included;
    // beyond that the newest is dropped under any policy.
    uint32_t queue_span_slack = 65'536;
    // QoS 0 for a session that is away is handed to the leader, which keeps it in memory.
    bool queue_qos0 = false;
    uint32_t kept_qos0_max = 1000;               // of a session; may differ between replicas,
    uint64_t kept_qos0_bytes_max = 4ULL << 20U;  // as may the bytes of all sessions of the shard
    uint32_t sessions_max = 10'000'000;
    uint32_t subscriptions_max = 1000;      // per session
    uint32_t received_ids_max = 65'535;     // unreleased QoS 2 packet ids per session
    uint64_t outbox_entries_max = 100'000;  // per shard
    uint64_t outbox_bytes_max = 256ULL << 20U;
    uint32_t outbox_window = 256;       // W of R-5, per target
    uint64_t retained_max = 1'000'000;  // topics per shard
    uint64_t retained_bytes_max = 1ULL << 30U;
    uint32_t group_messages_max = 100'000;  // per shared group
    uint64_t group_bytes_max = 256ULL << 20U;
    bool shared_handover_on_disconnect = false;  // QoS 1 entries return when a member goes away
    uint32_t takeover_wait_ms = 10'000;
    uint32_t step_limit = 256;  // sessions or entries a Tick or NodeDown touches
    // Of the first message of a session. Simulations begin where packet identifiers come round.
    uint64_t first_number = 1;
    uint64_t tail_cache_bytes = 4ULL << 20U;  // memory only, may differ between replicas
};

// Counted acts of the state machine since the start of this process; for metrics.
struct ShardCounters {
    uint64_t queue_full = 0;  // dropped or refused because a queue was full
    uint64_t expired = 0;     // messages
    uint64_t offline_qos0 = 0;
    uint64_t too_large = 0;
    uint64_t denied = 0;
    uint64_t session_ended = 0;  // messages that died with their session
    uint64_t sessions_created = 0;
    uint64_t sessions_expired = 0;
    uint64_t takeovers = 0;
    uint64_t wills_published = 0;
    uint64_t wills_cancelled = 0;
    uint64_t wills_dropped = 0;  // outbox full
    uint64_t group_full = 0;
    uint64_t outbox_repeats = 0;  // hand-overs taken before
    uint64_t commands_duplicate = 0;
    uint64_t commands_gap = 0;
    uint64_t commands_stale = 0;
};

struct ShardCounts {
    uint64_t sessions = 0;
    uint64_t durable_sessions = 0;
    uint64_t attached = 0;
    uint64_t subscriptions = 0;
    uint64_t queued_messages = 0;
    uint64_t queued_bytes = 0;
    uint64_t wills_pending = 0;
    uint64_t routes = 0;
    uint64_t retained = 0;
    uint64_t retained_bytes = 0;
    uint64_t groups = 0;
    uint64_t outbox = 0;
    uint64_t outbox_bytes = 0;
    uint64_t lanes = 0;
};

// One entry of a session's queue, as a leader sees it. Views live during the callback.
struct QueueEntryView {
    MessageNumber number;
    PacketId packet_id;
    mqtt::MessageView message;  // qos: of the delivery; retain: as the client shall see it
    std::span<const uint32_t> subscription_ids;
    std::optional<uint32_t> remaining_expiry_s;
    bool dup = false;               // an earlier connection may have received it
    bool pubrec_known = false;      // send PUBREL, not PUBLISH
    bool expired = false;           // never sent: settle it as AckKind::Expired instead
    std::string_view share_filter;  // "$share/..." it came by, or empty
};

struct SessionView {
    SessionId id;
    std::string client_id;
    std::string identity;
    mqtt::ProtocolVersion protocol_version = mqtt::ProtocolVersion::V5;
    bool durable = false;
    std::optional<ConnectionRef> connection;
    Epoch epoch;
    uint32_t expiry_s = 0;
    std::optional<ClusterTime> expires_at;  // while it is away
    uint16_t receive_maximum = 0;
    MessageNumber first_unacked;
    MessageNumber next;
    MessageNumber mark;  // of earlier connections
    uint64_t queued = 0;
    uint64_t queued_bytes = 0;
    uint32_t subscriptions = 0;
    bool has_will = false;
    bool must_let_go = false;  // another Attach, or an administrator, waits for its connection
};

struct SubscriptionView {
    std::string_view filter;
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;
    bool no_local = false;
    bool retain_as_published = false;
    mqtt::RetainHandling retain_handling = mqtt::RetainHandling::Send;
    uint32_t subscription_id = 0;
    RouteSerial wanted;
    RouteSerial made;
    std::optional<PendingReplay> replay;  // retained messages that are still to come
};

// A durable session that a live QoS 0 message matches; overlapping subscriptions merged.
struct MatchedSession {
    SessionId session;
    bool away = false;  // with queue_qos0 only; then without a connection
    Epoch epoch;
    ConnectionRef connection;
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;  // best granted
    bool retain_as_published = false;
    std::span<const uint32_t> subscription_ids;
};

// A route this shard owes to another place.
struct WantedRoute {
    enum class At : uint8_t { Shard, Wildcards };
    At at = At::Shard;
    ShardId shard;  // of At::Shard
    // Its filter, and `made_filter`, point into the state and live until the next apply().
    Route route;
    std::string_view made_filter;  // this and the next are what MadeRoute names
    SessionId member;
};

struct OutboxEntryView {
    OutboxSource source;        // high and unfinished as of now
    mqtt::MessageView message;  // remaining expiry already subtracted
    std::string_view group;     // of Group targets, and of Session and Node: "name/filter"
    Destination member;         // of Session and Node targets
    bool expired = false;       // report it done without handing it over
};

struct RetainedView {
    mqtt::MessageView message;  // retain is set, expiry is what remains
};

class ShardState {
  public:
    struct Identity {
        ShardId shard;
        ShardLayout layout;
    };

    ShardState(const Identity& identity, const ShardOptions& options);
    ~ShardState();
    ShardState(const ShardState&) = delete;
    ShardState& operator=(const ShardState&) = delete;

    // State machine.
    // Rebuilds memory from the group's view of the store, whose keys begin with a family byte, and
    // keeps it for the reads below; apply() never reads it. Requires: nothing was applied yet; the
    // store outlives the object. Must be called before reads, also when the store is empty.
    [[nodiscard]] Status load(const storage::StateStore& store);
    // `now` never falls: a smaller one counts as the last one. Adds to `actions`.
    Status apply(ClusterTime now, std::string_view command, storage::StateBatch& batch,
                 Actions& actions);
    // Writes what commands only marked as changed (cursors, lanes, time). Must be called after the
    // last command of each Raft entry, before the batch is written; the same on every replica.
    void end_entry(storage::StateBatch& batch);

    // What a leader asks.
    // The earliest time at which a Tick has something to do.
    [[nodiscard]] std::optional<ClusterTime> next_deadline() const;
    [[nodiscard]] ClusterTime now() const;
    // Attachments whose holder must let go, for a new leader and for repeats.
    void let_gos(std::vector<LetGo>& out) const;
    // Incarnations with an attachment, an unfinished hand-over, a lane or a publisher here:
    // NodeDown is owed to them when they end.
    [[nodiscard]] std::vector<Incarnation> attached_incarnations() const;
    // Route changes not yet made with serials above `after`, in order.
    [[nodiscard]] std::vector<WantedRoute> wanted_routes(RouteSerial after, uint32_t max) const;
    [[nodiscard]] std::vector<OutboxTarget> outbox_targets() const;
    // Whether the client behind a command may be told that there is no room. What frees, what was
    // accepted before and what a client needs to come back for what it is owed is never refused.
    [[nodiscard]] bool may_refuse(const Command& command) const;
    // Unfinished entries of a target above `after` within the window, in order. Reads the store for
    // what left the tail cache.
    Status outbox_window(const OutboxTarget& target, OutboxNumber after, uint32_t max,
                         ClusterTime leader_now,
                         const std::function<void(const OutboxEntryView&)>& visit) const;

    // Sessions.
    // Open entries from `from` on, oldest first, until a limit or visit() answers false. The first
    // entry is given whatever its size. `leader_now` hides nothing but says what has expired.
    Status read_queue(SessionId session, MessageNumber from, uint32_t max_count, uint64_t max_bytes,
                      ClusterTime leader_now,
                      const std::function<bool(const QueueEntryView&)>& visit) const;
    [[nodiscard]] std::optional<SessionView> session(SessionId id) const;
    [[nodiscard]] std::optional<SessionView> session(std::string_view client_id) const;
    // In order of id, for administration; at most `max` above `after`.
    [[nodiscard]] std::vector<SessionView> sessions(SessionId after, uint32_t max) const;
    // Whether a PUBLISH of QoS 2 under this packet identifier was taken and is not yet released.
    [[nodiscard]] bool has_received(SessionId session, PacketId packet_id) const;
    // How many retained messages the session's queue would take of a Replay: none before there is
    // room for a page worth its reading.
    [[nodiscard]] uint32_t replay_room(SessionId session) const;
    // Views live until the next apply().
    [[nodiscard]] std::vector<SubscriptionView> subscriptions(SessionId session) const;
    // Durable sessions with a non-shared match that are connected, or for which QoS 0 is kept, in
    // order of id; no local is honoured.
    void match(std::string_view topic, uint64_t publisher,
               const std::function<void(const MatchedSession&)>& visit) const;

    // Topics.
    [[nodiscard]] const RouteTable& routes() const;
    // False when there is none or the leader's clock says it is expired.
    Result<bool> retained_get(std::string_view topic, ClusterTime leader_now,
                              const std::function<void(const RetainedView&)>& visit) const;
    // Retained messages that match `filter`, by topic, after `cursor`; looks at no more than
    // `steps` topics. Answers the cursor to go on from, or none when it has seen all.
    Result<std::optional<std::string>> retained_scan(
        std::string_view filter, std::string_view cursor, uint32_t steps, ClusterTime leader_now,
        const std::function<bool(const RetainedView&)>& visit) const;

    // Shared groups.
    struct GroupView {
        std::string_view group;
        std::vector<GroupMember> members;  // in the order of joining
        bool any_durable = false;
        MessageNumber first;
        MessageNumber next;
        uint64_t queued = 0;
    };
    [[nodiscard]] std::optional<GroupView> group(std::string_view group) const;
    [[nodiscard]] std::vector<std::string> groups() const;
    Status read_group(
        std::string_view group, MessageNumber from, uint32_t max_count, ClusterTime leader_now,
        const std::function<bool(MessageNumber, const mqtt::MessageView&)>& visit) const;

    // Watching.
    [[nodiscard]] const ShardCounters& counters() const;
    [[nodiscard]] ShardCounts counts() const;
    // counts().sessions alone.
    [[nodiscard]] uint64_t session_count() const;
    // Hash of the whole state but for message bodies; equal on replicas at equal indexes (R4).
    [[nodiscard]] uint64_t digest() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::cluster
