// `Channel`: the protocol state of one MQTT connection, 3.1, 3.1.1 or 5.0: bytes in, calls of its
// ChannelHost out.
//
//   WaitingConnect ──CONNECT──► Authenticating ──accepted──► Attaching ──session──► Connected
//        │                        │   ▲ AUTH                   │                     │    │
//        │ not CONNECT, malformed,│   └─ Continue              │ refused             │    │
//        let_go() │ late                   │ refused                    │                     │ ▼
//        └──────────────┬─────────┴────────────────────────────┘   DISCONNECT, error,│  LettingGo
//                       ▼                                          lost, disconnect()│    │ answers
//                     Closed ◄───────────────────────────────────────────────────────┴────┘ are in
//
// Closed is final: nothing is read, written or asked any more; only the object's end is missing.
// LettingGo reads and writes nothing either, it waits until every PUBLISH that the host
// called Pending is answered (at most let_go_timeout) and then detaches.
//
// Inbound: on_bytes() takes whole packets from the front of the input. At a packet that has to wait
// (no credit, too many unanswered SUBSCRIBEs) it stops consuming, but looks on past it for
// acknowledgements and PINGREQ, up to max_look_ahead_bytes, so that a client that may not publish
// can still acknowledge. What it looked at is not looked at again when the packet's turn
// comes. PUBACK and PUBREC leave in the order of the PUBLISH packets, per QoS [MQTT-4.6.0-2, -3].
//
// Outbound: durable sessions give each message its number and pull by window: deliver(). A session
// of expiry 0 lives here: offer() numbers, sends while the window is open, else keeps in a bounded
// queue. Packet Identifier = 1 + (number mod 65,535); the window is
// [first_unacked, first_unacked + Receive Maximum) of numbers.
//
// *Thread*: the loop that accepted the socket. *Owner*: the front-end's connection, which is also
// its host. *Errors*: what a client does wrong ends in host.close() with a CloseCause; v5 clients
// are told by CONNACK or DISCONNECT first. No input makes an assertion fail. *Memory*: an idle
// connection costs at most 400 bytes; parts come into being with their first use, and tick() gives
// back those that are empty. *Spec*: MQTT 5.0 §3, §4; MQTT 3.1.1 §3, §4; MQTT 3.1.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/mqtt/encoded_publish.h"
#include "broker/mqtt/flow_control.h"
#include "broker/mqtt/host.h"
#include "broker/mqtt/limits.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/mqtt/decoder.h"
#include "proto/mqtt/encoder.h"
#include "proto/mqtt/message.h"
#include "proto/mqtt/packets.h"
#include "proto/mqtt/types.h"

namespace quorate::broker {

class PendingQueue;
class ReceivedIds;
class TopicAliasesIn;
class TopicAliasesOut;

// A message of a durable session, as its shard sends it. `message.qos` and `message.retain` are
// what the client gets; `message` carries the expiry that remains.
struct Delivery {
    MessageNumber number;
    const mqtt::MessageView* message = nullptr;  // unused when pubrec_known
    bool dup = false;                            // at or below the mark of an earlier connection
    bool pubrec_known = false;                   // PUBREC was committed before: send PUBREL
    std::span<const uint32_t> subscription_ids;
    uint64_t shared_ticket = 0;  // handed back in acknowledge(); 0: none
};

enum class DeliverResult : uint8_t {
    Sent,
    Settled,       // the client cannot take it; acknowledge(number, TooLarge) was called
    OutOfWindow,   // below or beyond the window: not sent, nothing changed
    NotConnected,  // not in state Connected: not sent, nothing changed
};

// A message for a client whose session lives in the channel, or of QoS 0 for any client.
struct Offer {
    const mqtt::MessageView* message = nullptr;
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;  // what this client gets
    bool retain = false;                    // what this client gets
    std::span<const uint32_t> subscription_ids;
    uint64_t shared_ticket = 0;            // handed back in acknowledge(); 0: none
    EncodedPublishCache* cache = nullptr;  // holds `message`, for fan-out; null: encode here
    // encode_message(*message), for fan-out: queues that must wait share it instead of copying.
    const SharedBytes* shared = nullptr;
};

enum class OfferResult : uint8_t {
    Sent,
    Queued,   // QoS 1 and 2: taken into the session's memory queue
    Dropped,  // by a limit, counted
};

class Channel {
  public:
    enum class State : uint8_t {
        WaitingConnect,  // nothing but CONNECT is welcome, until connect_timeout
        Authenticating,  // on_authenticated() or the client's AUTH is awaited
        Attaching,       // on_attached() is awaited
        Connected,       // CONNACK with success was sent
        LettingGo,       // told 0x8E; the answers to what it sent are awaited
        Closed,          // final
    };

    // `host` and `context` outlive the channel.
    Channel(ChannelHost& host, ChannelContext& context, LoopTime now);
    ~Channel();
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    // the transport
    // `in`: everything received and not yet consumed. Returns how many bytes of its front are done
    // with; the caller drops those and brings the rest again, with more behind it, at the next
    // call. In state Closed or LettingGo all of it is consumed unread.
    [[nodiscard]] std::size_t on_bytes(LoopTime now, ByteView in);
    // False while more input would be of no use: the caller stops reading the socket.
    [[nodiscard]] bool wants_read() const;
    // True when input that on_bytes() left can be consumed by now: the caller calls it again. To be
    // asked after every event; changes only by events.
    [[nodiscard]] bool ready_for_bytes() const;
    void on_transport_closed(LoopTime now);
    // output_bytes() fell below max_output_bytes (or to 0): send what was kept pending.
    void on_output_drained(LoopTime now);
    // Credit is there again after PublishVerdict::Busy.
    void resume(LoopTime now);
    // To be called at or after deadline(): closes when the client is late, gives back empty parts.
    void tick(LoopTime now);
    // When tick() has something to do at the latest; changes with every packet, so a caller may
    // look again only when the last answer has passed. None: never.
    [[nodiscard]] std::optional<LoopTime> deadline() const;

    // answers of the host; ignored when the connection has ended
    void on_authenticated(LoopTime now, const AuthOutcome& outcome);
    void on_attached(LoopTime now, const AttachOutcome& outcome);
    // Unknown tickets are ignored.
    void on_published(uint32_t ticket, mqtt::ReasonCode reason);
    void on_released(PacketId packet_id, bool found);
    // One code per entry of the request: granted QoS, or 0x80 and above.
    void on_subscribed(PacketId packet_id, std::span<const mqtt::ReasonCode> codes);
    void on_unsubscribed(PacketId packet_id, std::span<const mqtt::ReasonCode> codes);
    // acknowledge(number, Pubrec) is committed: PUBREL leaves. In the order of those calls.
    void on_ack_committed(MessageNumber number);

    // the server's own will
    // another connection takes the session; v5 is told `reason` (0x8E, or 0x98 by an
    // administrator). After this nothing is read or written.
    void let_go(LoopTime now, mqtt::ReasonCode reason);
    // Ends the connection: v5 is told `reason` (CONNACK before Connected). `text` must be static.
    void disconnect(mqtt::ReasonCode reason, const char* text,
                    std::string_view server_reference = {});

    // messages to the client
    DeliverResult deliver(const Delivery& delivery);
    OfferResult offer(LoopTime now, const Offer& offer);
    // The number that the next deliver() may carry at the least, and how many numbers from there
    // on the window admits (R-6: Want{next number, credit}).
    [[nodiscard]] MessageNumber next_number() const { return MessageNumber(window_.next()); }
    [[nodiscard]] uint32_t credit() const { return window_.credit(); }

    // what it is
    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] mqtt::ProtocolVersion version() const { return version_; }
    // Valid after CONNECT, for as long as the channel lives.
    [[nodiscard]] std::string_view client_id() const { return client_id_; }
    [[nodiscard]] bool durable() const { return durable_; }
    // PUBLISH packets of QoS 1 and 2 that the host called Pending and has not answered.
    [[nodiscard]] uint32_t unanswered_publishes() const;
    [[nodiscard]] std::size_t queued_messages() const;
    [[nodiscard]] std::size_t queued_bytes() const;
    [[nodiscard]] std::size_t inflight_out() const { return window_.in_flight(); }
    // Of this object and its parts.
    [[nodiscard]] std::size_t memory_bytes() const;

  private:
    enum class Step : uint8_t {
        Done,  // the packet is dealt with (perhaps by ending the connection)
        Wait,  // it cannot be taken now; it stays in front of the input
    };
    struct Handshake;   // CONNECT while it waits for its verdict; the method of enhanced
                        // authentication
    struct Operations;  // unanswered SUBSCRIBE, UNSUBSCRIBE and PUBREL

    // channel.cpp: framing, states, time
    [[nodiscard]] bool ended() const {
        return state_ == State::Closed || state_ == State::LettingGo;
    }
    [[nodiscard]] bool reading() const;
    [[nodiscard]] bool output_stuck() const;
    [[nodiscard]] uint32_t packet_limit() const;
    [[nodiscard]] bool starts_with_connect(ByteView in);
    void look_ahead(LoopTime now, ByteView in);
    Step take(const mqtt::Frame& frame);
    Step take_connected(const mqtt::Frame& frame);
    Step wait();
    void shrink();

    // ending.cpp: how a connection ends, and what is told about it
    void on_disconnect(const mqtt::Frame& frame);
    // The client broke a rule: v5 is told (in CONNACK before Connected), the connection ends.
    void fail(CloseKind kind, mqtt::ReasonCode reason, const char* text);
    void fail(const mqtt::DecodeResult& error);
    void end(const CloseCause& cause, DetachHow how, std::optional<uint32_t> new_expiry = {});
    void detach(DetachHow how, std::optional<uint32_t> new_expiry);
    void finish_letting_go();
    void refuse_connect(const CloseCause& cause, std::string_view reason_string,
                        std::string_view server_reference);
    void send_disconnect(mqtt::ReasonCode reason, std::string_view text,
                         std::string_view server_reference);
    void send(mqtt::PacketType type, std::string_view packet);
    void send_ack(mqtt::PacketType type, PacketId id, mqtt::ReasonCode reason);

    // connect.cpp: CONNECT, AUTH, CONNACK
    void on_connect(const mqtt::Frame& frame);
    [[nodiscard]] mqtt::DecodeResult check_connect(const mqtt::Connect& connect) const;
    void keep_terms(const mqtt::Connect& connect);
    void keep_handshake(const mqtt::Frame& frame, const mqtt::Connect& connect);
    void judge(const AuthOutcome& outcome, const mqtt::Connect* connect);
    void judge_again(const AuthOutcome& outcome);
    void start_attach(const mqtt::Connect& connect, std::string_view identity);
    void on_auth(const mqtt::Frame& frame);
    void send_auth(mqtt::ReasonCode reason, std::string_view data);
    void send_connack(const AttachOutcome& outcome);
    [[nodiscard]] std::string connack_properties() const;

    // publish.cpp: PUBLISH and PUBREL of the client
    Step on_publish(const mqtt::Frame& frame);
    [[nodiscard]] bool resolve_topic(const mqtt::PublishView& publish, std::string_view& topic);
    Step admit(InboundPublish& publish, bool bad_payload);
    [[nodiscard]] std::optional<Step> check_quota(bool repeat);
    void repeat_received(PacketId id);
    Step on_pubrel(const mqtt::Ack& ack);
    void answer_ready(mqtt::QoS qos);
    void answer_publish(mqtt::QoS qos, PacketId id, mqtt::ReasonCode reason);
    [[nodiscard]] AnswerQueue& answers(mqtt::QoS qos) {
        return qos == mqtt::QoS::AtLeastOnce ? answers_qos1_ : answers_qos2_;
    }

    // acknowledge.cpp: PUBACK, PUBREC, PUBCOMP of the client
    Step on_ack(const mqtt::Frame& frame);
    void on_puback(const mqtt::Ack& ack);
    void on_pubrec(const mqtt::Ack& ack);
    void on_pubcomp(const mqtt::Ack& ack);
    void settle(uint64_t number, AckKind kind);
    void tell(uint64_t number, AckKind kind, uint64_t ticket);
    void after_acks(LoopTime now);

    // deliver.cpp: messages to the client
    void fly(uint64_t number, OutgoingWindow::Slot slot, uint64_t ticket);
    [[nodiscard]] bool output_full() const;
    bool write(mqtt::PublishFields& fields);
    bool write_offer(const Offer& offer, PacketId id);
    OfferResult drop(DropCause cause, AckKind kind, uint64_t ticket);
    OfferResult keep(LoopTime now, const Offer& offer);
    void pump(LoopTime now);
    void return_shared();

    // subscribe.cpp
    Step on_subscribe(const mqtt::Frame& frame);
    Step on_unsubscribe(const mqtt::Frame& frame);
    [[nodiscard]] mqtt::DecodeResult check_subscribe(const mqtt::Subscribe& subscribe) const;
    [[nodiscard]] std::optional<Step> check_operation(PacketId id, std::size_t filters,
                                                      mqtt::PacketType answer);
    void on_operation(PacketId id, std::span<const mqtt::ReasonCode> codes,
                      mqtt::PacketType answer);
    void send_codes(PacketId id, std::vector<mqtt::ReasonCode>&& codes, mqtt::PacketType answer);
    Operations& operations();

    ChannelHost& host_;
    ChannelContext& context_;
    std::string client_id_;
    OutgoingWindow window_;
    AnswerQueue answers_qos1_;
    AnswerQueue answers_qos2_;
    std::unique_ptr<PendingQueue> pending_;  // session of expiry 0: messages that wait
    std::unique_ptr<ReceivedIds> received_;  // QoS 2 ids from PUBLISH to PUBCOMP
    std::unique_ptr<TopicAliasesIn> aliases_in_;
    std::unique_ptr<TopicAliasesOut> aliases_out_;
    std::unique_ptr<Handshake> handshake_;
    std::unique_ptr<Operations> operations_;
    uint64_t publisher_ = 0;     // hash64 of the client id
    LoopTime last_packet_{};     // accept, the last packet, or the beginning of letting go
    uint32_t unread_ = 0;        // bytes that the last on_bytes() left
    uint32_t looked_at_ = 0;     // how many of these were looked at already
    uint32_t waiting_size_ = 0;  // size of the packet that waits in front of them
    uint32_t session_expiry_ = 0;
    uint32_t client_packet_max_ = mqtt::kPacketSizeMax;
    uint16_t keep_alive_s_ = 0;
    uint16_t window_size_ = 1;
    uint16_t client_alias_max_ = 0;
    uint16_t receive_maximum_ = 1;  // as told in CONNACK
    State state_ = State::WaitingConnect;
    mqtt::ProtocolVersion version_ = mqtt::ProtocolVersion::V311;
    bool durable_ : 1 = false;
    bool attached_ : 1 = false;         // attach() was asked: a detach() is owed
    bool blocked_ : 1 = false;          // the packet in front waits for an event
    bool stalled_ : 1 = false;          // on_bytes() left more than the beginning of a packet
    bool acked_ : 1 = false;            // room was made since the last after_acks()
    bool awaiting_client_ : 1 = false;  // Authenticating: the client's AUTH is next
    bool assigned_id_ : 1 = false;
    bool tell_keep_alive_ : 1 = false;
    bool tell_expiry_ : 1 = false;
    bool want_response_information_ : 1 = false;
    bool reauthenticating_ : 1 = false;
};

}  // namespace quorate::broker
