// One client: its connection, its channel, and what the front-end knows of its session. It is the
// channel's host: whatever the channel asks for is carried out here or passed to the front-end.
//
// Thread: the loop's. Owner: the front-end, by slot; it lives from the accept of the socket until
// the connection is closed and its session detached.
// Errors: the channel's; the front-end logs and counts them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/mqtt/channel.h"
#include "broker/mqtt/host.h"
#include "broker/net/connect_limiter.h"
#include "broker/net/connection.h"
#include "cluster/router/traffic.h"
#include "proto/base/ids.h"

namespace quorate::broker {

class FrontEnd;

class Client final : public ChannelHost {
  public:
    Client(FrontEnd& front_end, Connection& connection, uint32_t slot, uint32_t generation,
           LoopTime now);
    ~Client() override;

    [[nodiscard]] Channel& channel() { return channel_; }
    // Null when the socket is gone and only the session's end is awaited.
    [[nodiscard]] Connection* connection() { return connection_; }
    void connection_gone() { connection_ = nullptr; }
    [[nodiscard]] uint32_t slot() const { return slot_; }
    [[nodiscard]] uint32_t generation() const { return generation_; }
    // hash64 of the Client Identifier: who published, for No Local.
    [[nodiscard]] uint64_t publisher() const { return publisher_; }
    [[nodiscard]] ConnectionRef ref() const;
    // After the channel has taken `input`: whether this connection's acknowledgements may be
    // gathered, see Connection::gather_input().
    void weigh_input(ByteView input);
    // Of its membership in a shared group; 0: none.
    [[nodiscard]] uint32_t shared_subscription_id(uint64_t group_hash) const;

    // Of ChannelHost:
    std::byte* prepare(std::size_t size) override;
    void commit(std::size_t size) override;
    std::size_t output_bytes() const override;
    void answer_awaited() override;
    void await_drain() override;
    void close(const CloseCause& cause) override;
    std::string make_client_id() override;
    AuthOutcome authenticate(const AuthenticateRequest& request) override;
    void attach(const AttachRequest& request) override;
    void detach(DetachHow how, std::optional<uint32_t> new_expiry_seconds,
                MessageNumber highest_written) override;
    PublishVerdict publish(const InboundPublish& publish) override;
    void release(PacketId packet_id) override;
    void subscribe(SubscribeRequest&& request) override;
    void unsubscribe(UnsubscribeRequest&& request) override;
    void acknowledge(MessageNumber number, AckKind kind, uint64_t shared_ticket) override;
    void window_open() override;

  private:
    friend class FrontEnd;
    friend class SessionDesk;
    friend class SubscriptionDesk;
    friend class RetainedDesk;
    friend class PublishDesk;

    // What only some clients have.
    struct SharedMembership {
        std::string filter;  // "$share/name/filter"
        ShardId shard;
        uint64_t group_hash = 0;  // hash64 of "name/filter"
        uint32_t subscription_id = 0;
    };
    struct Extras {
        std::vector<SharedMembership> memberships;
        std::vector<cluster::AckItem> acks;  // of this turn, for the session's shard
        uint64_t received = 0;  // bytes of numbered deliveries, as cluster::Want counts them
        uint64_t granted = 0;   // so many was the shard told to send at most
    };
    Extras& extras();

    FrontEnd& front_end_;
    Connection* connection_;
    uint32_t slot_;
    uint32_t generation_;
    ShardId shard_;
    SessionId session_;
    Epoch epoch_;
    uint64_t publisher_ = 0;
    uint32_t unauthenticated_bytes_ = 0;  // received before CONNACK and not yet used
    LoopTime opened_at_;
    TokenBucket rate_;                  // of its messages
    LoopTime bytes_at_{0};              // until then its bytes have used up their rate
    std::vector<std::string> filters_;  // of its own subscriptions on this loop
    std::unique_ptr<Extras> extras_;
    bool attach_pending_ : 1 = false;  // the answer is awaited
    bool attached_ : 1 = false;        // a Detached is owed
    bool durable_ : 1 = false;
    bool acks_staged_ : 1 = false;
    bool want_staged_ : 1 = false;
    bool want_again_ : 1 = false;    // ... as Want::again
    bool gap_asked_ : 1 = false;     // numbers are missing and were asked for
    bool busy_ : 1 = false;          // waits for credit
    bool replay_waits_ : 1 = false;  // retained messages, for room
    bool closed_ : 1 = false;        // the channel asked for the end
    bool detaching_ : 1 = false;     // Detached is on its way to the shard
    bool close_when_detached_ : 1 = false;
    bool counted_unauthenticated_ : 1 = false;
    bool counted_connected_ : 1 = false;
    uint8_t lone_pubacks_ = 0;  // in a row, each read alone; see weigh_input()
    mqtt::ProtocolVersion counted_version_ = mqtt::ProtocolVersion::V311;
    std::optional<DetachHow> detach_when_attached_;
    Channel channel_;  // last: it may call its host from its constructor on
};

}  // namespace quorate::broker
