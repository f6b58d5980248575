// Raft §3.10: scenes of leadership transfer, and of priorities.
#include "tests/unit/catch.h"
#include "tests/unit/raft/raft_cluster.h"

using namespace quorate;
using namespace quorate::raft;
using test::other_than;
using test::RaftCluster;
using test::Replica;

namespace {

uint32_t number(const Replica& replica) {
    return static_cast<uint32_t>(replica.id().value());
}
bool asked_to_campaign(Replica& replica, ReplicaId target) {
    std::vector<Message> out;
    replica.take(out);
    return std::any_of(out.begin(), out.end(), [target](const Message& message) {
        return message.to == target && std::holds_alternative<TimeoutNow>(message.body);
    });
}

}  // namespace

TEST_CASE("leadership goes to the chosen replica without waiting for a timeout [Raft 3.10]") {
    RaftCluster cluster(3, 3);
    Replica& leader = cluster.elect();
    cluster.tick();
    const uint32_t next = other_than(leader.id());
    REQUIRE(cluster.propose("before"));
    REQUIRE(leader.node().transfer(ReplicaId(next)).ok());
    CHECK(leader.node().transferring());
    CHECK(leader.node().propose(SharedBytes(as_bytes("meanwhile"))).error().code ==
          ErrorCode::Unavailable);
    cluster.settle();
    CHECK(cluster.leader()->id() == ReplicaId(next));
    CHECK(leader.node().role() == Role::Follower);
    CHECK(cluster.propose("after"));
    cluster.settle();
    CHECK(cluster.replica(next).applied().back().data.text() == "after");
    CHECK(cluster.violation().empty());
}

TEST_CASE("a target is asked when it holds the last entry, not before [Raft 3.10]") {
    RaftCluster cluster(3, 3);
    Replica& leader = cluster.elect();
    cluster.tick();
    const uint32_t next = other_than(leader.id());
    cluster.isolate(next);
    REQUIRE(cluster.propose("missed"));
    cluster.settle();
    REQUIRE(leader.node().transfer(ReplicaId(next)).ok());
    CHECK_FALSE(asked_to_campaign(leader, ReplicaId(next)));
    cluster.reconnect();
    for (int i = 0; i < 5; ++i) {
        cluster.tick();
    }
    CHECK(cluster.leader()->id() == ReplicaId(next));
}

TEST_CASE("a transfer that does not succeed is given up after an election timeout [Raft 3.10]") {
    RaftCluster cluster(3, 3);
    Replica& leader = cluster.elect();
    cluster.tick();
    const uint32_t next = other_than(leader.id());
    cluster.isolate(next);
    REQUIRE(leader.node().transfer(ReplicaId(next)).ok());
    const uint32_t third = 6 - next - number(leader);
    CHECK(leader.node().transfer(ReplicaId(third)).error().code == ErrorCode::Unavailable);
    for (int i = 0; i < 10; ++i) {
        cluster.tick();
    }
    CHECK_FALSE(leader.node().transferring());
    CHECK(leader.node().role() == Role::Leader);
    CHECK(cluster.propose("again"));
}

TEST_CASE("only voters of the committed configuration are handed leadership [Raft 3.10, R7]") {
    RaftCluster cluster(3, 3);
    Replica& leader = cluster.elect();
    cluster.tick();
    cluster.add_newcomer();
    Configuration target = leader.node().configuration();
    target.learners = {ReplicaId(4)};
    REQUIRE(cluster.change(target));
    for (const ReplicaId wrong : {leader.id(), ReplicaId(4), ReplicaId(9)}) {
        CHECK(leader.node().transfer(wrong).error().code == ErrorCode::InvalidArgument);
    }
    const uint32_t other = other_than(leader.id());
    CHECK(cluster.replica(other).node().transfer(leader.id()).error().code == ErrorCode::NotLeader);
}

TEST_CASE("the leader's own wish passes the leases that protect it [Raft 3.10, 4.2.3]") {
    RaftCluster cluster(3, 3);
    const Replica& leader = cluster.elect();
    cluster.tick();
    Replica& other = cluster.replica(other_than(leader.id()));
    const uint32_t third = 6 - number(other) - number(leader);
    const Term term = other.node().term();
    RequestVote request{other.node().log().last(), false, false};
    other.node().step(Message{ReplicaId(third), other.id(), term.next(), request});
    CHECK(other.node().term() == term);
    request.transfer = true;
    other.node().step(Message{ReplicaId(third), other.id(), term.next(), request});
    CHECK(other.node().term() == term.next());
}

TEST_CASE("a leader hands over to a higher priority, to the highest of those that are there") {
    RaftCluster cluster(3, 3);
    Replica& leader = cluster.elect();
    const uint32_t high = other_than(leader.id());
    const uint32_t higher = 6 - high - number(leader);
    cluster.replica(high).node().set_priority(150);
    cluster.replica(higher).node().set_priority(200);
    cluster.isolate(higher);
    for (int i = 0; i < 130; ++i) {
        cluster.tick();
    }
    CHECK(cluster.leader()->id() == ReplicaId(high));
    cluster.reconnect();
    for (int i = 0; i < 130; ++i) {
        cluster.tick();
    }
    CHECK(cluster.leader()->id() == ReplicaId(higher));
    const Term term = cluster.leader()->node().term();
    for (int i = 0; i < 300; ++i) {
        cluster.tick();
    }
    CHECK(cluster.leader()->node().term() == term);
    CHECK(cluster.violation().empty());
}

TEST_CASE("a replica of priority 0 gives leadership away and does not ask for it first") {
    RaftCluster cluster(3, 3);
    Replica& leader = cluster.elect();
    cluster.tick();
    CHECK_FALSE(leader.node().hand_over());  // nobody is better
    leader.node().set_priority(0);
    CHECK(leader.node().hand_over());
    cluster.settle();
    REQUIRE(cluster.leader() != nullptr);
    CHECK(cluster.leader()->id() != leader.id());
    // It waits at least half as long again as anybody else.
    leader.options.priority = 0;
    leader.restart(5);
    leader.wait(19);
    CHECK(leader.node().role() == Role::Follower);
    leader.wait(11);
    CHECK(leader.node().role() == Role::PreCandidate);
}

TEST_CASE("a leader that is left alone while it hands over still gives that up [Raft 3.10]") {
    RaftCluster cluster(3, 3);
    Replica& leader = cluster.elect();
    cluster.tick();
    const uint32_t away = other_than(leader.id());
    cluster.isolate(away);
    REQUIRE(cluster.propose("what the next leader lacks"));
    cluster.settle();
    REQUIRE(leader.node().change(Configuration{{leader.id()}}).ok());
    REQUIRE(leader.node().transfer(ReplicaId(away)).ok());
    cluster.settle();
    REQUIRE(leader.node().configuration() == Configuration{{leader.id()}});
    REQUIRE(leader.node().transferring());
    CHECK(leader.node().needs_ticks());
    leader.wait(30);
    CHECK_FALSE(leader.node().transferring());
    CHECK(cluster.propose("alone"));
}
