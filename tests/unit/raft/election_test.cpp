#include "tests/unit/catch.h"
#include "tests/unit/raft/raft_cluster.h"

using namespace quorate;
using namespace quorate::raft;
using test::RaftCluster;
using test::Replica;

namespace {

Message vote_request(uint32_t from, uint32_t to, uint64_t term, EntryId last, bool pre = false) {
    return Message{ReplicaId(from), ReplicaId(to), Term(term), RequestVote{last, pre}};
}

// What a replica answered to one message, with its writes done.
std::vector<Message> answers(Replica& replica, const Message& message) {
    std::vector<Message> out;
    replica.node().step(message);
    replica.take(out);
    while (replica.has_write())
        replica.write_one(out);
    return out;
}

}  // namespace

TEST_CASE("a lone voter leads without hearing anybody [Raft 3.4]") {
    RaftCluster cluster(1, 1);
    cluster.replica(1).node().campaign();
    CHECK(cluster.replica(1).node().role() == Role::Candidate);
    cluster.settle();
    CHECK(cluster.replica(1).node().role() == Role::Leader);
    CHECK_FALSE(cluster.replica(1).node().needs_ticks());
    CHECK(cluster.replica(1).applied().size() == 1);
}

TEST_CASE("a candidate does not count its own vote before it is durable [Raft 3.8]") {
    RaftCluster cluster(1, 1);
    Replica& one = cluster.replica(1);
    one.node().campaign();
    std::vector<Message> out;
    one.take(out);
    CHECK(one.node().role() == Role::Candidate);
    one.write_one(out);
    CHECK(one.node().role() == Role::Leader);
}

TEST_CASE("three and five replicas elect one leader") {
    for (const uint32_t replicas : {3U, 5U}) {
        RaftCluster cluster(replicas, 7);
        const Replica& leader = cluster.elect();
        for (uint32_t i = 1; i <= replicas; ++i) {
            CHECK(cluster.replica(i).node().leader() == leader.id());
        }
        CHECK(cluster.violation().empty());
    }
}

TEST_CASE("a replica votes once a term, also after a restart [Raft 3.4, 3.8]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    const auto first = answers(one, vote_request(2, 1, 5, {}));
    REQUIRE(first.size() == 1);
    CHECK(std::get<RequestVoteReply>(first[0].body).granted);
    const auto second = answers(one, vote_request(3, 1, 5, {}));
    CHECK_FALSE(std::get<RequestVoteReply>(second[0].body).granted);
    one.restart(9);
    const auto third = answers(one, vote_request(3, 1, 5, {}));
    CHECK_FALSE(std::get<RequestVoteReply>(third[0].body).granted);
    const auto again = answers(one, vote_request(2, 1, 5, {}));
    CHECK(std::get<RequestVoteReply>(again[0].body).granted);
}

TEST_CASE("nobody votes for a log that lacks what it has [Raft 3.6.1]") {
    RaftCluster cluster(3, 3);
    const Replica& leader = cluster.elect();
    REQUIRE(cluster.propose("x"));
    cluster.settle();
    cluster.tick();
    const uint32_t other = test::other_than(leader.id());
    Replica& voter = cluster.replica(other);
    voter.restart(1);  // forgets its leader, and with it the lease
    const EntryId last = voter.node().log().last();
    const uint32_t third = 6 - other - static_cast<uint32_t>(leader.id().value());
    const auto shorter = answers(
        voter,
        vote_request(third, other, 50, EntryId{LogIndex(last.index.value() - 1), last.term}));
    CHECK_FALSE(std::get<RequestVoteReply>(shorter.back().body).granted);
    const auto older = answers(
        voter,
        vote_request(third, other, 51, EntryId{LogIndex(1000), Term(last.term.value() - 1)}));
    CHECK_FALSE(std::get<RequestVoteReply>(older.back().body).granted);
    const auto equal = answers(voter, vote_request(third, other, 52, last));
    CHECK(std::get<RequestVoteReply>(equal.back().body).granted);
}

TEST_CASE("a replica that was cut off does not depose a leader that is heard [Raft 9.6, 4.2.3]") {
    RaftCluster cluster(3, 5);
    const Replica& leader = cluster.elect();
    const Term term = cluster.leader()->node().term();
    const uint32_t away = test::other_than(leader.id());
    cluster.isolate(away);
    for (int i = 0; i < 100; ++i) {
        cluster.tick();
    }
    CHECK(cluster.replica(away).node().term() == term);
    cluster.reconnect();
    for (int i = 0; i < 30; ++i) {
        cluster.tick();
    }
    CHECK(cluster.leader()->id() == leader.id());
    CHECK(cluster.leader()->node().term() == term);
}

TEST_CASE("a leader that hears no quorum steps down within two election timeouts [Raft 6.2]") {
    RaftCluster cluster(3, 5);
    Replica& leader = cluster.elect();
    cluster.isolate(static_cast<uint32_t>(leader.id().value()));
    for (int i = 0; i < 20; ++i) {
        leader.node().tick();
    }
    CHECK(leader.node().role() != Role::Leader);
    CHECK_FALSE(leader.node().propose(SharedBytes(as_bytes("late"))).ok());
}

TEST_CASE("messages of strangers change nothing") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    CHECK(answers(one, vote_request(9, 1, 99, {})).empty());
    CHECK(answers(one, Message{ReplicaId(9), ReplicaId(1), Term(99), Heartbeat{}}).empty());
    CHECK(answers(one, vote_request(2, 3, 99, {})).empty());
    CHECK(one.node().term() == Term(0));
}
