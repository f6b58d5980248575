// Raft §6.4: scenes of reads that a quorum confirms.
#include "tests/unit/catch.h"
#include "tests/unit/raft/raft_cluster.h"

using namespace quorate;
using namespace quorate::raft;
using test::other_than;
using test::RaftCluster;
using test::Replica;

namespace {

std::vector<Message> taken(Replica& replica) {
    std::vector<Message> out;
    replica.take(out);
    return out;
}
std::size_t heartbeats(const std::vector<Message>& messages) {
    return static_cast<std::size_t>(std::count_if(
        messages.begin(), messages.end(),
        [](const Message& message) { return std::holds_alternative<Heartbeat>(message.body); }));
}
Message echo(const Replica& from, const Replica& to, ReadId read) {
    Message message{from.id(), to.id(), {}, HeartbeatReply{read, kNormalPriority}};
    return message;
}

}  // namespace

TEST_CASE("a read is confirmed by a quorum that heard the leader after it came [Raft 6.4]") {
    RaftCluster cluster(3, 3);
    Replica& leader = cluster.elect();
    cluster.tick();
    const LogIndex commit = leader.node().log().committed();
    const Result<ReadId> read = leader.node().read_index();
    REQUIRE(read.ok());
    taken(leader);
    CHECK(leader.reads().empty());
    Message answer = echo(cluster.replica(other_than(leader.id())), leader, *read);
    answer.term = leader.node().term();
    leader.node().step(answer);
    taken(leader);
    REQUIRE(leader.reads().size() == 1);
    CHECK(leader.reads()[0].id == *read);
    CHECK(leader.reads()[0].index == commit);
}

TEST_CASE("each attempt has an id of its own, and a late answer vouches for no later one [R8]") {
    RaftCluster cluster(3, 3);
    Replica& leader = cluster.elect();
    cluster.tick();
    const ReadId first = *leader.node().read_index();
    const ReadId second = *leader.node().read_index();
    const ReadId third = *leader.node().read_index();
    CHECK(first < second);
    CHECK(second < third);
    taken(leader);
    Message late = echo(cluster.replica(other_than(leader.id())), leader, second);
    late.term = leader.node().term();
    leader.node().step(late);
    taken(leader);
    CHECK(leader.reads().size() == 2);
    // Nor does the answer to a read that never was.
    late.body = HeartbeatReply{ReadId(1'000), kNormalPriority};
    leader.node().step(late);
    taken(leader);
    CHECK(leader.reads().size() == 2);
}

TEST_CASE("one round of messages confirms all reads that wait [Raft 6.4]") {
    RaftCluster cluster(3, 3);
    Replica& leader = cluster.elect();
    cluster.tick();
    for (int i = 0; i < 100; ++i) {
        REQUIRE(leader.node().read_index().ok());
    }
    const std::vector<Message> round = taken(leader);
    CHECK(heartbeats(round) == 2);
    REQUIRE(leader.node().read_index().ok());
    CHECK(heartbeats(taken(leader)) == 0);  // it waits for the next round
    const ReadId newest = std::get<Heartbeat>(round.back().body).read;
    Message answer = echo(cluster.replica(other_than(leader.id())), leader, newest);
    answer.term = leader.node().term();
    leader.node().step(answer);
    CHECK(heartbeats(taken(leader)) == 2);
    CHECK(leader.reads().size() == 100);
}

TEST_CASE("no read begins before an entry of the leader's term is committed [Raft 6.4]") {
    RaftCluster cluster(3, 3);
    Replica& one = cluster.replica(1);
    CHECK(one.node().read_index().error().code == ErrorCode::NotLeader);
    one.node().campaign();
    taken(one);
    const auto grant = [&one](bool pre) {
        one.node().step(Message{ReplicaId(2), ReplicaId(1), Term(1), RequestVoteReply{pre, true}});
        std::vector<Message> out;
        one.take(out);
        one.write_one(out);
    };
    grant(true);
    grant(false);
    REQUIRE(one.node().role() == Role::Leader);
    CHECK(one.node().read_index().error().code == ErrorCode::Unavailable);
}

TEST_CASE("reads fail when leadership ends, and none is confirmed in a later term [Raft 6.4]") {
    RaftCluster cluster(3, 3);
    Replica& leader = cluster.elect();
    cluster.tick();
    const ReadId read = *leader.node().read_index();
    const Term next = leader.node().term().next();
    leader.node().step(Message{ReplicaId(other_than(leader.id())), leader.id(), next, Heartbeat{}});
    taken(leader);
    REQUIRE(leader.reads_failed().size() == 1);
    CHECK(leader.reads_failed()[0] == read);
    CHECK(leader.reads().empty());
}

TEST_CASE("a lone voter is answered at once [Raft 6.4]") {
    RaftCluster cluster(1, 3);
    Replica& leader = cluster.elect();
    REQUIRE(leader.node().read_index().ok());
    taken(leader);
    CHECK(leader.reads().size() == 1);
}

TEST_CASE("a joint configuration needs both halves to vouch [Raft 6.4, 4.3]") {
    RaftCluster cluster(3, 3);
    Replica& leader = cluster.elect();
    cluster.tick();
    Configuration target = leader.node().configuration();
    std::erase(target.voters, ReplicaId(other_than(leader.id())));
    target.voters.emplace_back(4);
    target.voters.emplace_back(5);
    target.voters.emplace_back(6);
    REQUIRE(leader.node().change(target).ok());
    const ReadId read = *leader.node().read_index();
    const auto vouch = [&](uint32_t from) {
        leader.node().step(Message{ReplicaId(from), leader.id(), leader.node().term(),
                                   HeartbeatReply{read, kNormalPriority}});
        taken(leader);
        return leader.reads().size();
    };
    CHECK(vouch(4) == 0);
    CHECK(vouch(5) == 0);  // three of five new ones, one of three old ones
    CHECK(vouch(other_than(leader.id())) == 1);
}

TEST_CASE("reads that wait for a quorum are bounded") {
    RaftCluster cluster(3, 3);
    Replica& leader = cluster.elect();
    leader.options.reads_max = 2;
    leader.restart(1);
    for (int i = 0; i < 200; ++i) {
        cluster.tick();
    }
    REQUIRE(cluster.leader() != nullptr);
    if (cluster.leader()->id() != leader.id()) {
        REQUIRE(cluster.leader()->node().transfer(leader.id()).ok());
        cluster.settle();
    }
    REQUIRE(leader.node().read_index().ok());
    REQUIRE(leader.node().read_index().ok());
    CHECK(leader.node().read_index().error().code == ErrorCode::LimitExceeded);
}
