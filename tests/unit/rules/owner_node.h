// The owner of a topic's shard on one node, and a loop that publishes to it: the production objects
// joined as the rules say, with links that a schedule moves by hand.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cluster/router/owner.h"
#include "cluster/stream/copy_link.h"
#include "cluster/stream/owner_gate.h"
#include "cluster/stream/publish_stream.h"
#include "cluster/stream/stream_acceptor.h"
#include "tests/unit/rules/network.h"

namespace quorate::cluster::rules {

struct OwnerReply {
    uint32_t attempt = 0;
    bool refused = false;
    uint64_t number = 0;
    mqtt::ReasonCode code = mqtt::ReasonCode::Success;
    uint32_t receivers = 0;
};
using Replies = std::vector<OwnerReply>;

class OwnerNode final : public OwnerHost {
  public:
    // The owner of `topics` on `node`.
    OwnerNode(uint32_t node, ReplicatedShard& topics);

    // It is elected; it may act once the first entry of its term is applied.
    void lead(Term term, bool ready = true);
    void first_entry_applied() { gate_.first_entry_applied(term_); }
    void follow();

    // From a loop.
    Replies receive(const PublishStream::Output& output);
    // Commands to a shard that are on their way, taken off this node.
    [[nodiscard]] Wire take(ShardId shard) { return std::exchange(wires_[shard], {}); }
    [[nodiscard]] Wire resend(ShardId shard) { return lane(shard).resend(); }
    // Carries them there; the answers.
    std::vector<Answer> deliver(ReplicatedShard& shard, const Wire& wire) {
        return lane(shard.id()).deliver(shard, wire);
    }
    Replies read(ShardId shard, const std::vector<Answer>& answers);
    // Sends, applies and reads what is on its way to `shard`.
    Replies run(ReplicatedShard& shard) {
        return read(shard.id(), deliver(shard, take(shard.id())));
    }

    [[nodiscard]] std::vector<Copy> take_copies() { return copies_.take(); }
    Replies copy_answered(uint64_t number, CopyVerdict verdict);
    [[nodiscard]] CopySender& copies() { return copies_; }
    [[nodiscard]] CopyProducer producer() const { return {incarnation_, ShardId(0), Term(1)}; }

    void begin_round(uint64_t id) { gate_.round_begun(id); }
    Replies confirm_round(uint64_t id);
    // A round that begins now and succeeds.
    Replies confirm();

    Destinations destinations;  // of every topic, as this node's table says

  private:
    bool match(std::string_view topic, Destinations& out, bool accepted) override;
    bool may_retain(std::string_view topic, bool accepted) override;
    void enqueue(ShardId shard, uint64_t token, const Enqueue& body, ShardId of) override;
    void retain(ShardId shard, uint64_t token, const Retain& body) override;
    void to_group(const GroupRoute& group, Ticket ticket, const SharedBytes& flat,
                  const OutboxSource* source) override;
    void to_loop(LoopId loop, Ticket ticket, const mqtt::MessageView& message,
                 const OutboxSource* source) override;
    void to_live(ShardId shard, const mqtt::MessageView& message) override;
    void answer(PortRef asker, const TakenBatch::Taken& taken) override;
    void answer(const HandOverDone& done) override;

    struct Asked {
        uint32_t attempt = 0;
        uint64_t number = 0;
        TakenBatch::Taken taken;
    };
    LaneEnd& lane(ShardId shard);
    [[nodiscard]] bool ready() const;
    Replies take_replies();

    NodeId node_;
    Incarnation incarnation_;
    ReplicatedShard& topics_;
    Term term_;
    OwnerGate gate_;
    ActGate tables_;
    StreamAcceptor acceptor_;
    std::unique_ptr<Owner> owner_;
    std::map<ShardId, std::unique_ptr<LaneEnd>> lanes_;
    std::map<ShardId, Wire> wires_;
    CopySender copies_;
    Ticket next_ticket_ = 0;
    uint64_t next_round_ = 1000;
    std::map<Ticket, Asked> asked_;
    std::map<std::string, uint64_t> numbers_;  // of retained messages, by payload
    std::vector<uint64_t> answers_;
};

// A loop with publishers.
class FrontEndLoop {
  public:
    // Numbered; payloads are "1", "2", ...
    void publish(const std::string& payload, int qos = 1, bool retain = false,
                 uint64_t connection = 1);
    void begin(Term term) { stream_.begin(term); }
    [[nodiscard]] PublishStream::Output take() { return stream_.take(); }
    // True when it has to begin again.
    bool read(const Replies& replies);
    void give_up(const std::string& payload);

    [[nodiscard]] const std::vector<std::string>& acknowledged() const { return acknowledged_; }
    [[nodiscard]] PublishStream& stream() { return stream_; }
    static StreamName name() { return {make_incarnation(NodeId(9), 1), LoopId(0)}; }

  private:
    PublishStream stream_;
    uint64_t next_ticket_ = 0;
    std::map<uint64_t, std::string> payloads_;  // by ticket
    std::vector<std::string> acknowledged_;
};

}  // namespace quorate::cluster::rules
