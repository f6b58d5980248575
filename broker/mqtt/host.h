// `ChannelHost`: all that a channel asks of the world, and the values that go to and fro.
//
// The front-end implements it for each connection; tests implement it as a recorder. A channel
// calls its host only from inside one of its own events. The host may answer such a call at once,
// from within it, only where a result type says so (Done, Accepted, Refused); what it answers later
// comes as an event of the channel, never from inside a call of the host.
//
// Thread: the loop that accepted the socket. Views in requests live as long as the call.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/mqtt/limits.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/mqtt/message.h"
#include "proto/mqtt/types.h"

namespace quorate::broker {

// Why a connection ends, for the log and the counters.
enum class CloseKind : uint8_t {
    ClientDisconnect,          // DISCONNECT 0x00
    ClientDisconnectWithWill,  // DISCONNECT with any other reason, 0x04 above all
    TransportClosed,           // the peer or the network closed without DISCONNECT
    ConnectTimeout,            // no whole CONNECT in time
    FirstPacketNotConnect,     // [MQTT-3.1.0-1]
    ConnectRefused,            // a CONNACK with a failure was sent (v3 0x01 to 0x05, v5 >= 0x80)
    Malformed,                 // 0x81
    ProtocolError,             // 0x82 and its specific relatives
    PacketTooLarge,            // 0x95
    TopicInvalid,              // 0x90, 0x8F
    TopicAliasInvalid,         // 0x94
    ReceiveMaximumExceeded,    // 0x93
    NotSupported,      // 0x9A, 0x9B, 0x9E, 0xA1, 0xA2: told in CONNACK and used all the same
    QuotaExceeded,     // 0x97
    KeepAliveTimeout,  // 0x8D
    TakenOver,         // 0x8E, let_go()
    PublishRefused,    // a version 3 client's QoS 1 or 2 PUBLISH: no code to tell it
    NotAuthorized,     // 0x87, also in re-authentication
    ServerDisconnect,  // disconnect(): administration, shutdown, overload
};

// `text` is static: safe to keep.
struct CloseCause {
    CloseKind kind = CloseKind::TransportClosed;
    mqtt::ReasonCode reason = mqtt::ReasonCode::Success;
    const char* text = "";
};

// How the connection of a session ended: only Disconnected deletes the will.
enum class DetachHow : uint8_t {
    Disconnected,          // DISCONNECT 0x00
    DisconnectedWithWill,  // DISCONNECT 0x04 or another reason of the client
    Lost,                  // transport closed, keep-alive, error of the client
    LetGo,                 // another connection took the session over
    ServerClosed,          // this node ended the connection
};

// What a client showed for itself: in CONNECT, in a further AUTH, or in an AUTH that asks to
// re-authenticate (MQTT 5 §4.12).
struct AuthenticateRequest {
    enum class Step : uint8_t { Connect, Continue, Reauthenticate };
    Step step = Step::Connect;
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::V5;
    std::string_view client_id;                // empty when one is to be assigned
    std::optional<std::string_view> username;  // Step::Connect only
    std::optional<std::string_view> password;  // Step::Connect only
    std::string_view method;                   // empty: no enhanced authentication
    std::string_view data;
};

struct AuthOutcome {
    enum class Kind : uint8_t {
        Accepted,
        Refused,   // `reason` goes into CONNACK, or DISCONNECT when re-authenticating
        Continue,  // `data` goes to the client in AUTH 0x18
        Pending,   // on_authenticated() will follow; never given to it
    };
    Kind kind = Kind::Accepted;
    mqtt::ReasonCode reason = mqtt::ReasonCode::Success;
    std::string data;  // Authentication Data for the client; empty: none
    // Who was Accepted, as proved; empty: nobody in particular (anonymous). Never what a client
    // merely says of itself.
    std::string identity{};
};

struct WillRequest {
    mqtt::MessageView message;
    uint32_t delay_seconds = 0;
};

// The client passed every check of CONNECT and is authenticated: find or make its session.
struct AttachRequest {
    std::string_view client_id;
    bool client_id_assigned = false;
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::V5;
    bool clean_start = true;
    uint32_t session_expiry_seconds = 0;  // within session_expiry_max; kExpiryNever: never
    uint16_t keep_alive_seconds = 0;      // what the channel enforces (x 1.5); 0: none
    uint16_t window = 0;                  // QoS 1 and 2 numbers that may be out at once
    uint32_t maximum_packet_size = 0;     // the client's; the largest it can be when it gave none
    std::string_view identity;            // AuthOutcome::identity: whose session it is (G9)
    std::optional<WillRequest> will;
};

struct AttachOutcome {
    mqtt::ReasonCode reason = mqtt::ReasonCode::Success;
    bool session_present = false;
    bool durable = false;               // the shard holds queue, received ids and numbers
    MessageNumber first_unacked{1};     // durable: where the window begins
    std::string_view server_reference;  // with 0x9C and 0x9D; empty: none
    std::string_view reason_string;     // for v5 clients that want problem information
};

// A PUBLISH that passed every check of the protocol. `message.qos` and `message.retain` are as
// sent.
struct InboundPublish {
    mqtt::MessageView message;
    PacketId packet_id;  // QoS 1 and 2
    bool dup = false;
    uint32_t ticket =
        0;  // QoS 1 and 2: name of this PUBLISH in on_published(); unique while pending
};

struct PublishVerdict {
    enum class Kind : uint8_t {
        Done,     // settled now; `reason` answers a QoS 1 or 2 PUBLISH
        Pending,  // QoS 1 and 2 only: on_published(ticket, reason) follows
        Busy,     // not taken: no credit. The channel keeps it unread until resume()
    };
    Kind kind = Kind::Done;
    mqtt::ReasonCode reason = mqtt::ReasonCode::Success;
};

struct SubscribeEntry {
    std::string filter;                     // without $share/{share_name}/
    std::string share_name;                 // empty: not shared
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;  // at most max_qos
    bool no_local = false;
    bool retain_as_published = false;
    mqtt::RetainHandling retain_handling = mqtt::RetainHandling::Send;
};

// Only the entries that the channel itself accepted, in the order of the packet.
struct SubscribeRequest {
    PacketId packet_id;
    uint32_t subscription_id = 0;  // 0: none
    std::vector<SubscribeEntry> entries;
};

struct UnsubscribeEntry {
    std::string filter;
    std::string share_name;
};

struct UnsubscribeRequest {
    PacketId packet_id;
    std::vector<UnsubscribeEntry> entries;
};

// What became of an outgoing message. For a durable session each of these is a command.
enum class AckKind : uint8_t {
    Puback,       // QoS 1 done
    Pubrec,       // QoS 2 received; PUBREL leaves after on_ack_committed()
    Pubcomp,      // QoS 2 done
    Refused,      // PUBACK or PUBREC with 0x80 and above: done, settles it [MQTT-4.4.0-2]
    TooLarge,     // never sent: larger than the client takes. Settled
    Dropped,      // never sent: queue limit or expiry. Settled
    Unsent,       // shared only, when the connection ends: not sent, the group may pass it on
    UnackedQos1,  // shared only, when the connection ends: sent, QoS 1, not acknowledged
    UnackedQos2,  // shared only, when the connection ends: sent, QoS 2, not completed
};

class ChannelHost {
  public:
    virtual ~ChannelHost() = default;

    // Room for `size` more bytes of output, contiguous, valid until the next call of either.
    [[nodiscard]] virtual std::byte* prepare(std::size_t size) = 0;
    // The first `size` bytes of that room are output. Requires: size <= what was prepared.
    virtual void commit(std::size_t size) = 0;
    // Bytes committed and not yet taken by the transport.
    [[nodiscard]] virtual std::size_t output_bytes() const = 0;
    // A QoS 2 message has been sent: the handshake goes on as soon as its PUBREC is read.
    virtual void answer_awaited() = 0;
    // Something waits for output_bytes() to fall: on_output_drained() shall follow when it has,
    // also when that happens without the transport ever refusing a byte.
    virtual void await_drain() = 0;

    // Close the transport once the output is flushed. Called once; the channel then takes no bytes.
    // In Channel::State::LettingGo a detach() still follows; destroy the channel after that.
    virtual void close(const CloseCause& cause) = 0;

    // A client id for a client that gave none; unique in the cluster.
    [[nodiscard]] virtual std::string make_client_id() = 0;
    [[nodiscard]] virtual AuthOutcome authenticate(const AuthenticateRequest& request) = 0;
    // Answered by on_attached(), unless the connection ends first.
    virtual void attach(const AttachRequest& request) = 0;
    // The connection of the session ended; called once for each attach() unless that was refused.
    // Also while attach() is unanswered: then the host detaches as soon as it is answered.
    // `new_expiry_seconds`: as given in DISCONNECT. `highest_written`: R-6, 0 when nothing was.
    virtual void detach(DetachHow how, std::optional<uint32_t> new_expiry_seconds,
                        MessageNumber highest_written) = 0;

    // Authorization, quotas and rates are the host's.
    [[nodiscard]] virtual PublishVerdict publish(const InboundPublish& publish) = 0;
    // PUBREL in a durable session. Answered by on_released().
    virtual void release(PacketId packet_id) = 0;
    // Answered by on_subscribed(), with one code for each entry.
    virtual void subscribe(SubscribeRequest&& request) = 0;
    // Answered by on_unsubscribed(), with one code for each entry.
    virtual void unsubscribe(UnsubscribeRequest&& request) = 0;

    // Progress of an outgoing message. Called for durable sessions always, for others only when it
    // came with a `shared_ticket`. `number` is 0 for Unsent and for what was dropped while pending.
    virtual void acknowledge(MessageNumber number, AckKind kind, uint64_t shared_ticket) = 0;
    // Durable: there is room in the window again, see Channel::next_number() and credit(), or in
    // the output. Called at most once per on_bytes(), after its last packet, and by
    // on_output_drained().
    virtual void window_open() = 0;
};

}  // namespace quorate::broker
