// LoopPort of a loop: parcels to the workers of this node, and of others if there are any.
//
// Among other nodes each publish goes into the stream of its topic's shard, which numbers it and
// sends it again until an owner has answered; what one loop has in all its streams is bounded by
// LoopCredit. Wishes for routes go to the worker that keeps this node's route for the filter.
//
// Credits: a loop may have so many publishes and bytes unanswered at owners, and so many at
// each other loop; beyond that `publish_to_owner`, `publish_to_group` and `loops_ready` refuse and
// the front-end stops taking PUBLISH from that socket. `LoopSink::on_credit` follows when half of
// it is free again. QoS 0 has no answers and no credit: Outbound::admit drops it.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "cluster/router/directory.h"
#include "cluster/router/exchange.h"
#include "cluster/router/lane_client.h"
#include "cluster/router/loop_port.h"
#include "cluster/stream/publish_stream.h"

namespace quorate::cluster {

struct LoopCredit {
    uint32_t publishes_max = 16'384;       // unanswered at owners and groups
    uint64_t bytes_max = 64ULL << 20;      // of them; one may be larger when it is alone
    uint32_t loop_publishes_max = 16'384;  // unanswered at one other loop
    uint64_t loop_bytes_max = 32ULL << 20;
};

class NodeLoopPort final : public LoopPort {
  public:
    struct Context {
        Exchange& exchange;
        Directory& directory;
        ShardLayout layout;
        LoopId loop;
        Incarnation incarnation;
        uint32_t workers = 1;
        LoopCredit credit;
        std::span<const std::atomic<uint64_t>> retained_in{};  // messages, by shard
        const OtherNodes* others = nullptr;  // outlives the port; null: there are none
        std::chrono::milliseconds publish_timeout{10'000};  // among other nodes
    };
    // `sink` outlives the port.
    NodeLoopPort(const Context& context, LoopSink& sink);

    bool command(ShardId shard, uint64_t token, const CommandBody& body) override;
    bool publish_to_owner(Ticket ticket, const mqtt::MessageView& message,
                          bool skip_loops) override;
    bool owner_distributes() const override { return context_.others != nullptr; }
    void publisher_gone(uint64_t publisher) override;
    void publish_to_shard(ShardId shard, const mqtt::MessageView& message) override;
    bool publish_to_group(const GroupRoute& group, Ticket ticket,
                          const mqtt::MessageView& message) override;
    bool loops_ready(uint64_t loops) override;
    void publish_to_loop(LoopId loop, Ticket ticket, const mqtt::MessageView& message) override;
    void taken(PortRef port, const TakenBatch::Taken& taken) override;
    void want(const Want& want) override;
    void shared_ack(const SharedAck& ack) override;
    void retained(const RetainedQuery& query) override;
    std::optional<ShardId> next_retained(ShardId from) override;
    void loop_route(std::string_view filter, bool add, uint64_t token) override;
    bool match(std::string_view topic, Destinations& out) override;
    uint64_t table_version() override;
    void receive() override;
    void flush() override;
    uint16_t workers() const override { return context_.exchange.workers(); }
    WorkerId worker_of(ShardId shard) const override;
    LoopId loop() const override { return context_.loop; }
    Incarnation incarnation() const override { return context_.incarnation; }
    const ShardLayout& layout() const override { return context_.layout; }

  private:
    // How often a stream that was refused by an owner asks the same one again.
    static constexpr std::chrono::milliseconds kAgain{50};
    static constexpr std::chrono::milliseconds kExpireEvery{100};

    struct Stream {
        PublishStream items;
        std::chrono::nanoseconds begin_at{0};  // while it is not open: not before
        bool staged = false;                   // in staged_
    };
    [[nodiscard]] bool into_stream(Ticket ticket, const mqtt::MessageView& message);
    Stream& stream(ShardId shard);
    void stage(ShardId shard, Stream& stream);
    void begin(ShardId shard, Stream& stream);
    void on_stream_answer(const StreamAnswer& answer);
    // Settles what was answered or is too old, and begins streams anew whose time has come.
    void look_after_streams();
    void send_streams();
    void send_routes();

    [[nodiscard]] bool take_credit(std::size_t bytes);
    void return_credit();
    void return_loop_credit(LoopId loop, std::size_t answers);
    // At most half of every credit is in use.
    [[nodiscard]] bool relaxed() const;
    LaneClient& lane(ShardId shard);
    void follow_leaders();
    void on_answer(const GroupAnswer& routed);
    void on_shown(uint64_t token);

    Context context_;
    LoopSink& sink_;
    Outbound outbound_;
    Directory::Tables::Reader reader_;
    std::vector<std::unique_ptr<LaneClient>> lanes_;  // by shard
    std::vector<std::unique_ptr<Stream>> streams_;    // by topic shard; only among other nodes
    std::vector<ShardId> staged_;                     // streams that may have something to send
    std::set<ShardId> used_;                          // streams with something unanswered
    uint64_t in_streams_ = 0;                         // publishes, as of the last look,
    uint64_t in_streams_bytes_ = 0;                   // and their bytes
    std::chrono::nanoseconds next_expire_{0};
    std::set<uint64_t> routes_asked_;  // tokens of loop_route that are not shown yet,
    uint64_t route_token_ = 0;         // and the highest that was ever given
    std::vector<std::unique_ptr<LoopParcel>> arrived_;
    std::vector<DirectoryOp> route_ops_;
    std::vector<uint64_t> route_tokens_;
    std::deque<std::size_t> outstanding_;  // bytes of publishes, in the order they were taken
    std::size_t outstanding_bytes_ = 0;
    bool refused_ = false;
    uint64_t leader_changes_ = 0;         // as of the last look,
    std::vector<Leaders::Place> places_;  // and where the shards were led then
    // What another loop has of this one and has not answered. Its bytes are paid back by shares.
    struct AtLoop {
        uint64_t publishes = 0;
        uint64_t bytes = 0;
    };
    std::vector<AtLoop> at_loops_;
};

}  // namespace quorate::cluster
