// Raft §4: scenes of joint consensus, learners and newcomers.
#include "tests/unit/catch.h"
#include "tests/unit/raft/raft_cluster.h"

using namespace quorate;
using namespace quorate::raft;
using test::RaftCluster;
using test::Replica;

namespace {

std::vector<ReplicaId> ids(std::initializer_list<uint32_t> numbers) {
    std::vector<ReplicaId> out;
    for (const uint32_t number : numbers) {
        out.emplace_back(number);
    }
    return out;
}
Configuration voters(std::initializer_list<uint32_t> numbers) {
    return Configuration{ids(numbers), {}, {}};
}
EntryId id(uint64_t index, uint64_t term) {
    return EntryId{LogIndex(index), Term(term)};
}
Entry entry(uint64_t index, uint64_t term) {
    return Entry{id(index, term), EntryKind::Command, SharedBytes(as_bytes("x"))};
}
Entry change_entry(uint64_t index, uint64_t term, const Configuration& configuration) {
    return Entry{id(index, term), EntryKind::Configuration,
                 SharedBytes(as_bytes(encode(configuration)))};
}
Message append(uint32_t from, uint32_t to, uint64_t term, EntryId previous,
               std::vector<Entry> entries, uint64_t commit = 0) {
    return Message{ReplicaId(from), ReplicaId(to), Term(term),
                   AppendEntries{previous, LogIndex(commit), std::move(entries)}};
}
Message accepted(uint32_t from, uint32_t to, uint64_t term, uint64_t index) {
    return Message{ReplicaId(from), ReplicaId(to), Term(term),
                   AppendEntriesReply{true, LogIndex(index), {}}};
}

// One step with everything written; what was sent.
std::vector<Message> step(Replica& replica, const Message& message) {
    std::vector<Message> out;
    replica.node().step(message);
    for (int i = 0; i < 3; ++i) {
        replica.take(out);
        while (replica.has_write())
            replica.write_one(out);
    }
    return out;
}

// Makes a replica the leader of three, without the others: term 1, its first entry at 1.
void lead(Replica& replica, uint32_t friend_number) {
    const auto self = replica.id();
    std::vector<Message> out;
    replica.node().campaign();
    replica.take(out);
    step(replica, Message{ReplicaId(friend_number), self, Term(1), RequestVoteReply{true, true}});
    step(replica, Message{ReplicaId(friend_number), self, Term(1), RequestVoteReply{false, true}});
    REQUIRE(replica.node().role() == Role::Leader);
}

// The highest index sent to a replica in these messages; 0 for none.
uint64_t highest_sent(const std::vector<Message>& messages, uint32_t to) {
    uint64_t highest = 0;
    for (const Message& message : messages) {
        const auto* append = std::get_if<AppendEntries>(&message.body);
        if (append == nullptr || message.to != ReplicaId(to) || append->entries.empty()) continue;
        highest = std::max(highest, append->entries.back().id.index.value());
    }
    return highest;
}

}  // namespace

TEST_CASE("a group grows from one voter to three, and back, without a gap [Raft 4.3]") {
    RaftCluster cluster(1, 3);
    cluster.elect();
    REQUIRE(cluster.propose("alone"));
    cluster.settle();
    cluster.add_newcomer();
    cluster.add_newcomer();
    REQUIRE(cluster.change(Configuration{ids({1}), {}, ids({2, 3})}));
    for (int i = 0; i < 5; ++i) {
        cluster.tick();
    }
    CHECK(cluster.replica(3).applied().size() == cluster.committed());
    REQUIRE(cluster.change(voters({1, 2, 3})));
    for (int i = 0; i < 5; ++i) {
        cluster.tick();
    }
    for (uint32_t i = 1; i <= 3; ++i) {
        CHECK(cluster.replica(i).node().configuration() == voters({1, 2, 3}));
    }
    // Two of three suffice now.
    cluster.isolate(1);
    for (int i = 0; i < 60; ++i) {
        cluster.tick();
    }
    REQUIRE(cluster.leader()->id() != ReplicaId(1));
    const auto at = static_cast<uint32_t>(cluster.leader()->id().value());
    cluster.reconnect();
    for (int i = 0; i < 10; ++i) {
        cluster.tick();
    }
    REQUIRE(cluster.change(voters({at})));
    for (int i = 0; i < 60; ++i) {
        cluster.tick();
    }
    REQUIRE(cluster.propose("alone again"));
    cluster.settle();
    CHECK(cluster.leader()->id() == ReplicaId(at));
    CHECK(cluster.leader()->applied().back().data.text() == "alone again");
    CHECK(cluster.violation().empty());
}

TEST_CASE("no change begins before an entry of the leader's term is committed [Raft 4.1]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    lead(one, 2);
    CHECK(one.node().change(voters({1, 2})).error().code == ErrorCode::Unavailable);
    step(one, accepted(2, 1, 1, 1));
    CHECK(one.node().change(voters({1, 2})).ok());
}

TEST_CASE("one change at a time, until its last entry is committed [Raft 4.1]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    lead(one, 2);
    step(one, accepted(2, 1, 1, 1));
    REQUIRE(one.node().change(voters({1, 2})).ok());
    const auto refused = [&] { return one.node().change(voters({1, 2, 3, 4})); };
    CHECK(refused().error().code == ErrorCode::Unavailable);
    step(one, accepted(2, 1, 1, 2));  // the joint one is committed, the final one appended
    CHECK(one.node().log().last().index == LogIndex(3));
    CHECK(one.node().configuration() == voters({1, 2}));
    CHECK(refused().error().code == ErrorCode::Unavailable);
    step(one, accepted(2, 1, 1, 3));
    CHECK(refused().ok());
}

TEST_CASE("what is no configuration to change to is refused [Raft 4.1]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    CHECK(one.node().change(voters({1, 2})).error().code == ErrorCode::NotLeader);
    lead(one, 2);
    step(one, accepted(2, 1, 1, 1));
    const std::vector<Configuration> bad = {
        voters({}),
        voters({1, 2, 3}),  // in force already
        voters({2, 1}),
        Configuration{ids({1, 2}), {}, ids({2})},
        Configuration{ids({1, 2}), ids({1, 2, 3}), {}},
    };
    for (const Configuration& target : bad) {
        CHECK(one.node().change(target).error().code == ErrorCode::InvalidArgument);
    }
}

TEST_CASE("a change is in force when appended and undone when truncated [Raft 4.1]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    const Configuration joint{ids({1, 4, 5}), ids({1, 2, 3}), {}};
    step(one, append(2, 1, 1, id(0, 0), {entry(1, 1), change_entry(2, 1, joint)}));
    CHECK(one.node().configuration() == joint);
    one.restart(1);
    CHECK(one.node().configuration() == joint);
    step(one, append(3, 1, 2, id(1, 1), {entry(2, 2)}));
    CHECK(one.node().configuration() == voters({1, 2, 3}));
}

TEST_CASE("a majority of the new voters alone commits nothing while joint [Raft 4.3]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    lead(one, 2);
    step(one, accepted(2, 1, 1, 1));
    REQUIRE(one.node().change(voters({1, 4, 5})).ok());
    step(one, accepted(4, 1, 1, 2));
    step(one, accepted(5, 1, 1, 2));
    CHECK(one.node().log().committed() == LogIndex(1));
    step(one, accepted(3, 1, 1, 2));
    CHECK(one.node().log().committed() == LogIndex(2));
}

TEST_CASE("a learner's copy and vote count for nothing [Raft 4.2.1]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    lead(one, 2);
    step(one, accepted(2, 1, 1, 1));
    REQUIRE(one.node().change(Configuration{ids({1, 2, 3}), {}, ids({4, 5})}).ok());
    step(one, accepted(4, 1, 1, 2));
    step(one, accepted(5, 1, 1, 2));
    CHECK(one.node().log().committed() == LogIndex(1));
    step(one, accepted(3, 1, 1, 2));
    CHECK(one.node().log().committed() == LogIndex(2));
    // As a candidate it does not ask them, and what they say unasked is not counted.
    one.restart(1);
    one.wait(25);
    REQUIRE(one.node().role() == Role::PreCandidate);
    std::vector<Message> out;
    one.take(out);
    CHECK(out.size() % 2 == 0);
    for (const Message& message : out) {
        CHECK(message.to.value() <= 3);
    }
    step(one, Message{ReplicaId(4), ReplicaId(1), Term(2), RequestVoteReply{true, true}});
    step(one, Message{ReplicaId(5), ReplicaId(1), Term(2), RequestVoteReply{true, true}});
    CHECK(one.node().role() == Role::PreCandidate);
}

TEST_CASE("learners never stand for election and still vote when asked [Raft 4.2.1, 4.2.2]") {
    RaftCluster cluster(3, 1);
    cluster.elect();
    Replica& four = cluster.add_newcomer();
    REQUIRE(cluster.change(Configuration{ids({1, 2, 3}), {}, ids({4})}));
    cluster.isolate(4);
    for (int i = 0; i < 100; ++i) {
        cluster.tick();
        CHECK(four.node().role() == Role::Follower);
    }
    CHECK(four.node().leader() == ReplicaId(0));
    // Who asks may know of a later configuration in which this one is a voter.
    const auto answer =
        step(four, Message{ReplicaId(1), ReplicaId(4), Term(50), RequestVote{id(1000, 49), false}});
    CHECK(std::get<RequestVoteReply>(answer.back().body).granted);
}

TEST_CASE("nobody campaigns who is a voter only by an uncommitted change [R7]") {
    RaftCluster cluster(3, 1);
    Replica& four = cluster.add_newcomer();
    const Configuration joint{ids({1, 2, 4}), ids({1, 2, 3}), {}};
    step(four, append(1, 4, 1, id(0, 0), {entry(1, 1), change_entry(2, 1, joint)}, 1));
    four.wait(50);
    CHECK(four.node().role() == Role::Follower);
    CHECK_FALSE(four.node().may_campaign());
    step(four, append(1, 4, 1, id(2, 1), {}, 2));
    CHECK(four.node().may_campaign());
    four.wait(50);
    CHECK(four.node().role() == Role::PreCandidate);
    // It remembers that, whatever the commit hint on disk.
    step(four, append(1, 4, 1, id(2, 1), {entry(3, 1)}, 2));
    four.restart(1);
    CHECK(four.node().may_campaign());
}

TEST_CASE("a voter that an uncommitted change removes still campaigns [Raft 4.2.2, figure 4.6]") {
    RaftCluster cluster(3, 1);
    Replica& three = cluster.replica(3);
    const Configuration joint{ids({1, 2, 4}), ids({1, 2, 3}), {}};
    step(
        three,
        append(1, 3, 1, id(0, 0),
               {entry(1, 1), change_entry(2, 1, joint), change_entry(3, 1, voters({1, 2, 4}))}, 2));
    CHECK(three.node().may_campaign());
    step(three, append(1, 3, 1, id(3, 1), {}, 3));
    CHECK_FALSE(three.node().may_campaign());
}

TEST_CASE("new voters get only what a majority of the old ones holds, until it is committed") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    lead(one, 2);
    step(one, accepted(2, 1, 1, 1));
    REQUIRE(one.node().change(Configuration{ids({1, 2, 3}), {}, ids({4})}).ok());
    const auto first = step(one, accepted(4, 1, 1, 0));
    CHECK(highest_sent(first, 4) <= 1);
    // The learner's turn comes with the second copy.
    const auto second = step(one, accepted(2, 1, 1, 2));
    CHECK(highest_sent(second, 4) == 2);
    step(one, accepted(4, 1, 1, 2));
    REQUIRE(one.node().change(voters({1, 2, 4})).ok());
    const auto third = step(one, accepted(4, 1, 1, 2));
    CHECK(highest_sent(third, 4) == 0);
    CHECK(highest_sent(third, 2) == 3);
    const auto fourth = step(one, accepted(3, 1, 1, 3));
    CHECK(highest_sent(fourth, 4) == 3);
    // Committed: from now on it may win an election and gets everything at once.
    step(one, accepted(4, 1, 1, 3));
    REQUIRE(one.node().propose(SharedBytes(as_bytes("x"))).ok());
    CHECK(highest_sent(step(one, accepted(4, 1, 1, 3)), 4) == 5);
}

TEST_CASE("a leader that its change removes commits it, says so and steps down [Raft 4.2.2]") {
    RaftCluster cluster(3, 2);
    const Replica& leader = cluster.elect();
    const auto gone = static_cast<uint32_t>(leader.id().value());
    Configuration rest = leader.disk().configuration;
    std::erase(rest.voters, leader.id());
    cluster.tick();
    REQUIRE(cluster.change(rest));
    CHECK(cluster.replica(gone).node().role() == Role::Follower);
    for (int i = 0; i < 60; ++i) {
        cluster.tick();
    }
    REQUIRE(cluster.leader() != nullptr);
    CHECK(cluster.leader()->id() != ReplicaId(gone));
    CHECK(cluster.leader()->node().configuration() == rest);
    CHECK_FALSE(cluster.replica(gone).node().may_campaign());
    CHECK(cluster.violation().empty());
}

TEST_CASE("a new leader completes the joint configuration it finds [Raft 4.3]") {
    RaftCluster cluster(3, 4);
    Replica& leader = cluster.elect();
    cluster.tick();
    const Configuration target{{leader.id(), ReplicaId(test::other_than(leader.id()))}, {}, {}};
    Configuration sorted = target;
    std::sort(sorted.voters.begin(), sorted.voters.end());
    REQUIRE(leader.node().change(sorted).ok());
    // Everybody gets the joint one; then the leader is gone before it is committed.
    std::vector<Message> out;
    leader.take(out);
    leader.write_one(out);
    for (const Message& message : out) {
        if (std::holds_alternative<AppendEntries>(message.body)) {
            step(cluster.replica(static_cast<uint32_t>(message.to.value())), message);
        }
    }
    cluster.isolate(static_cast<uint32_t>(leader.id().value()));
    for (int i = 0; i < 80; ++i) {
        cluster.tick();
    }
    cluster.reconnect();
    for (int i = 0; i < 40; ++i) {
        cluster.tick();
    }
    REQUIRE(cluster.leader() != nullptr);
    CHECK(cluster.leader()->node().configuration() == sorted);
    CHECK(cluster.leader()->node().configurations().latest_index() <=
          cluster.leader()->node().log().committed());
    CHECK(cluster.violation().empty());
}

TEST_CASE("a follower hears a leader that only placement told it of [R7]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    const Message heartbeat{ReplicaId(7), ReplicaId(1), Term(5), Heartbeat{}};
    CHECK(step(one, heartbeat).empty());
    one.node().set_known(ids({9, 7}));
    CHECK_FALSE(step(one, heartbeat).empty());
    CHECK(one.node().leader() == ReplicaId(7));
    // So does one that any configuration since the base names, in force or not.
    const Configuration joint{ids({8}), ids({1, 2, 3}), {}};
    step(one,
         append(7, 1, 5, id(0, 0), {change_entry(1, 5, joint), change_entry(2, 5, voters({9}))}));
    one.node().set_known({});
    CHECK_FALSE(step(one, Message{ReplicaId(8), ReplicaId(1), Term(6), Heartbeat{}}).empty());
}

TEST_CASE("an uncommitted change is in no cut, and a newcomer's own idea in none [Raft 5.1, R7]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    const Configuration joint{ids({1, 2, 4}), ids({1, 2, 3}), {}};
    step(one, append(2, 1, 1, id(0, 0), {entry(1, 1), entry(2, 1), change_entry(3, 1, joint)}, 2));
    CHECK(one.node().configuration_at(LogIndex(2)) == voters({1, 2, 3}));
    CHECK(one.node().configuration_at(LogIndex(3)) == joint);
    Replica& four = cluster.add_newcomer();
    step(four, append(2, 4, 1, id(0, 0), {entry(1, 1), entry(2, 1), change_entry(3, 1, joint)}, 2));
    CHECK_FALSE(four.node().configuration_at(LogIndex(2)));
    CHECK(four.node().cut_limit() == LogIndex(0));
    step(four, append(2, 4, 1, id(3, 1), {entry(4, 1)}, 4));
    CHECK(four.node().cut_limit() == LogIndex(4));
    four.cut(LogIndex(4));
    four.restart(2);
    CHECK(four.node().configuration() == joint);
    CHECK(four.node().configurations().entries().size() == 1);
}

TEST_CASE("terms and indexes that nobody could have reached are not believed") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    CHECK(step(one, append(2, 1, UINT64_MAX, id(0, 0), {})).empty());
    CHECK(step(one, append(2, 1, 1, id(UINT64_MAX, 1), {})).empty());
    CHECK(step(one, append(2, 1, 1, id(0, 9), {})).empty());
    Entry no_configuration = change_entry(1, 1, voters({1}));
    no_configuration.data = SharedBytes(as_bytes("nonsense"));
    CHECK(step(one, append(2, 1, 1, id(0, 0), {no_configuration})).empty());
    step(one, append(2, 1, kCountMax, id(0, 0), {}));
    one.wait(50);
    CHECK(one.node().role() == Role::Follower);  // no later term is left to stand in
}
