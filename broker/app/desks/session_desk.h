// Sessions of this loop's clients: attach and detach, QoS 2 of durable publishers, acknowledgements
// and pulls of durable subscribers; all by numbered commands to the client's shard.
//
// Thread: the loop's. Owner: the front-end. Errors: what a shard refuses comes back as the reason
// code its channel tells the client; a full lane makes the channel wait (Busy).
// Spec.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

#include "broker/mqtt/channel.h"
#include "broker/mqtt/host.h"
#include "cluster/router/loop_port.h"

namespace quorate::broker {

class Client;
class FrontEnd;

class SessionDesk {
  public:
    SessionDesk(FrontEnd& front_end, cluster::LoopPort& port)
        : front_end_(front_end),
          port_(port),
          among_others_(port.owner_distributes()),
          moved_(among_others_ ? port.layout().shards : 0) {}

    void attach(Client& client, const AttachRequest& request);
    void detach(Client& client, DetachHow how, std::optional<uint32_t> new_expiry_seconds,
                MessageNumber highest_written);
    [[nodiscard]] PublishVerdict publish_qos2(Client& client, const InboundPublish& publish);
    void release(Client& client, PacketId packet_id);
    void acknowledge(Client& client, MessageNumber number, AckKind kind);
    void window_open(Client& client);

    // Answers to this desk's commands; false when the token is another desk's.
    bool on_answer(uint64_t token, const cluster::Answer& answer);
    void on_deliveries(const cluster::DeliveryBatch& batch);
    void on_let_go(const cluster::LetGoRequest& request);
    void on_credit();
    // What its leader had sent, or was asked for, may be lost.
    void on_moved(ShardId shard);

    // Sends what this turn has gathered: one Ack and one Want per client.
    void end_turn();
    // Attaches without an answer for longer than `limit` are refused (G10), and among other nodes
    // QoS 2 publishes too. A session that is attached after all is detached then; a publish that is
    // committed after all is delivered, and its packet identifier was released at once.
    void sweep(LoopTime now, LoopTime limit);
    [[nodiscard]] std::size_t waiting() const { return operations_.size(); }
    // QoS 2 publishes of durable sessions that are not yet committed.
    [[nodiscard]] std::size_t puts() const { return puts_; }

  private:
    struct Attaching {};
    struct Detaching {};
    struct Putting {
        uint32_t channel_ticket = 0;
        PacketId packet_id;
        bool told = false;  // that it is refused: nobody waits any more
    };
    struct Releasing {
        PacketId packet_id;
    };
    struct Acking {
        std::vector<MessageNumber> pubrecs;
    };
    struct Operation {
        uint32_t client = 0;
        uint32_t generation = 0;
        ShardId shard;
        LoopTime since{0};
        std::variant<Attaching, Detaching, Putting, Releasing, Acking> kind;
    };
    // A command that its lane had no room for and that cannot be refused: a good-bye, or a PUBREL,
    // of which a client may have Receive Maximum unanswered.
    struct Deferred {
        uint64_t token = 0;
        std::variant<cluster::Detached, cluster::Release> body;
    };

    [[nodiscard]] uint64_t begin(Client& client, decltype(Operation::kind) kind);
    void attached(Client& client, const cluster::Answer& answer);
    // Sends now, or behind what waits for the shard's lane already.
    template <typename Body>
    void send_or_defer(ShardId shard, uint64_t token, const Body& body);
    void send_acks(Client& client);
    void send_want(Client& client);
    void stage(Client& client);
    // Numbers below this one are missing: everything from the first of them on is sent again.
    void want_again(Client& client);
    void want_moved();
    void refuse_late_puts(const std::vector<uint64_t>& tokens);
    [[nodiscard]] Client* of(const Operation& operation);

    FrontEnd& front_end_;
    cluster::LoopPort& port_;
    const bool among_others_;  // LoopPort::owner_distributes()
    uint64_t next_token_ = 1;  // odd: this desk's
    std::size_t puts_ = 0;
    std::unordered_map<uint64_t, Operation> operations_;
    std::map<ShardId, std::deque<Deferred>> deferred_;  // in order for each shard
    struct Staged {
        uint32_t client = 0;
        uint32_t generation = 0;
    };
    std::vector<Staged> staged_;
    std::vector<Staged> gaps_;  // asked again and had nothing since
    std::vector<bool> moved_;   // by shard, in this turn
    bool any_moved_ = false;
    // Attaches that are refused at the end of the turn: a channel is not answered from within its
    // own question.
    struct Refused {
        Staged who;
        mqtt::ReasonCode reason;
    };
    std::vector<Refused> refused_;
};

}  // namespace quorate::broker
