// Copies of one table's group on nodes of their own, each with its end of the table lease and its
// steward, and a `meta` that knows of them: turn by turn, in virtual time, without threads.
//
// *Thread*: one. *Owner*: a test.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/group/group_runner.h"
#include "cluster/meta/replica_id.h"
#include "cluster/steward/group_steward.h"
#include "cluster/steward/table_lease.h"
#include "storage/memory_stores.h"
#include "tests/sim/toy_machine.h"
#include "tests/unit/catch.h"
#include "tests/unit/meta/meta_harness.h"

namespace quorate::cluster::test {

inline constexpr GroupId kTable = kWildcardsGroup;

// Moved by hand.
struct TestClock final : Clock {
    [[nodiscard]] std::chrono::nanoseconds now() const override { return time; }
    [[nodiscard]] std::chrono::milliseconds wall() const override { return {}; }
    std::chrono::nanoseconds time{std::chrono::seconds(100)};
};

// A toy that tells its lease what a table's machine would.
struct TableMachine final : StateMachine {
    Status load(storage::StateStore& store, LogIndex applied, ClusterTime time) override {
        return toy.load(store, applied, time);
    }
    Status apply(const CommandEntry& entry, storage::StateBatch& batch) override {
        return toy.apply(entry, batch);
    }
    void applied(LogIndex index) override {
        lease->committed(index);
        if (shows) lease->shown(index);
    }
    void on_leader(Term term) override {
        led_since = clock->time;
        lease->lead(term, group->term_start());
    }
    void on_follower(Term /*term*/) override { lease->follow(); }

    sim::ToyMachine toy;
    TableLease* lease = nullptr;
    Group* group = nullptr;
    const TestClock* clock = nullptr;
    bool shows = true;
    std::chrono::nanoseconds led_since{};
};

struct StewardNode final : MessageSink, storage::LogSink {
    StewardNode(NodeId self, TestClock& shared, const Log& log, TableLease::Send send,
                GroupSteward::Report report)
        : id(self),
          clock(shared),
          lease(kTable, self, shared, std::move(send)),
          steward(kTable, shared, log, std::move(report), &lease) {}

    void start(ReplicaId replica, const raft::Configuration& configuration) {
        GroupOptions options;
        options.id = kTable;
        options.self = replica;
        options.configuration = configuration;
        options.seed = replica.value() ^ (replica.value() >> 32U);
        GroupRunnerOptions runner_options;
        runner_options.post_log_done = [this] { runner->log_done(); };
        runner = std::make_unique<GroupRunner>(
            GroupContext{logs, state, clock, nullptr, this, nullptr}, *this, runner_options);
        machine.lease = &lease;
        machine.clock = &clock;
        const auto added = runner->add(options, machine);
        REQUIRE(added.ok());
        group = machine.group = *added;
        lease.set_group(group);
        steward.set_group(group);
        lease.begin(make_incarnation(id, 1));
    }
    void send(GroupId /*group*/, raft::Message message) override { out.push_back(message); }
    void submit(storage::LogRequest request) override { waiting.push_back(std::move(request)); }
    bool write_one() {
        if (waiting.empty()) return false;
        REQUIRE(logs.write({&waiting.front().batch, 1}, storage::Durability::Synced).ok());
        Task done = std::move(waiting.front().done);
        waiting.pop_front();
        done();
        return true;
    }

    const NodeId id;
    TestClock& clock;
    storage::MemoryLogStore logs;
    storage::MemoryStateStore state;
    TableLease lease;
    GroupSteward steward;
    TableMachine machine;
    std::deque<storage::LogRequest> waiting;
    std::deque<raft::Message> out;
    std::unique_ptr<GroupRunner> runner;
    Group* group = nullptr;
};

struct StewardWorld {
    StewardWorld() {
        REQUIRE(meta.code(form_of({"n1", "n2", "n3"}, 3, 1)) == MetaCode::Applied);
        for (uint32_t i = 1; i <= 3; ++i) {
            REQUIRE(meta.code(StartNode{NodeId(i), "n"}) == MetaCode::Applied);
            start(i, replica_id(NodeId(i), kFoundingReplica));
        }
    }
    StewardNode& node(uint32_t number) { return *nodes.at(NodeId(number)); }
    StewardNode& start(uint32_t number, ReplicaId replica) {
        const NodeId id(number);
        auto& node = nodes[id];
        node = std::make_unique<StewardNode>(
            id, clock, Log(*logger, "steward"),
            [this, id](NodeId to, std::string item) {
                items.push_back({id, to, std::move(item)});
            },
            [this](const MetaCommandBody& command) {
                ++reports;
                if (meta_answers) meta.ask(command);
                ++meta_index;
            });
        node->start(replica, meta.state.group(kTable)->configured);
        return *node;
    }
    [[nodiscard]] bool cut_off(NodeId one, NodeId other) const {
        return away.contains(one) || away.contains(other);
    }
    void settle() {
        for (bool busy = true; busy;) {
            busy = false;
            for (auto& [id, node] : nodes) {
                while (node->runner->turn() || node->write_one())
                    busy = true;
                for (; !node->out.empty(); node->out.pop_front()) {
                    const NodeId to = node_of(node->out.front().to);
                    busy = true;
                    if (nodes.contains(to) && !cut_off(id, to))
                        nodes.at(to)->group->step(node->out.front());
                }
            }
            for (; !items.empty(); items.pop_front()) {
                const Item& item = items.front();
                busy = true;
                if (nodes.contains(item.to) && !cut_off(item.from, item.to))
                    nodes.at(item.to)->lease.arrived(item.from, item.bytes);
            }
        }
    }
    void pass(int ticks) {
        for (int i = 0; i < ticks; ++i) {
            clock.time += std::chrono::milliseconds(100);
            settle();
            for (auto& [id, node] : nodes) {
                node->lease.tick();
                if (stewards) node->steward.tick(meta.state, LogIndex(meta_index));
            }
            settle();
            if (after_tick) after_tick();
        }
    }
    template <typename Reached>
    bool pass_until(const Reached& reached, int ticks = 300) {
        for (int i = 0; i < ticks && !reached(); ++i)
            pass(1);
        return reached();
    }
    StewardNode& leader() {
        StewardNode* found = nullptr;
        REQUIRE(pass_until([&] {
            for (auto& [id, node] : nodes) {
                if (!away.contains(id) && node->group->leading()) found = node.get();
            }
            return found != nullptr;
        }));
        return *found;
    }
    // Whoever comes first and does not lead.
    StewardNode& follower() {
        const StewardNode& leads = leader();
        return &leads == nodes.at(NodeId(1)).get() ? node(2) : node(1);
    }
    // The index of a command that the leader has applied.
    LogIndex propose() {
        StewardNode& leads = leader();
        REQUIRE(leads.group->propose(sim::ToyMachine::command(1, ++proposed, "x")).ok());
        settle();
        return leads.group->applied();
    }

    struct Item {
        NodeId from;
        NodeId to;
        std::string bytes;
    };

    static std::unique_ptr<Logger> quiet() {
        LogOptions options;
        options.file = "/dev/null";
        auto opened = Logger::open(options);
        REQUIRE(opened.ok());
        return std::move(opened).value();
    }

    std::unique_ptr<Logger> logger = quiet();
    TestClock clock;
    Meta meta;
    uint64_t meta_index = 1;
    bool meta_answers = true;
    bool stewards = false;
    int reports = 0;
    std::map<NodeId, std::unique_ptr<StewardNode>> nodes;
    std::deque<Item> items;
    std::set<NodeId> away;
    std::function<void()> after_tick;
    uint64_t proposed = 0;
};

}  // namespace quorate::cluster::test
