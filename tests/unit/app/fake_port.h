// A LoopPort for tests of the front-end: keeps what the loop sends, and hands back what the test
// lets arrive. Routes come from a table of its own.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/router/directory_table.h"
#include "cluster/router/loop_port.h"
#include "cluster/shard/command.h"

namespace quorate::broker::test {

// Owner: the front-end under test.
class FakePort final : public cluster::LoopPort {
  public:
    struct Sent {
        ShardId shard;
        uint64_t token = 0;
        std::string bytes;

        // Views in it live as long as this object.
        [[nodiscard]] cluster::CommandBody body() const;
        [[nodiscard]] std::string name() const { return cluster::command_name(body()); }
    };
    struct Publish {
        std::string to;  // "owner", "owner-rest" (no loops), "shard 3", "group name", "loop 1"
        cluster::Ticket ticket = 0;
        std::string topic;
        std::string payload;
        bool operator==(const Publish&) const = default;
    };

    cluster::DirectoryTable table;
    uint64_t version = 2;
    std::set<ShardId> full_lanes;
    bool owner_full = false;
    bool loops_full = false;
    bool cut_off = false;  // every match
    bool clustered = false;
    bool hold_routes = false;  // loop_route is not answered
    std::set<std::string> full_groups;

    std::vector<Sent> commands;
    std::vector<Publish> publishes;
    std::vector<cluster::Want> wants;
    std::vector<cluster::TakenBatch::Taken> taken_by_us;
    std::vector<cluster::SharedAck> shared_acks;
    std::vector<cluster::RetainedQuery> queries;
    std::set<ShardId> shards_with_retained;
    std::vector<uint64_t> gone;          // publishers
    std::vector<uint64_t> routes_asked;  // tokens of loop_route
    int matches = 0;

    explicit FakePort(cluster::LoopSink* sink = nullptr, LoopId loop = LoopId(0))
        : sink_(sink), loop_(loop) {}

    // Durable subscribers behind a filter.
    void route(std::string filter, std::vector<cluster::ShardRoute> shards);
    void group(std::string filter, const std::string& group);
    void loop_subscribes(std::string filter, uint16_t loop);
    // Happens at the loop's next turn, as if it came from another thread.
    void arrive(std::function<void(cluster::LoopSink&)> event) {
        arriving_.push_back(std::move(event));
    }

    bool command(ShardId shard, uint64_t token, const cluster::CommandBody& body) override;
    bool publish_to_owner(cluster::Ticket ticket, const mqtt::MessageView& message,
                          bool skip_loops) override;
    bool owner_distributes() const override { return clustered; }
    void publisher_gone(uint64_t publisher) override { gone.push_back(publisher); }
    void publish_to_shard(ShardId shard, const mqtt::MessageView& message) override;
    bool publish_to_group(const cluster::GroupRoute& group, cluster::Ticket ticket,
                          const mqtt::MessageView& message) override;
    bool loops_ready(uint64_t) override { return !loops_full; }
    void publish_to_loop(LoopId loop, cluster::Ticket ticket,
                         const mqtt::MessageView& message) override;
    void taken(cluster::PortRef, const cluster::TakenBatch::Taken& taken) override {
        taken_by_us.push_back(taken);
    }
    void want(const cluster::Want& want) override { wants.push_back(want); }
    void shared_ack(const cluster::SharedAck& ack) override { shared_acks.push_back(ack); }
    void retained(const cluster::RetainedQuery& query) override { queries.push_back(query); }
    std::optional<ShardId> next_retained(ShardId from) override {
        const auto found = shards_with_retained.lower_bound(from);
        if (found == shards_with_retained.end()) return std::nullopt;
        return *found;
    }
    void loop_route(std::string_view filter, bool add, uint64_t token) override;
    bool match(std::string_view topic, cluster::Destinations& out) override;
    uint64_t table_version() override { return version; }
    void receive() override;
    void flush() override {}
    uint16_t workers() const override { return 1; }
    WorkerId worker_of(ShardId) const override { return WorkerId(0); }
    LoopId loop() const override { return loop_; }
    Incarnation incarnation() const override { return make_incarnation(NodeId(1), 1); }
    const cluster::ShardLayout& layout() const override { return layout_; }

  private:
    void keep(std::string to, cluster::Ticket ticket, const mqtt::MessageView& message);
    void apply(cluster::DirectoryOp op);

    cluster::LoopSink* sink_;
    LoopId loop_;
    cluster::ShardLayout layout_{4, 0};
    std::vector<std::function<void(cluster::LoopSink&)>> arriving_;
};

}  // namespace quorate::broker::test
