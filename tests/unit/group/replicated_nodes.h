// Three replicas of a group on nodes of their own, each with stores that forget what was not
// synced, turn by turn and without threads: nothing is delivered or written but by `settle`.
//
// *Thread*: one. *Owner*: a test.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "cluster/group/group.h"
#include "cluster/group/group_runner.h"
#include "storage/keys.h"
#include "storage/memory_stores.h"
#include "tests/sim/toy_machine.h"
#include "tests/unit/catch.h"

namespace quorate::cluster::test {

using sim::ToyMachine;

inline constexpr GroupId kGroup{16};

// Moved by hand.
struct TestClock final : Clock {
    [[nodiscard]] std::chrono::nanoseconds now() const override { return time; }
    [[nodiscard]] std::chrono::milliseconds wall() const override { return {}; }
    std::chrono::nanoseconds time{std::chrono::seconds(1)};
};

// One replica on a node of its own. The log writes when it is told to.
struct Node final : cluster::MessageSink, storage::LogSink {
    explicit Node(TestClock& shared) : clock(shared) {}

    void start(GroupOptions options) {
        options.id = kGroup;
        options.log_bytes_max = 1;
        waiting.clear();
        cluster::GroupRunnerOptions runner_options;
        runner_options.post_log_done = [this] { runner->log_done(); };
        runner = std::make_unique<GroupRunner>(
            cluster::GroupContext{log, state, clock, &disk, this, nullptr}, *this, runner_options);
        const auto added = runner->add(options, machine);
        REQUIRE(added.ok());
        group = *added;
    }
    void send(GroupId /*group*/, raft::Message message) override { out.push_back(message); }
    void submit(storage::LogRequest request) override { waiting.push_back(std::move(request)); }
    bool write_one() {
        if (waiting.empty()) return false;
        REQUIRE(log.write({&waiting.front().batch, 1}, storage::Durability::Synced).ok());
        Task done = std::move(waiting.front().done);
        waiting.pop_front();
        done();
        return true;
    }
    // How many generations the state store has keys of.
    [[nodiscard]] int generations() const {
        int count = 0;
        for (uint32_t generation = 0; generation < 20; ++generation) {
            const std::string prefix = storage::state_prefix(kGroup, Generation(generation));
            if (storage::StateView(const_cast<storage::MemoryStateStore&>(state), prefix)
                    .cursor({}, {})
                    ->valid()) {
                ++count;
            }
        }
        return count;
    }

    TestClock& clock;
    storage::MemoryLogStore log;
    storage::MemoryStateStore state;
    uint64_t disk_percent = 0;
    storage::DiskWatch disk{[this] { return storage::DiskUse{100, disk_percent}; }};
    ToyMachine machine;
    std::deque<storage::LogRequest> waiting;
    std::deque<raft::Message> out;
    std::unique_ptr<GroupRunner> runner;
    Group* group = nullptr;
};

struct Nodes {
    explicit Nodes(uint32_t state_check_every = 4096) : check_every(state_check_every) {
        for (uint32_t i = 1; i <= 3; ++i) {
            start(i);
        }
        elect();
    }
    static GroupOptions options(uint32_t number) {
        GroupOptions options;
        options.self = ReplicaId(number);
        options.configuration = {{ReplicaId(1), ReplicaId(2), ReplicaId(3)}, {}, {}};
        options.seed = number;
        return options;
    }
    Node& node(uint32_t number) { return *nodes.at(number); }
    Node& start(uint32_t number) {
        auto& node = nodes[number];
        if (!node) node = std::make_unique<Node>(clock);
        where[ReplicaId(number)] = number;
        GroupOptions own = options(number);
        own.state_check_every = check_every;
        node->start(own);
        return *node;
    }
    void settle() {
        bool busy = true;
        while (busy) {
            busy = false;
            for (auto& [number, node] : nodes) {
                while (node->runner->turn() || node->write_one())
                    busy = true;
                while (!node->out.empty()) {
                    const raft::Message message = node->out.front();
                    node->out.pop_front();
                    const uint32_t to = where.at(message.to);
                    if (away.contains(number) || away.contains(to)) continue;
                    nodes.at(to)->group->step(message);
                    busy = true;
                }
            }
        }
    }
    // One message after the other, until `reached`. False when nothing happens any more.
    template <typename Reached>
    bool settle_until(const Reached& reached) {
        for (bool busy = true; busy && !reached();) {
            busy = false;
            for (auto& [number, node] : nodes) {
                if (reached()) return true;
                busy = node->runner->turn() || node->write_one() || busy;
                if (node->out.empty()) continue;
                const raft::Message message = node->out.front();
                node->out.pop_front();
                const uint32_t to = where.at(message.to);
                busy = true;
                if (!away.contains(number) && !away.contains(to))
                    nodes.at(to)->group->step(message);
            }
        }
        return reached();
    }
    void pass(int ticks) {
        for (int i = 0; i < ticks; ++i) {
            clock.time += std::chrono::milliseconds(100);
            settle();
        }
    }
    Node& elect() {
        for (int i = 0; i < 100; ++i) {
            pass(1);
            for (auto& [number, node] : nodes) {
                if (!away.contains(number) && node->group->leading()) return *node;
            }
        }
        QUORATE_FATAL("nobody leads");
    }
    void propose(int count) {
        Node& leader = elect();
        for (int i = 0; i < count; ++i) {
            REQUIRE(leader.group->propose(ToyMachine::command(1, ++proposed, "payload")).ok());
            settle();
        }
        pass(3);
    }
    // The leader's log is cut as far as its state is flushed.
    void cut(Node& node) {
        const LogIndex synced = node.group->synced_candidate();
        REQUIRE(node.state.flush().ok());
        node.runner->state_synced(kGroup, synced);
        settle();
    }
    // Number of one that does not lead.
    uint32_t follower() {
        const Node& leader = elect();
        return &leader == nodes.at(1).get() ? 2 : 1;
    }

    const uint32_t check_every;
    TestClock clock;
    std::map<uint32_t, std::unique_ptr<Node>> nodes;
    std::map<ReplicaId, uint32_t> where;
    std::set<uint32_t> away;
    uint64_t proposed = 0;
};

}  // namespace quorate::cluster::test
