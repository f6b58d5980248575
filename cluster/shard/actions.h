// What one shard's state machine asks its surroundings to do after commands were applied.
//
// Only a leader carries actions out; a follower drops them. Nothing here is needed for safety:
// whatever must happen can be asked for again by a query of ShardState (wanted_routes, let_gos,
// outbox_window, read_queue), which is what a new leader does.
//
// Thread: the shard's worker. Owner: whoever calls apply(); reused, so that a warm one allocates
// nothing. Spec: rules.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cluster/sessions/outbox_source.h"
#include "cluster/shard/command.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/mqtt/types.h"

namespace quorate::cluster {

enum class AnswerCode : uint8_t {
    Applied,        // with a result
    Duplicate,      // applied before; the result says what state says now
    Gap,            // number above last + 1: not counted, resend from `expected`
    StaleSource,    // an older term of the source than one heard; number consumed
    Fenced,         // the incarnation is down; not counted
    StaleEpoch,     // session or epoch is gone; number consumed
    Malformed,      // not a command; nothing changed
    LimitExceeded,  // a limit refused it; number consumed
    NotFound,       // what it names does not exist; number consumed
};

// Retained messages that a SUBSCRIBE of an earlier connection asked for and that did not all reach
// the queue.
struct OwedReplay {
    std::string filter;
    PendingReplay from;
};

struct AttachResult {
    // Success, NotAuthorized (identity), SessionTakenOver (a later Attach replaced this one while
    // it waited), ServerUnavailable (the holder did not let go in time), QuotaExceeded.
    mqtt::ReasonCode code = mqtt::ReasonCode::Success;
    bool session_present = false;
    bool durable = false;
    ConnectionRef connection;
    SessionId session;
    Epoch epoch;
    MessageNumber first_unacked;  // the three are for durable sessions only
    MessageNumber next;           // number the next message will get
    MessageNumber mark;           // up to here an earlier connection may have received (DUP)
    uint32_t subscriptions = 0;
    std::vector<OwedReplay> replays;  // to go on with
};

struct RequestedSubscription {
    mqtt::ReasonCode code = mqtt::ReasonCode::Success;  // GrantedQos0..2 or a failure
    bool is_new = false;                                // of the session; for Retain Handling 1
    bool shared = false;                                // no retained messages (MQTT 5 §4.8.2)
    SessionId member;                                   // with the filter, what Made names
    RouteSerial wait_for;  // SUBACK waits until made reaches it; 0: it is made
    ReplayId replay;       // retained messages are owed from the start, after SUBACK; 0: none
};

struct SubscribeResult {
    std::vector<RequestedSubscription> filters;
};

struct UnsubscribeResult {
    std::vector<mqtt::ReasonCode> codes;
};

struct EnqueueResult {
    uint32_t queued = 0;        // sessions that owe it now
    uint32_t live_qos0 = 0;     // copies in Actions::live
    uint32_t dropped_full = 0;  // a queue was full; older or newer was dropped, as configured
    uint32_t rejected = 0;      // a queue was full and the policy is reject
    uint32_t offline_qos0 = 0;  // QoS 0 for a session that is away
    uint32_t no_local = 0;
    bool repeat = false;  // the outbox entry had been taken before
};

// Where a replay goes on after a Replay.
struct ReplayResult {
    std::optional<PendingReplay> left;  // none: all of it is in the queue
    bool full = false;                  // some messages found no room
};

struct EnqueueGroupResult {
    bool queued = false;
    bool repeat = false;  // taken before. Neither: no durable member, forward it without a commit
    MessageNumber number;
};

struct AckResult {
    MessageNumber first_unacked;
    MessageNumber next;
    uint32_t ignored = 0;  // items for numbers that are not open or not of that QoS
};

struct OutboxPutResult {
    // Success, or QuotaExceeded (outbox or received set full).
    mqtt::ReasonCode code = mqtt::ReasonCode::Success;
    bool already_received = false;  // PUBREC only
};

struct ReleaseResult {
    bool found = false;  // false: PUBCOMP 0x92
};

struct RetainResult {
    mqtt::ReasonCode code = mqtt::ReasonCode::Success;  // or QuotaExceeded
};

// The answer to Route: at a shared group the member counts when the group's own route is made.
struct RouteResult {
    RouteSerial wait_for;  // 0: in force
};

struct DetachedResult {
    bool ended = false;  // the session is gone
};

using CommandResult =
    std::variant<std::monostate, AttachResult, SubscribeResult, UnsubscribeResult, EnqueueResult,
                 EnqueueGroupResult, AckResult, OutboxPutResult, ReleaseResult, RetainResult,
                 RouteResult, DetachedResult, ReplayResult>;

struct Answer {
    Lane lane;
    CommandNumber number;
    uint64_t token = 0;
    AnswerCode code = AnswerCode::Applied;
    CommandNumber expected;  // of Gap
    CommandResult result;
};

// Ask the holder to close its socket with 0x8E and to send Detached. Repeatable.
struct LetGo {
    ConnectionRef connection;
    SessionId session;
    Epoch epoch;
    bool operator==(const LetGo&) const = default;
};

// A copy of QoS 0 for a durable session: sent if the connection still is, never stored. Of
// incarnation 0 for a session that is away: the leader may keep it in memory.
struct LiveCopy {
    ConnectionRef connection;
    SessionId session;
    Epoch epoch;
    bool retain = false;
    uint32_t message = 0;                    // index into Actions::messages
    std::vector<uint32_t> subscription_ids;  // ascending
};

enum class SessionEndCause : uint8_t { CleanStart, Expired, Disconnected, Administrator };

struct SessionEnded {
    SessionId session;
    std::string client_id;
    SessionEndCause cause = SessionEndCause::Expired;
};

// A route change this shard's leader committed as made.
struct RouteMade {
    std::string filter;
    SessionId member;
    RouteSerial serial;
};

struct Actions {
    std::vector<Answer> answers;
    std::vector<LetGo> let_go;
    std::vector<SessionId> new_messages;  // connected sessions with something to pull; may repeat
    std::vector<SessionEnded> ended;
    std::vector<SessionId> presence;  // members of shared groups: came, went or new; may repeat
    std::vector<RouteMade> made;
    std::vector<LiveCopy> live;
    std::vector<SharedBytes> messages;        // flat
    std::vector<std::string> group_messages;  // groups with something to pick; may repeat
    bool routes_wanted = false;               // wanted_routes() has more than before
    bool outbox_ready = false;                // outbox_window() has more than before
    bool work_left = false;  // a bounded step (Tick, NodeDown) has more to do: propose it again
    bool topics_changed = false;  // the exact route table changed
    bool retained_changed = false;

    void clear();
};

}  // namespace quorate::cluster
