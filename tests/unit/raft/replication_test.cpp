#include "tests/unit/catch.h"
#include "tests/unit/raft/raft_cluster.h"

using namespace quorate;
using namespace quorate::raft;
using test::RaftCluster;
using test::Replica;

namespace {

Entry entry(uint64_t index, uint64_t term, const std::string& data = "x") {
    return Entry{EntryId{LogIndex(index), Term(term)}, EntryKind::Command,
                 SharedBytes(as_bytes(data))};
}
Message append(uint32_t from, uint64_t term, EntryId previous, std::vector<Entry> entries,
               uint64_t commit = 0) {
    return Message{ReplicaId(from), ReplicaId(1), Term(term),
                   AppendEntries{previous, LogIndex(commit), std::move(entries)}};
}
EntryId id(uint64_t index, uint64_t term) {
    return EntryId{LogIndex(index), Term(term)};
}

AppendEntriesReply reply_of(Replica& replica, const Message& message) {
    std::vector<Message> out;
    replica.node().step(message);
    replica.take(out);
    while (replica.has_write())
        replica.write_one(out);
    REQUIRE(!out.empty());
    return std::get<AppendEntriesReply>(out.back().body);
}

}  // namespace

TEST_CASE("what a majority holds is committed and reaches everybody [Raft 3.5]") {
    RaftCluster cluster(3, 2);
    cluster.elect();
    for (int i = 0; i < 50; ++i) {
        REQUIRE(cluster.propose("command " + std::to_string(i)));
        if (i % 7 == 0) cluster.settle();
    }
    cluster.settle();
    cluster.tick();
    cluster.tick();
    for (uint32_t i = 1; i <= 3; ++i) {
        CHECK(cluster.replica(i).applied().size() == 51);
    }
    CHECK(cluster.violation().empty());
}

TEST_CASE("a follower refuses what does not fit its log and says where it could [Raft 3.5]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    CHECK(reply_of(one, append(2, 1, id(0, 0), {entry(1, 1), entry(2, 1), entry(3, 1)})).index ==
          LogIndex(3));
    const AppendEntriesReply gap = reply_of(one, append(2, 1, id(9, 1), {}));
    CHECK_FALSE(gap.accepted);
    CHECK(gap.hint == id(3, 1));
    const AppendEntriesReply conflict = reply_of(one, append(3, 4, id(3, 3), {entry(4, 4)}));
    CHECK_FALSE(conflict.accepted);
}

TEST_CASE("entries that conflict with the leader's are removed, others never [Raft 3.5]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    reply_of(one, append(2, 1, id(0, 0), {entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 1)}));
    // A shorter, delayed message of the same leader removes nothing.
    CHECK(reply_of(one, append(2, 1, id(0, 0), {entry(1, 1)})).accepted);
    CHECK(one.node().log().last() == id(4, 1));
    CHECK(reply_of(one, append(3, 2, id(2, 1), {entry(3, 2)})).index == LogIndex(3));
    CHECK(one.node().log().last() == id(3, 2));
    REQUIRE(one.disk().entries.size() == 3);
    CHECK(one.disk().entries.back().id == id(3, 2));
}

TEST_CASE("a completed write says nothing of entries that replaced it [ABA]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    std::vector<Message> out;
    const auto step = [&](const Message& message) {
        one.node().step(message);
        one.take(out);
    };
    step(append(2, 1, id(0, 0), {entry(1, 1, "a"), entry(2, 1, "a")}));
    step(append(3, 2, id(0, 0), {entry(1, 2, "b")}));
    step(append(2, 3, id(0, 0), {entry(1, 1, "a"), entry(2, 1, "a")}));
    one.write_one(out);  // of term 1: its entries were replaced, and are there again in memory
    CHECK(one.node().log().stable() == LogIndex(0));
    one.write_one(out);
    CHECK(one.node().log().stable() == LogIndex(0));
    one.write_one(out);
    CHECK(one.node().log().stable() == LogIndex(2));
}

TEST_CASE("an entry of an earlier term is not committed by counting copies [Raft 3.6.2]") {
    RaftCluster cluster(3, 4);
    Replica& leader = cluster.elect();
    const uint64_t term = leader.node().term().value();
    const auto self = static_cast<uint32_t>(leader.id().value());
    // It follows a later leader for one uncommitted entry, then leads again in a still later term.
    cluster.isolate(self % 3 + 1);
    cluster.isolate((self + 1) % 3 + 1);
    REQUIRE(leader.node().propose(SharedBytes(as_bytes("old"))).ok());
    cluster.settle();
    const LogIndex old = leader.node().log().last().index;
    CHECK(leader.node().log().committed() < old);
    for (int i = 0; i < 25; ++i) {
        leader.node().tick();
    }
    CHECK(leader.node().role() != Role::Leader);
    cluster.reconnect();
    for (int i = 0; i < 60 && leader.node().log().committed() < old; ++i) {
        cluster.tick();
    }
    // Committed only together with an entry of the new leader's own term.
    const Replica* now = cluster.leader();
    REQUIRE(now != nullptr);
    CHECK(cluster.replica(self).node().term().value() > term);
    CHECK(cluster.violation().empty());
}

TEST_CASE("copies of an old entry alone never commit it [Raft 3.6.2, figure 3.7]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    std::vector<Message> out;
    const auto step = [&](const Message& message) {
        one.node().step(message);
        one.take(out);
        while (one.has_write())
            one.write_one(out);
        one.take(out);
    };
    step(append(2, 1, id(0, 0), {entry(1, 1), entry(2, 1)}));
    one.restart(1);
    one.node().campaign();
    step(Message{ReplicaId(2), ReplicaId(1), Term(2), RequestVoteReply{true, true}});
    step(Message{ReplicaId(2), ReplicaId(1), Term(2), RequestVoteReply{false, true}});
    REQUIRE(one.node().role() == Role::Leader);
    REQUIRE(one.node().term_start() == LogIndex(3));
    // A majority holds entry 2, of term 1: another leader could still replace it.
    step(Message{ReplicaId(2), ReplicaId(1), Term(2), AppendEntriesReply{true, LogIndex(2), {}}});
    CHECK(one.node().log().committed() == LogIndex(0));
    step(Message{ReplicaId(2), ReplicaId(1), Term(2), AppendEntriesReply{true, LogIndex(3), {}}});
    CHECK(one.node().log().committed() == LogIndex(3));
}

TEST_CASE("a follower that missed everything catches up in bounded messages") {
    RaftCluster cluster(3, 6);
    const Replica& leader = cluster.elect();
    const uint32_t away = test::other_than(leader.id());
    cluster.isolate(away);
    for (int i = 0; i < 200; ++i) {
        REQUIRE(cluster.propose("some command " + std::to_string(i)));
        if (i % 10 == 0) cluster.settle();
    }
    cluster.settle();
    cluster.reconnect();
    for (int i = 0; i < 10; ++i) {
        cluster.tick();
    }
    CHECK(cluster.replica(away).applied().size() == 201);
}

TEST_CASE("a follower whose next entry was cut away gets a snapshot [Raft 5]") {
    RaftCluster cluster(3, 6);
    Replica& leader = cluster.elect();
    const uint32_t away = test::other_than(leader.id());
    cluster.isolate(away);
    for (int i = 0; i < 20; ++i) {
        REQUIRE(cluster.propose("c"));
    }
    cluster.settle();
    CHECK(leader.node().cut_limit() < leader.node().log().applied());
    leader.cut(LogIndex(10));
    cluster.reconnect();
    for (int i = 0; i < 5; ++i) {
        cluster.tick();
    }
    CHECK(leader.snapshots_sent() == 1);
    CHECK(cluster.replica(away).restores() == 1);
    CHECK(cluster.replica(away).applied().size() == cluster.committed());
    CHECK(cluster.violation().empty());
}

TEST_CASE("a late answer of a follower whose next entry was cut away is no endless loop") {
    RaftCluster cluster(3, 6);
    Replica& leader = cluster.elect();
    const uint32_t away = test::other_than(leader.id());
    cluster.isolate(away);
    for (int i = 0; i < 20; ++i) {
        REQUIRE(cluster.propose(std::string(100, 'c')));
        cluster.settle();
    }
    leader.cut(LogIndex(15));
    Message late{ReplicaId(away), leader.id(), leader.node().term(), {}};
    late.body = AppendEntriesReply{true, LogIndex(2), {}};
    leader.node().step(late);
    std::vector<Message> out;
    leader.take(out);
    CHECK(leader.snapshots_sent() == 1);
}

TEST_CASE("malformed appends change nothing") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    std::vector<Message> out;
    const std::vector<Message> bad = {
        append(2, 1, id(0, 0), {entry(2, 1)}),               // a gap
        append(2, 1, id(0, 0), {entry(1, 2)}),               // a later term than the sender's
        append(2, 2, id(0, 0), {entry(1, 2), entry(2, 1)}),  // terms that fall
        append(2, 1, id(UINT64_MAX, 1), {}),
    };
    for (const Message& message : bad) {
        one.node().step(message);
        one.take(out);
        CHECK(one.node().log().last() == EntryId{});
    }
}
