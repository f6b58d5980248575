// Idle groups: scenes of falling asleep and of everything that wakes.
#include "tests/unit/catch.h"
#include "tests/unit/raft/raft_cluster.h"

using namespace quorate;
using namespace quorate::raft;
using test::other_than;
using test::RaftCluster;
using test::Replica;

namespace {

// Three replicas that fall asleep after two idle rounds.
struct Sleepers : RaftCluster {
    Sleepers() : RaftCluster(3, 3) {
        for (uint32_t i = 1; i <= 3; ++i) {
            replica(i).options.quiesce_rounds = 2;
            replica(i).restart(i);
        }
        elect();
    }
    [[nodiscard]] uint32_t asleep() {
        uint32_t count = 0;
        for (uint32_t i = 1; i <= 3; ++i) {
            if (!replica(i).node().needs_ticks()) ++count;
        }
        return count;
    }
    void pass(int ticks) {
        for (int i = 0; i < ticks; ++i) {
            tick();
        }
    }
};

}  // namespace

TEST_CASE("an idle group needs no ticks, keeps its leader and wakes for a proposal") {
    Sleepers group;
    group.pass(40);
    CHECK(group.asleep() == 3);
    const ReplicaId leader = group.leader()->id();
    const Term term = group.leader()->node().term();
    group.pass(500);
    CHECK(group.leader()->id() == leader);
    CHECK(group.leader()->node().term() == term);
    REQUIRE(group.propose("good morning"));
    group.settle();
    CHECK(group.asleep() == 0);
    for (uint32_t i = 1; i <= 3; ++i) {
        CHECK(group.replica(i).node().term() == term);
    }
    group.pass(40);
    CHECK(group.asleep() == 3);
    CHECK(group.replica(other_than(leader)).applied().back().data.text() == "good morning");
    CHECK(group.violation().empty());
}

TEST_CASE("a group with a follower that lags or is silent stays awake") {
    Sleepers group;
    const ReplicaId leader = group.leader()->id();
    group.isolate(other_than(leader));
    group.pass(100);
    CHECK_FALSE(group.leader()->node().quiescent());
    group.reconnect();
    group.pass(60);
    CHECK(group.asleep() == 3);
}

TEST_CASE("a follower that is told of its leader's silence elects another") {
    Sleepers group;
    group.pass(40);
    REQUIRE(group.asleep() == 3);
    const ReplicaId dead = group.leader()->id();
    group.isolate(static_cast<uint32_t>(dead.value()));
    for (uint32_t i = 1; i <= 3; ++i) {
        if (ReplicaId(i) != dead) group.replica(i).node().wake();
    }
    group.pass(25);
    uint32_t leaders = 0;
    for (uint32_t i = 1; i <= 3; ++i) {
        const RaftNode& node = group.replica(i).node();
        if (ReplicaId(i) != dead && node.role() == Role::Leader) ++leaders;
    }
    CHECK(leaders == 1);
    CHECK(group.violation().empty());
}

TEST_CASE("a follower that missed the word wakes its leader and deposes nobody") {
    Sleepers group;
    const ReplicaId leader = group.leader()->id();
    const Term term = group.leader()->node().term();
    group.pass(40);
    REQUIRE(group.asleep() == 3);
    // As if it had been restarted: it knows of no leader and counts ticks.
    group.replica(other_than(leader)).restart(7);
    group.pass(30);
    CHECK(group.leader()->id() == leader);
    CHECK(group.leader()->node().term() == term);
    group.pass(40);
    CHECK(group.asleep() == 3);
}

TEST_CASE("a leader that forgot itself is followed by another although all sleep") {
    Sleepers group;
    group.pass(40);
    REQUIRE(group.asleep() == 3);
    group.leader()->restart(11);
    group.pass(40);
    REQUIRE(group.leader() != nullptr);
    CHECK(group.violation().empty());
}

TEST_CASE("reads, changes and hand-overs wake a group") {
    for (int act = 0; act < 3; ++act) {
        Sleepers group;
        group.pass(40);
        Replica& leader = *group.leader();
        REQUIRE(leader.node().quiescent());
        if (act == 0) REQUIRE(leader.node().read_index().ok());
        if (act == 1) REQUIRE(leader.node().transfer(ReplicaId(other_than(leader.id()))).ok());
        if (act == 2) {
            Configuration target = leader.node().configuration();
            target.learners.push_back(group.add_newcomer().id());
            REQUIRE(leader.node().change(target).ok());
        }
        CHECK_FALSE(leader.node().quiescent());
        group.settle();
        CHECK(group.asleep() == 0);
    }
}
