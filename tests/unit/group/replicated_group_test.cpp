// A group with several replicas, each with stores of its own, turn by turn and without threads:
// snapshots, reads, hand-overs, and replicas that begin anew.
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

using namespace quorate;
using cluster::Group;
using cluster::GroupHealth;
using cluster::GroupOptions;
using cluster::GroupRunner;
using sim::ToyMachine;

namespace {

const GroupId kGroup{16};

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
    Nodes() {
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
        node->start(options(number));
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

    TestClock clock;
    std::map<uint32_t, std::unique_ptr<Node>> nodes;
    std::map<ReplicaId, uint32_t> where;
    std::set<uint32_t> away;
    uint64_t proposed = 0;
};

}  // namespace

TEST_CASE("a replica that missed what was cut gets the state, and keeps it over a restart [R-8]") {
    Nodes nodes;
    nodes.propose(5);
    const uint32_t away = nodes.follower();
    nodes.away = {away};
    nodes.propose(30);
    Node& leader = nodes.elect();
    nodes.cut(leader);
    nodes.away.clear();
    nodes.pass(30);
    Node& one = nodes.node(away);
    CHECK(one.machine.number(1) == 35);
    CHECK(one.machine.digest() == leader.machine.digest());
    CHECK(one.generations() == 1);
    nodes.propose(3);
    CHECK(one.machine.number(1) == 38);
    // A power loss: the log and the flushed state agree on the new generation.
    Random random(1);
    one.log.crash(random);
    one.state.crash(random);
    nodes.start(away);
    CHECK(one.group->health() == GroupHealth::Sound);
    CHECK(one.machine.number(1) >= 35);
    nodes.pass(30);
    CHECK(one.machine.digest() == nodes.elect().machine.digest());
    CHECK(one.machine.number(1) == 38);
}

TEST_CASE("until its one write is durable a snapshot has changed nothing [R-8, Raft 3.8]") {
    Nodes nodes;
    nodes.propose(5);
    const uint32_t away = nodes.follower();
    nodes.away = {away};
    nodes.propose(30);
    nodes.cut(nodes.elect());
    Node& one = nodes.node(away);
    Node& leader = nodes.elect();
    // Everything but the last write.
    nodes.away.clear();
    for (int i = 0; i < 400 && one.machine.number(1) < 35; ++i) {
        nodes.clock.time += std::chrono::milliseconds(10);
        while (leader.runner->turn() || leader.write_one())
            continue;
        while (!leader.out.empty()) {
            const raft::Message message = leader.out.front();
            leader.out.pop_front();
            if (message.to == ReplicaId(away)) one.group->step(message);
        }
        one.runner->turn();
        if (one.machine.number(1) >= 35) break;
        one.write_one();
        while (!one.out.empty()) {
            leader.group->step(one.out.front());
            one.out.pop_front();
        }
    }
    REQUIRE(one.machine.number(1) == 35);
    Random random(1);
    one.log.crash(random);
    nodes.start(away);
    CHECK(one.group->health() == GroupHealth::Sound);
    CHECK(one.machine.number(1) == 5);
    nodes.pass(30);
    CHECK(one.machine.number(1) == 35);
}

TEST_CASE(
    "a second snapshot before the first one's write voids nothing that is still named [R-8]") {
    Nodes nodes;
    nodes.propose(5);
    const uint32_t away = nodes.follower();
    nodes.away = {away};
    Node& one = nodes.node(away);
    Node& leader = nodes.elect();
    const auto install = [&] {
        nodes.propose(10);
        cluster::SnapshotReader reader(leader.group->state());
        raft::InstallSnapshot chunk;
        chunk.snapshot = {EntryId{leader.group->applied(), leader.group->term()},
                          Nodes::options(1).configuration};
        chunk.transfer = raft::TransferId(leader.group->applied().value());
        chunk.data = *reader.next(1'000'000);
        chunk.done = reader.done();
        one.group->step(
            raft::Message{leader.group->leader(), ReplicaId(away), leader.group->term(), chunk});
        while (one.runner->turn())
            continue;
    };
    install();
    install();
    CHECK(one.machine.number(1) == 25);
    REQUIRE(one.write_one());
    REQUIRE(one.state.flush().ok());
    Random random(1);
    one.log.crash(random);
    nodes.start(away);
    CHECK(one.group->health() == GroupHealth::Sound);
    CHECK(one.machine.number(1) >= 5);
    nodes.away.clear();
    nodes.pass(30);
    CHECK(one.machine.number(1) == 25);
}

TEST_CASE("a replica that forgot is silent, and comes back under a new name [R6]") {
    Nodes nodes;
    nodes.propose(10);
    const uint32_t lost = nodes.follower();
    Node& one = nodes.node(lost);
    REQUIRE(one.log.write_durable_mark().ok());
    nodes.cut(nodes.elect());
    one.log.forget_writes(3);
    nodes.start(lost);
    CHECK(one.group->health() == GroupHealth::Amnesic);
    nodes.pass(30);
    CHECK(one.out.empty());
    CHECK(one.group->term() == Term(0));

    const raft::Configuration three = Nodes::options(1).configuration;
    CHECK_FALSE(one.group->rejoin(ReplicaId(lost), three).ok());
    CHECK_FALSE(one.group->rejoin(ReplicaId(1), three).ok());
    REQUIRE(one.group->rejoin(ReplicaId(4), three).ok());
    nodes.where[ReplicaId(4)] = lost;
    CHECK(one.group->health() == GroupHealth::Sound);
    nodes.pass(30);
    CHECK(one.machine.number(1) == 0);
    raft::Configuration next = three;
    std::erase(next.voters, ReplicaId(lost));
    next.learners = {ReplicaId(4)};
    REQUIRE(nodes.elect().group->change(next).ok());
    nodes.pass(30);
    CHECK(one.machine.number(1) == 10);
    next.learners.clear();
    next.voters.emplace_back(4);
    REQUIRE(nodes.elect().group->change(next).ok());
    nodes.pass(10);
    CHECK(one.group->configuration() == next);
    // The new name and what was promised under it are what a restart finds.
    nodes.start(lost);
    CHECK(one.group->health() == GroupHealth::Sound);
    nodes.propose(5);
    CHECK(one.machine.number(1) == 15);
    CHECK_FALSE(one.group->rejoin(ReplicaId(5), three).ok());
}

TEST_CASE("a leader whose disk is nearly full hands over before it refuses") {
    Nodes nodes;
    nodes.propose(3);
    Node& leader = nodes.elect();
    leader.disk_percent = 95;
    nodes.pass(5);
    CHECK_FALSE(leader.group->leading());
    nodes.propose(3);
    CHECK(leader.machine.number(1) == 6);
    // It does not come back while it is full, and everybody serves when all are.
    nodes.pass(300);
    CHECK_FALSE(leader.group->leading());
    for (auto& [number, node] : nodes.nodes) {
        node->disk_percent = 95;
    }
    nodes.pass(50);
    Node& other = nodes.elect();
    nodes.pass(300);
    CHECK(other.group->leading());
    CHECK(other.group->propose(ToyMachine::command(1, 99, "x")).error().code ==
          ErrorCode::LimitExceeded);
    CHECK(other.group->propose(ToyMachine::command(1, 7, "x"), cluster::Growth::Frees).ok());
}

TEST_CASE("a read is answered when a quorum vouched and the machine holds what was committed") {
    Nodes nodes;
    nodes.propose(3);
    Node& leader = nodes.elect();
    std::vector<bool> answers;
    const auto note = [&answers](bool confirmed) { answers.push_back(confirmed); };
    CHECK(nodes.node(nodes.follower()).group->read(note).error().code == ErrorCode::NotLeader);
    REQUIRE(leader.group->read(note).ok());
    leader.runner->turn();
    CHECK(answers.empty());
    nodes.settle();
    CHECK(answers == std::vector<bool>{true});
    nodes.away = {1, 2, 3};
    REQUIRE(leader.group->read(note).ok());
    nodes.pass(40);
    CHECK(answers == std::vector<bool>{true, false});
}

TEST_CASE("proposals are refused while leadership is handed over, and go on if that fails") {
    Nodes nodes;
    nodes.propose(3);
    Node& leader = nodes.elect();
    const uint32_t next = nodes.follower();
    nodes.away = {next};
    REQUIRE(leader.group->propose(ToyMachine::command(1, 4, "gathered")).ok());
    REQUIRE(leader.group->transfer(ReplicaId(next)).ok());
    CHECK(leader.group->propose(ToyMachine::command(1, 5, "x")).error().code ==
          ErrorCode::Unavailable);
    nodes.pass(15);
    CHECK(leader.group->leading());
    CHECK(leader.machine.number(1) == 4);
    nodes.away.clear();
    nodes.pass(5);
    REQUIRE(leader.group->transfer(ReplicaId(next)).ok());
    nodes.pass(3);
    CHECK(nodes.node(next).group->leading());
}

TEST_CASE("a cut keeps the configuration of where the log begins") {
    Nodes nodes;
    nodes.propose(3);
    raft::Configuration next = Nodes::options(1).configuration;
    Node& leader = nodes.elect();
    std::erase(next.voters, ReplicaId(nodes.follower()));
    REQUIRE(leader.group->change(next).ok());
    nodes.pass(5);
    nodes.propose(5);
    nodes.cut(leader);
    const auto number = leader.group->leader().value();
    nodes.start(static_cast<uint32_t>(number));
    CHECK(leader.group->health() == GroupHealth::Sound);
    CHECK(leader.group->configuration() == next);
    CHECK(leader.machine.number(1) == 8);
}
