// A small cluster of the production objects, for schedules: shards as replicated state machines,
// and the lanes into them. Links are vectors that a schedule delivers, delays, repeats or loses.
//
// A schedule is a function that plays one order of events and answers what went wrong for a user,
// or nothing. It counts only if it answers nothing, and something as soon as the rule that it is
// about is taken out (cluster/mutants.h).
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/mutants.h"
#include "cluster/router/lane_client.h"
#include "cluster/shard/shard_state.h"
#include "storage/memory_stores.h"

namespace quorate::cluster::rules {

using Violation = std::string;  // empty: none
using Play = std::function<Violation()>;

// Fails the test unless the schedule holds, and breaks with each of the mutants.
void schedule(const Play& play, std::initializer_list<RuleMutant> mutants);

using Wire = std::vector<std::string>;  // commands on their way

// One shard on two replicas, of which one leads.
class ReplicatedShard {
  public:
    explicit ReplicatedShard(ShardId id = ShardId(0), uint32_t shards = 1,
                             const ShardOptions& options = {});

    // An entry with one command, applied by both. What the leader is to do.
    Actions apply(std::string_view command);
    Actions by_leader(const CommandBody& body);
    // The other replica leads, in the next term.
    void elect();
    // Both replicas were moved: what leads now was loaded from a snapshot.
    void move();

    [[nodiscard]] ShardState& state() { return *replicas_[leader_].state; }
    [[nodiscard]] Term term() const { return term_; }
    [[nodiscard]] ShardId id() const { return identity_.shard; }
    // Payloads in the queue of a client, in order.
    [[nodiscard]] std::vector<std::string> queue(std::string_view client);

    ClusterTime now{1000};

  private:
    struct Replica {
        std::unique_ptr<storage::MemoryStateStore> store;
        std::unique_ptr<ShardState> state;
    };
    void load(Replica& replica) const;

    ShardState::Identity identity_;
    ShardOptions options_;
    Replica replicas_[2];
    std::size_t leader_ = 0;
    Term term_{1};
};

// A producer's end of a lane to one shard.
class LaneEnd {
  public:
    LaneEnd(NodeId node, ShardId shard, LaneClass lane_class = LaneClass::Control,
            uint32_t start = 1, const LaneWindow& window = {});

    // Numbers a command. Requires: the window has room.
    Wire send(const CommandBody& body, std::optional<SourceFence> fence = std::nullopt,
              uint64_t token = 0);
    // Everything unanswered, again.
    [[nodiscard]] Wire resend() const;
    // Carries commands to the shard; the answers to this lane, in order.
    std::vector<Answer> deliver(ReplicatedShard& shard, const Wire& wire);
    // Reads answers: tokens of what is done. A gap stages everything again, into `again`.
    std::vector<uint64_t> read(const std::vector<Answer>& answers, Wire* again = nullptr);
    // All of it: sent, applied, answered.
    Answer ask(ReplicatedShard& shard, const CommandBody& body);

    [[nodiscard]] LaneClient& client() { return client_; }
    // What the last deliver() asked the leader to do besides answering.
    [[nodiscard]] const Actions& actions() const { return actions_; }

  private:
    static Wire open(const CommandParcel& parcel);

    LaneClient client_;
    Actions actions_;
};

// Commands of clients.

[[nodiscard]] std::string message(std::string_view topic, std::string_view payload, int qos = 1,
                                  bool retain = false);
[[nodiscard]] std::string payload_of(std::string_view flat);
[[nodiscard]] ConnectionRef connection(uint32_t node, uint32_t slot = 1, uint32_t start = 1);

struct AttachOptions {
    std::string_view client = "c";
    ConnectionRef connection{};
    uint16_t receive_maximum = 10;
    std::string_view will{};  // flat
};
[[nodiscard]] Attach attach(const AttachOptions& options);
[[nodiscard]] Subscribe subscribe(const AttachResult& session, std::string_view filter,
                                  int qos = 1);

// What an answer carries.
template <typename Result>
[[nodiscard]] Result result_of(const Answer& answer) {
    const auto* result = std::get_if<Result>(&answer.result);
    return result == nullptr ? Result{} : *result;
}

// A durable session with one subscription, its route made.
AttachResult durable_subscriber(ReplicatedShard& shard, LaneEnd& lane, std::string_view client,
                                std::string_view filter, int qos = 1);

// "1", "2", ... in the order of their first delivery, or who was overtaken.
[[nodiscard]] Violation first_deliveries_in_order(const std::vector<std::string>& received);
[[nodiscard]] Violation exactly(const std::vector<std::string>& received,
                                const std::vector<std::string>& expected);

}  // namespace quorate::cluster::rules
