// One session: what a shard remembers for a Client Identifier.
//
//            Attach (new)                     Detached, NodeDown
//   (none) ───────────────► attached ─────────────────────────────► away
//              ▲              │   ▲  Attach: waits, holder lets go    │ │
//              │   Detached + │   │  (LetGo repeated), then resumed   │ │ expiry, clean start,
//              │   waiting    ▼   │                                   │ ▼ administrator
//              └────────── waiting Attach ◄───────── Attach ──────────┘ ended
//
// A durable session outlives its connection and owns a queue, subscriptions and received ids. A
// bound one (expiry 0 when made) is an attachment record and a will; the rest lives on the loop.
// Which of the two it is never changes.
//
// Thread: the shard's worker. Owner: SessionTable.
// Spec: MQTT 5 §3.1.2.4 (Clean Start), §3.1.2.5 (Will), §3.1.2.11.2 (Session Expiry Interval),
// §4.1; rules.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/sessions/message_store.h"
#include "cluster/sessions/queue.h"
#include "cluster/topics/replay.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "proto/mqtt/types.h"

namespace quorate::cluster {

struct Will {
    BodyId body;
    uint32_t bytes = 0;
    uint32_t delay_s = 0;
    ShardId target;                    // shard of its topic
    std::optional<uint32_t> expiry_s;  // of the message, from the moment it is published
    uint8_t qos = 0;
};

// An Attach that waits for the holder to let go. The lane and number are where its answer goes.
struct WaitingAttach {
    Incarnation lane_incarnation;
    uint16_t lane_producer = 0;
    uint8_t lane_class = 0;
    CommandNumber number;
    uint64_t token = 0;
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::V5;
    bool clean_start = false;
    uint32_t expiry_s = 0;
    uint16_t receive_maximum = 0;
    ConnectionRef connection;
    std::optional<Will> will;
    ClusterTime deadline;
};

struct Attachment {
    ConnectionRef connection;
    uint64_t token = 0;            // of the Attach, to answer it again
    bool session_present = false;  // as answered
    uint16_t receive_maximum = 0;
};

struct Subscription {
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;
    bool no_local = false;
    bool retain_as_published = false;
    mqtt::RetainHandling retain_handling = mqtt::RetainHandling::Send;
    uint32_t id = 0;
    uint16_t share = 0;  // of "$share" filters: what queue entries name; never 0 for them
    bool operator==(const Subscription&) const = default;
};

// What only a durable session has.
struct DurableState {
    explicit DurableState(MessageNumber first = MessageNumber(1)) : queue(first) {}

    SessionQueue queue;
    std::map<std::string, Subscription, std::less<>> subscriptions;  // by whole filter
    std::map<std::string, PendingReplay, std::less<>> replays;       // of some of these
    std::vector<uint16_t> received;  // QoS 2 packet ids until PUBREL, ascending
    std::map<uint16_t, std::string>
        shares;  // share number -> whole filter, while entries may name it
    uint16_t next_share = 1;
};

struct Session {
    SessionId id;
    std::string client_id;
    std::string identity;
    uint64_t publisher = 0;  // hash of the client id, for No Local
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::V5;
    bool end_on_detach = false;  // an administrator ended it while it was connected
    uint8_t dirty = 0;           // bits of SessionTable
    uint32_t expiry_s = 0;
    Epoch epoch;
    std::optional<Attachment> attachment;
    ClusterTime expires_at;   // while away; 0: never
    ClusterTime will_due_at;  // 0: no will waits for its delay
    ClusterTime takeover_at;  // 0: nobody waits
    ClusterTime purge_at;     // 0: no message of the queue expires
    std::unique_ptr<Will> will;
    std::unique_ptr<WaitingAttach> waiting;
    std::unique_ptr<DurableState> durable;

    [[nodiscard]] bool attached() const { return attachment.has_value(); }
};

// The records of a session. Reading checks everything and fails on anything unexpected.
void write_session(RecordWriter& out, const Session& session);
[[nodiscard]] std::unique_ptr<Session> read_session(SessionId id, std::string_view value);

void write_subscription(RecordWriter& out, const Subscription& subscription);
[[nodiscard]] std::optional<Subscription> read_subscription(std::string_view value);

void write_cursor(RecordWriter& out, const Session& session);
[[nodiscard]] bool read_cursor(std::string_view value, Session& session);

void write_received(RecordWriter& out, const DurableState& durable);
[[nodiscard]] bool read_received(std::string_view value, DurableState& durable);

// A queue entry: how the client shall see the message, and the message or its body's number.
struct EntryRecord {
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;
    bool retain = false;
    uint16_t share = 0;
    ClusterTime expires_at;
    uint32_t bytes = 0;  // of the message
    BodyId body;         // 0: inline
    std::vector<uint32_t> subscription_ids;
    std::string_view message;  // flat, when inline
};
// Everything but an inline message, which follows it.
void write_entry_head(RecordWriter& out, const EntryRecord& entry);
[[nodiscard]] bool read_entry(std::string_view value, EntryRecord& entry);

}  // namespace quorate::cluster
