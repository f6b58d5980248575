// The commands of one shard: what its Raft log carries.
//
// A command is a header and one of the bodies below, in one flat encoding with a version byte.
// Bodies hold views: of what the proposer has at hand when encoding, of the log entry after
// decoding. A message travels as the flat encoding of proto/mqtt/message.h and is stored as it is.
//
// Pure. Thread: any. Errors: decode() answers Corrupt for bytes that are no command.
// Spec: rules.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cluster/sessions/outbox_source.h"
#include "cluster/topics/destination.h"
#include "cluster/topics/replay.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "proto/mqtt/types.h"

namespace quorate::cluster {

// Leader: proposed by the shard's own leader as a consequence of state; not numbered, since such a
// command says by its content whether it still applies.
enum class LaneClass : uint8_t { Control = 0, Publish = 1, Leader = 2 };

// One producer's numbered stream of commands to this shard.
struct Lane {
    Incarnation incarnation;
    uint16_t producer = 0;  // worker or loop of that incarnation
    LaneClass lane_class = LaneClass::Control;
    auto operator<=>(const Lane&) const = default;
};

// Who speaks, when it is the leader of another shard: refused when this shard has heard that source
// with a higher term.
struct SourceFence {
    ShardId source;
    Term term;
    auto operator<=>(const SourceFence&) const = default;
};

struct CommandHeader {
    Lane lane;
    CommandNumber number;  // 0 for LaneClass::Leader
    uint64_t token = 0;    // the asker's own, echoed in the answer
    std::optional<SourceFence> fence;
};

struct WillRequest {
    std::string_view message;  // flat
    uint32_t delay_s = 0;
};

inline constexpr uint32_t kNeverExpires = 0xFFFFFFFF;  // MQTT 5 §3.1.2.11.2

// Expiry 0 makes an attachment only: its subscriptions and messages live on the loop.
struct Attach {
    std::string_view client_id;
    std::string_view identity;  // who authenticated; another one is answered NotAuthorized
    mqtt::ProtocolVersion protocol_version = mqtt::ProtocolVersion::V5;
    bool clean_start = false;
    bool no_new = false;  // the broker is full: QuotaExceeded unless the session exists
    uint32_t session_expiry_s = 0;
    uint16_t receive_maximum = 65535;
    std::optional<WillRequest> will;
    ConnectionRef connection;
};

enum class DetachHow : uint8_t {
    Normal = 0,     // DISCONNECT 0x00: the will is deleted
    WithWill = 1,   // DISCONNECT 0x04
    Lost = 2,       // network, keep alive, protocol error
    TakenOver = 3,  // let go for another connection
    Kicked = 4,     // closed by an administrator
};

struct Detached {
    SessionId session;
    Epoch epoch;
    DetachHow how = DetachHow::Lost;
    std::optional<uint32_t> new_expiry_s;  // from DISCONNECT
    MessageNumber highest_written;         // 0: nothing was written on this connection
};

struct SubscriptionRequest {
    std::string_view filter;  // whole, "$share/name/filter" included
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;
    bool no_local = false;
    bool retain_as_published = false;
    mqtt::RetainHandling retain_handling = mqtt::RetainHandling::Send;
    uint32_t subscription_id = 0;  // 0: none
    bool replay = false;  // retained messages follow, if retain_handling has it so (see Replay)
};

struct Subscribe {
    SessionId session;
    Epoch epoch;
    std::vector<SubscriptionRequest> requests;
    uint32_t shared_max = UINT32_MAX;  // shared subscriptions the session may have
};

struct Unsubscribe {
    SessionId session;
    Epoch epoch;
    std::vector<std::string_view> filters;
};

// Narrows an Enqueue to sessions that hold exactly `filter`: the member of a shared group that was
// picked.
struct Restriction {
    std::vector<SessionId> sessions;
    std::string_view filter;  // whole, "$share/name/filter" included
};

struct Enqueue {
    std::string_view message;
    std::optional<OutboxSource> source;  // none: a publish whose owner repeats it under its lane
    std::optional<Restriction> only;
};

struct EnqueueGroup {
    std::string_view group;  // "name/filter"
    std::string_view message;
    std::optional<OutboxSource> source;
};

enum class AckKind : uint8_t {
    Puback = 0,       // any reason code
    PubrecOk = 1,     // below 0x80
    PubrecError = 2,  // 0x80 and above: settles the message; also a PUBACK that says so
    Pubcomp = 3,      // any reason code
    TooLarge = 4,     // not sent: above the client's Maximum Packet Size
    Denied = 5,       // not sent: authorization
    Expired = 6,      // not sent: expired before it could be
};

struct AckItem {
    MessageNumber number;
    AckKind kind = AckKind::Puback;
};

struct Ack {
    SessionId session;
    Epoch epoch;
    std::vector<AckItem> items;
};

// A PUBLISH of QoS 2 from a durable session.
struct OutboxPut {
    SessionId session;
    Epoch epoch;
    PacketId packet_id;
    std::string_view message;
};

// PUBREL from a durable session.
struct Release {
    SessionId session;
    Epoch epoch;
    PacketId packet_id;
};

// A loop's retained publishes are numbered; a number not above the last one writes nothing.
struct RetainStream {
    Incarnation incarnation;
    LoopId loop;
    auto operator<=>(const RetainStream&) const = default;
};

struct Retain {
    std::string_view message;  // an empty payload deletes
    RetainStream stream;
    uint64_t stream_number = 0;  // 0: unnumbered (a will, an administrator)
};

struct OutboxDone {
    OutboxTarget target;
    std::vector<OutboxNumber> numbers;
};

// Entries whose picked member did not take them: they leave the outbox and are in their group's
// queue again, in one step, so that a crash finds each in one place.
struct OutboxReturn {
    OutboxTarget target;
    std::vector<OutboxNumber> numbers;
};

// At the shard of a filter, at `wildcards`, or (filter "$share/name/filter", destination a Session
// or Connection) at the shard of a shared group.
struct Route {
    std::string_view filter;
    Destination destination;
    mqtt::QoS best_qos = mqtt::QoS::AtMostOnce;
    bool remove = false;
    RouteSerial serial;  // of the destination's changes: a smaller one changes nothing
};

struct MadeRoute {
    std::string_view filter;  // whole, as in WantedRoute
    SessionId member;         // of "$share" filters in the member's shard, else 0
    RouteSerial serial;
};

struct Made {
    std::vector<MadeRoute> routes;
};

struct NodeDown {
    Incarnation incarnation;  // it and all earlier ones of the same node
};

struct Tick {};
// Takes the number of a command that was given up, or that the leader refused before it could be
// written: then the answer is LimitExceeded.
struct Void {
    bool refused = false;
};

struct EndSession {
    std::string_view client_id;
};

struct GroupPick {
    std::string_view group;
    MessageNumber number;  // in the group's queue
    Destination member;    // Session or Connection
};

// A page of retained messages for a session that has subscribed. Taken from the first on, as many
// as leave half of the queue to live messages, which a retained one never pushes out. What was
// taken is remembered, so that whoever holds the session next goes on from there.
struct Replay {
    // Topics of `shard` above `after`.
    struct Position {
        ShardId shard;
        std::string_view after;
    };
    SessionId session;
    std::string_view filter;
    ReplayId id;    // nothing is taken when the session waits for no such replay,
    Position from;  // or has come further: the page was on its way when a connection ended
    std::vector<std::string_view> messages;
    std::optional<Position> next;  // of the page after this; none: with these messages it is done
};

using CommandBody = std::variant<Attach, Detached, Subscribe, Unsubscribe, Enqueue, EnqueueGroup,
                                 Ack, OutboxPut, Release, Retain, OutboxDone, Route, Made, NodeDown,
                                 Tick, Void, EndSession, GroupPick, OutboxReturn, Replay>;

struct Command {
    CommandHeader header;
    CommandBody body;
};

// Appends the encoding. `body` is any alternative of CommandBody, or the variant itself.
void encode_command(std::string& out, const CommandHeader& header, const CommandBody& body);
// Without building a variant: the commands of the hot path.
void encode_command(std::string& out, const CommandHeader& header, const Enqueue& body);
void encode_command(std::string& out, const CommandHeader& header, const Ack& body);
void encode_command(std::string& out, const CommandHeader& header, const OutboxPut& body);

// Views in the result point into `in`.
[[nodiscard]] Result<Command> decode_command(std::string_view in);

// Name of the body's alternative, for logs and scripts.
[[nodiscard]] const char* command_name(const CommandBody& body);

}  // namespace quorate::cluster
