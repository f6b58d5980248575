// A group on stores in memory, turn by turn, without threads.
#include "cluster/group/group.h"

#include <string>

#include "tests/unit/catch.h"
#include "tests/unit/group/lone_group.h"

using namespace quorate;
using cluster::Group;
using cluster::GroupContext;
using cluster::GroupHealth;
using cluster::GroupOptions;
using cluster::GroupRunner;
using cluster::GroupRunnerOptions;
using cluster::Growth;
using cluster::test::Bench;
using sim::ToyMachine;

TEST_CASE("nothing is proposed before the leader's own first entry is applied") {
    Bench bench;
    CHECK(bench.propose(1).error().code == ErrorCode::NotLeader);
    bench.runner->turn();  // the vote for itself
    REQUIRE(bench.sink.write_one());
    CHECK(bench.propose(1).error().code == ErrorCode::NotLeader);
    bench.runner->turn();  // the entry that opens the term
    CHECK_FALSE(bench.machine.leading());
    REQUIRE(bench.sink.write_one());
    bench.runner->turn();
    CHECK(bench.machine.leading());
    CHECK(bench.propose(1).ok());
}

TEST_CASE("elections, roles and proposals are counted, and how long a commit took") {
    Bench bench;
    const cluster::GroupCounters& counters = bench.runner->counters();
    const auto groups = [&counters](raft::Role role) {
        return counters.roles[static_cast<std::size_t>(role)];
    };
    CHECK(bench.propose(1).error().code == ErrorCode::NotLeader);
    CHECK(counters.proposals_failed == 1);
    bench.settle();
    CHECK(counters.elections_won == 1);
    CHECK(counters.elections_lost == 0);
    CHECK(counters.leader_changes == 1);
    CHECK(groups(raft::Role::Leader) == 1);
    CHECK(groups(raft::Role::Follower) == 0);
    REQUIRE(bench.propose(1).ok());
    REQUIRE(bench.propose(2).ok());
    CHECK(counters.proposals_pending == 2);
    bench.runner->turn();
    bench.clock.time += std::chrono::milliseconds(30);
    REQUIRE(bench.sink.write_one());
    bench.runner->turn();
    REQUIRE(counters.commits.size() == 1);  // one entry
    CHECK(counters.commits.front() == std::chrono::milliseconds(30));
    CHECK(counters.proposals_pending == 0);
    CHECK(counters.proposals_failed == 1);
    bench.runner->turn();
    CHECK(counters.commits.empty());
}

TEST_CASE("commands of one turn share an entry and wait for the disk before they are applied") {
    Bench bench;
    bench.settle();
    const LogIndex before = bench.group->applied();
    for (uint64_t number = 1; number <= 100; ++number) {
        REQUIRE(bench.propose(number).ok());
    }
    bench.runner->turn();
    REQUIRE(bench.sink.waiting.size() == 1);
    CHECK(bench.sink.waiting.front().batch.entries() == 1);
    bench.runner->turn();
    CHECK(bench.machine.number(1) == 0);
    REQUIRE(bench.sink.write_one());
    bench.runner->turn();
    CHECK(bench.machine.number(1) == 100);
    CHECK(bench.group->applied() == before.next());
    CHECK(bench.group->in_flight_bytes() == 0);
}

TEST_CASE("while the disk is busy commands gather instead of becoming small entries") {
    Bench bench;
    bench.settle();
    for (uint64_t number = 1; number <= 50; ++number) {
        REQUIRE(bench.propose(number).ok());
        bench.runner->turn();
    }
    CHECK(bench.sink.waiting.size() == storage::kLogRequestsInFlight);
    bench.settle();
    CHECK(bench.machine.number(1) == 50);
    CHECK(bench.machine.applied_index().value() <= 1 + 4);
}

TEST_CASE("proposals in flight are bounded, and a giant passes alone") {
    GroupOptions options;
    options.in_flight_bytes_max = 1000;
    Bench bench(options);
    bench.settle();
    uint64_t accepted = 0;
    while (bench.propose(accepted + 1).ok())
        ++accepted;
    CHECK(accepted > 10);
    CHECK(bench.propose(accepted + 1).error().code == ErrorCode::LimitExceeded);
    bench.settle();
    CHECK(bench.machine.number(1) == accepted);
    CHECK(bench.group->propose(ToyMachine::command(1, accepted + 1, std::string(5000, 'g'))).ok());
    CHECK(bench.propose(accepted + 2).error().code == ErrorCode::LimitExceeded);
    bench.settle();
    CHECK(bench.machine.number(1) == accepted + 1);
}

TEST_CASE("entries split near their size limit") {
    GroupOptions options;
    options.entry_bytes = 4096;
    Bench bench(options);
    bench.settle();
    for (uint64_t number = 1; number <= 100; ++number) {
        REQUIRE(bench.group->propose(ToyMachine::command(1, number, std::string(200, 'p'))).ok());
    }
    bench.runner->turn();
    CHECK(bench.sink.waiting.front().batch.entries() > 5);
    bench.settle();
    CHECK(bench.machine.number(1) == 100);
}

TEST_CASE("a nearly full disk refuses growth, a full one everything") {
    Bench bench;
    bench.settle();
    bench.disk_percent = 92;
    bench.clock.time += std::chrono::seconds(1);
    CHECK(bench.propose(1).error().code == ErrorCode::LimitExceeded);
    CHECK(bench.propose(1, Growth::Frees).ok());
    bench.disk_percent = 98;
    bench.clock.time += std::chrono::seconds(1);
    CHECK(bench.propose(2, Growth::Frees).error().code == ErrorCode::LimitExceeded);
    bench.disk_percent = 10;
    bench.clock.time += std::chrono::seconds(1);
    CHECK(bench.propose(2).ok());
}

TEST_CASE("cluster time follows the leader's clock and goes on where it stood after a restart") {
    Bench bench;
    bench.settle();
    bench.clock.time += std::chrono::seconds(5);
    REQUIRE(bench.propose(1).ok());
    bench.settle();
    CHECK(bench.machine.time() == ClusterTime(5000));
    bench.clock.time = std::chrono::seconds(3);  // another boot: the clock began anew
    bench.restart();
    bench.settle();
    CHECK(bench.group->time() == ClusterTime(5000));
    bench.clock.time += std::chrono::seconds(2);
    REQUIRE(bench.propose(2).ok());
    bench.settle();
    CHECK(bench.machine.time() == ClusterTime(7000));
}

TEST_CASE("a log is cut only below what a finished flush holds") {
    Bench bench;
    bench.settle();
    REQUIRE(bench.propose(1).ok());
    bench.settle();
    const LogIndex synced = bench.group->synced_candidate();
    REQUIRE(bench.state.flush().ok());
    REQUIRE(bench.propose(2).ok());
    bench.settle();
    bench.runner->state_synced(GroupId(16), synced);
    bench.settle();
    Random random(1);
    bench.state.crash(random);
    bench.log.crash(random);
    bench.restart();
    bench.settle();
    CHECK(bench.group->health() == GroupHealth::Sound);
    CHECK(bench.machine.number(1) == 2);
}

TEST_CASE("a replica whose log forgot what was durable takes no part [R6]") {
    Bench bench;
    bench.settle();
    for (uint64_t number = 1; number <= 5; ++number) {
        REQUIRE(bench.propose(number).ok());
        bench.settle();
    }
    REQUIRE(bench.log.write_durable_mark().ok());
    bench.log.forget_writes(2);
    Random random(3);
    bench.state.crash(random);
    bench.restart();
    CHECK(bench.group->health() == GroupHealth::Amnesic);
    bench.settle();
    CHECK(bench.sink.waiting.empty());
    CHECK(bench.propose(6).error().code == ErrorCode::Unavailable);
}

TEST_CASE("a state that is ahead of its log is amnesia even without a durable mark [R5]") {
    Bench bench;
    bench.settle();
    REQUIRE(bench.propose(1).ok());
    bench.settle();
    REQUIRE(bench.state.flush().ok());
    bench.log.forget_writes(1);
    bench.restart();
    CHECK(bench.group->health() == GroupHealth::Amnesic);
}

TEST_CASE("a damaged entry stops its group and is never applied") {
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        Bench bench;
        bench.settle();
        for (uint64_t number = 1; number <= 5; ++number) {
            REQUIRE(bench.propose(number).ok());
            bench.settle();
        }
        Random random(seed);
        bench.log.flip_bit(random);
        Random all_lost(1);
        bench.machine = ToyMachine();
        bench.restart();
        CHECK(bench.group->health() == GroupHealth::Failed);
        CHECK_FALSE(bench.group->failure().empty());
    }
}

TEST_CASE("a damaged record of the state stops its group, which says so and serves nothing") {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Bench bench;
        bench.settle();
        for (uint64_t number = 1; number <= 5; ++number) {
            REQUIRE(bench.propose(number).ok());
            bench.settle();
        }
        REQUIRE(bench.state.flush().ok());
        Random random(seed);
        bench.state.flip_bit(random);
        bench.machine = ToyMachine();
        bench.restart();
        bench.settle();
        INFO("seed " << seed);
        CHECK(bench.group->health() == GroupHealth::Failed);
        CHECK_FALSE(bench.group->failure().empty());
        CHECK_FALSE(bench.group->leading());
        CHECK(bench.sink.waiting.empty());
        CHECK(bench.propose(6).error().code == ErrorCode::Unavailable);
    }
}

TEST_CASE("a state machine that gives up stops its group and leaves the others alone") {
    Bench bench;
    ToyMachine other;
    GroupOptions options;
    options.id = GroupId(17);
    auto added = bench.runner->add(options, other);
    REQUIRE(added.ok());
    bench.settle();
    REQUIRE(bench.group->propose("too short").ok());
    REQUIRE((*added)->propose(ToyMachine::command(1, 1, "x")).ok());
    bench.settle();
    CHECK(bench.group->health() == GroupHealth::Failed);
    CHECK(bench.propose(1).error().code == ErrorCode::Unavailable);
    CHECK((*added)->health() == GroupHealth::Sound);
    CHECK(other.number(1) == 1);
}
