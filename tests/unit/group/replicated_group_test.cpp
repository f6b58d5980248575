// A group with several replicas, each with stores of its own, turn by turn and without threads:
// snapshots, reads, hand-overs, and replicas that begin anew.
#include "tests/unit/catch.h"
#include "tests/unit/group/replicated_nodes.h"

using namespace quorate;
using cluster::Group;
using cluster::GroupHealth;
using cluster::GroupOptions;
using cluster::test::kGroup;
using cluster::test::Node;
using cluster::test::Nodes;
using sim::ToyMachine;

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

TEST_CASE("a replica whose state is not its leader's stops, also after a restart [R4]") {
    Nodes nodes(8);
    nodes.propose(10);
    const uint32_t wrong = nodes.follower();
    Node& one = nodes.node(wrong);
    CHECK(one.runner->counters().state_checks > 0);
    one.machine.forget(1);
    nodes.propose(20);
    CHECK(one.group->health() == GroupHealth::Failed);
    CHECK(one.group->failure().find("differs from the leader's") != std::string::npos);
    CHECK(one.runner->counters().states_differ == 1);
    // Its state is as wrong as before, and its log still holds the check.
    nodes.start(wrong);
    nodes.propose(1);
    CHECK(one.group->health() == GroupHealth::Failed);
    // The others go on, and it comes back with their state under a new name.
    CHECK(nodes.elect().machine.number(1) == 31);
    CHECK(nodes.elect().runner->counters().states_differ == 0);
    const raft::Configuration three = Nodes::options(1).configuration;
    REQUIRE(one.group->rejoin(ReplicaId(4), three).ok());
    nodes.where[ReplicaId(4)] = wrong;
    raft::Configuration next = three;
    std::erase(next.voters, ReplicaId(wrong));
    next.learners = {ReplicaId(4)};
    REQUIRE(nodes.elect().group->change(next).ok());
    nodes.propose(20);
    CHECK(one.group->health() == GroupHealth::Sound);
    CHECK(one.machine.number(1) == 51);
    CHECK(one.runner->counters().states_differ == 1);  // that of its start
    CHECK(one.runner->counters().state_checks > 0);
}

TEST_CASE("replicas that were restarted or got a snapshot have written the same [R4]") {
    Nodes nodes(4);
    nodes.propose(5);
    const uint32_t away = nodes.follower();
    nodes.away = {away};
    nodes.propose(30);
    nodes.cut(nodes.elect());
    nodes.away.clear();
    nodes.pass(30);
    nodes.start(nodes.follower());
    nodes.propose(30);
    for (auto& [number, node] : nodes.nodes) {
        CHECK(node->group->health() == GroupHealth::Sound);
        CHECK(node->machine.number(1) == 65);
        CHECK(node->runner->counters().states_differ == 0);
        CHECK(node->runner->counters().state_checks > 5);
    }
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

TEST_CASE("a follower whose disk is full to the stop takes no entries, and catches up later") {
    Nodes nodes;
    nodes.propose(3);
    const uint32_t number = nodes.follower();
    Node& one = nodes.node(number);
    one.disk_percent = 98;
    nodes.pass(5);
    nodes.propose(10);
    CHECK(one.machine.number(1) == 3);
    CHECK(one.runner->counters().appends_refused > 0);
    // Nor a snapshot; it is no reason to stand for election either.
    nodes.cut(nodes.elect());
    const Term term = one.group->term();
    nodes.pass(50);
    CHECK(one.machine.number(1) == 3);
    CHECK(one.group->term() == term);
    one.disk_percent = 50;
    nodes.pass(50);
    CHECK(one.machine.number(1) == 13);
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

TEST_CASE("a newcomer's log is cut by no flush before the group has named it, and starts again") {
    Nodes nodes;
    nodes.propose(10);
    const uint32_t lost = nodes.follower();
    Node& one = nodes.node(lost);
    REQUIRE(one.log.write_durable_mark().ok());
    one.log.forget_writes(3);
    nodes.start(lost);
    REQUIRE(one.group->health() == GroupHealth::Amnesic);
    raft::Configuration next = Nodes::options(1).configuration;
    REQUIRE(one.group->rejoin(ReplicaId(4), next).ok());
    nodes.where[ReplicaId(4)] = lost;
    std::erase(next.voters, ReplicaId(lost));
    next.learners = {ReplicaId(4)};
    Node& leader = nodes.elect();
    REQUIRE(leader.group->change(next).ok());
    // With the third silent the change is not committed, and no newcomer gets it.
    for (const auto& [number, node] : nodes.nodes) {
        if (node.get() != &leader && node.get() != &one) nodes.away = {number};
    }
    // It has applied what came before the change, and knows only its own idea of the members.
    const auto caught_up = [&one] { return one.group->applied().value() >= 5; };
    for (int i = 0; i < 50 && !nodes.settle_until(caught_up); ++i) {
        nodes.clock.time += std::chrono::milliseconds(100);
    }
    REQUIRE(caught_up());
    REQUIRE_FALSE(one.group->configuration().contains(ReplicaId(4)));
    const LogIndex synced = one.group->synced_candidate();
    REQUIRE(one.state.flush().ok());
    one.runner->state_synced(kGroup, synced);
    REQUIRE(nodes.settle_until([&one] { return one.waiting.empty(); }));
    while (one.runner->turn() || one.write_one()) {
    }
    nodes.start(lost);
    CHECK(one.group->health() == GroupHealth::Sound);
    nodes.away.clear();
    nodes.pass(30);
    CHECK(one.group->configuration().contains(ReplicaId(4)));
    CHECK(one.machine.number(1) == 10);
    CHECK(one.machine.digest() == nodes.elect().machine.digest());
}
