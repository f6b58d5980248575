// Raft §5: scenes of snapshots that are sent, broken off, resumed and restored.
#include "cluster/raft/snapshot_transfer.h"
#include "tests/unit/catch.h"
#include "tests/unit/raft/raft_cluster.h"

using namespace quorate;
using namespace quorate::raft;
using test::other_than;
using test::RaftCluster;
using test::Replica;

namespace {

EntryId id(uint64_t index, uint64_t term) {
    return EntryId{LogIndex(index), Term(term)};
}
Entry entry(uint64_t index, uint64_t term, const std::string& data = "x") {
    return Entry{id(index, term), EntryKind::Command, SharedBytes(as_bytes(data))};
}
const Configuration kThree{{ReplicaId(1), ReplicaId(2), ReplicaId(3)}, {}, {}};

Message install(uint64_t term, const SnapshotMeta& snapshot, uint64_t offset,
                const std::string& data, bool done) {
    return Message{
        ReplicaId(2), ReplicaId(1), Term(term),
        InstallSnapshot{snapshot, TransferId(1), offset, SharedBytes(as_bytes(data)), done}};
}

SharedBytes bytes(const std::string& text) {
    return SharedBytes(as_bytes(text));
}

// A cluster of three in which one misses so much that the leader has cut it away.
struct Lagging : RaftCluster {
    explicit Lagging(uint64_t seed = 6) : RaftCluster(3, seed) {
        Replica& first = elect();
        away = other_than(first.id());
        isolate(away);
        for (int i = 0; i < 30; ++i) {
            propose("command " + std::to_string(i));
            settle();
        }
        first.cut(LogIndex(25));
    }
    uint32_t away = 0;
};

}  // namespace

TEST_CASE("a snapshot brings state and configuration, and appends go on behind it [Raft 5]") {
    Lagging cluster;
    cluster.reconnect();
    for (int i = 0; i < 5; ++i) {
        cluster.tick();
    }
    Replica& one = cluster.replica(cluster.away);
    CHECK(one.restores() == 1);
    CHECK(one.applied().size() == cluster.committed());
    CHECK(one.node().configuration() == kThree);
    REQUIRE(cluster.propose("next"));
    cluster.settle();
    cluster.tick();
    CHECK(one.applied().back().data.text() == "next");
    one.restart(3);
    CHECK(one.node().log().base().index > LogIndex(0));
    CHECK(one.node().configuration() == kThree);
    CHECK(cluster.violation().empty());
}

TEST_CASE("a newcomer of a group that was cut begins with a snapshot [Raft 4.2.1, 5]") {
    Lagging cluster;
    cluster.reconnect();
    for (int i = 0; i < 5; ++i) {
        cluster.tick();
    }
    Replica& four = cluster.add_newcomer();
    Configuration target = kThree;
    target.learners = {four.id()};
    REQUIRE(cluster.change(target));
    for (int i = 0; i < 5; ++i) {
        cluster.tick();
    }
    CHECK(four.restores() == 1);
    CHECK(four.node().configuration() == target);
    CHECK(four.applied().size() == cluster.committed());
    CHECK(four.node().snapshot_point().has_value());
    CHECK(cluster.violation().empty());
}

TEST_CASE("a snapshot is acknowledged when its write is durable, not before [Raft 3.8, R-8]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    std::vector<Message> out;
    const SnapshotMeta snapshot{id(10, 2), kThree};
    one.node().step(install(3, snapshot, 0, "", false));
    one.take(out);
    CHECK(one.node().restore(snapshot));
    one.take(out);
    for (const Message& message : out) {
        CHECK_FALSE(std::holds_alternative<AppendEntriesReply>(message.body));
    }
    REQUIRE(one.has_write());
    while (one.has_write())
        one.write_one(out);
    const auto* reply = std::get_if<AppendEntriesReply>(&out.back().body);
    REQUIRE(reply != nullptr);
    CHECK(reply->accepted);
    CHECK(reply->index == LogIndex(10));
    CHECK(one.disk().base == id(10, 2));
    CHECK(one.disk().state.commit == LogIndex(10));
}

TEST_CASE("what a snapshot replaces is gone, and no older write vouches for what follows [ABA]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    std::vector<Message> out;
    const auto append = [&](uint64_t term, EntryId previous, std::vector<Entry> entries) {
        one.node().step(Message{ReplicaId(2), ReplicaId(1), Term(term),
                                AppendEntries{previous, LogIndex(0), std::move(entries)}});
        one.take(out);
    };
    append(1, id(0, 0), {entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 1)});
    one.node().step(Message{ReplicaId(3), ReplicaId(1), Term(2), Heartbeat{}});
    CHECK(one.node().restore(SnapshotMeta{id(2, 2), kThree}));
    CHECK(one.node().log().last() == id(2, 2));
    append(2, id(2, 2), {entry(3, 2), entry(4, 2)});
    out.clear();
    one.write_one(out);  // of the first entries
    CHECK(one.node().log().stable() == LogIndex(2));
    while (one.has_write())
        one.write_one(out);
    CHECK(one.node().log().stable() == LogIndex(4));
    CHECK(one.disk().base == id(2, 2));
    REQUIRE(one.disk().entries.size() == 2);
    CHECK(one.disk().entries[0].id == id(3, 2));
}

TEST_CASE("an older snapshot is answered with what is here already [Raft 5]") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    std::vector<Message> out;
    one.node().step(Message{ReplicaId(2), ReplicaId(1), Term(2),
                            AppendEntries{id(0, 0), LogIndex(2), {entry(1, 1), entry(2, 2)}}});
    one.node().step(install(2, SnapshotMeta{id(2, 2), kThree}, 0, "old", true));
    one.take(out);
    while (one.has_write())
        one.write_one(out);
    const auto* reply = std::get_if<AppendEntriesReply>(&out.back().body);
    REQUIRE(reply != nullptr);
    CHECK(reply->index == LogIndex(2));
    CHECK_FALSE(one.node().restore(SnapshotMeta{id(2, 2), kThree}));
    CHECK(one.restores() == 0);
}

TEST_CASE("a log that goes on behind a snapshot is kept, one that conflicts is not [Raft 5]") {
    for (const uint64_t term : {1U, 2U}) {
        RaftCluster cluster(3, 1);
        Replica& one = cluster.replica(1);
        std::vector<Message> out;
        one.node().step(
            Message{ReplicaId(2), ReplicaId(1), Term(2),
                    AppendEntries{id(0, 0), LogIndex(0), {entry(1, 1), entry(2, 1), entry(3, 1)}}});
        one.take(out);
        CHECK(one.node().restore(SnapshotMeta{id(2, term), kThree}) == (term == 2));
        CHECK(one.node().log().committed() == LogIndex(2));
        CHECK(one.node().log().last() == (term == 2 ? id(2, 2) : id(3, 1)));
    }
}

TEST_CASE("a break costs what was in flight, a restarted receiver the whole transfer [Raft 5]") {
    Lagging cluster;
    Replica& leader = *cluster.leader();
    Replica& one = cluster.replica(cluster.away);
    const auto pass = [&](const std::vector<Message>& messages, Replica& to, bool lost) {
        std::vector<Message> out;
        for (const Message& message : messages) {
            if (message.to == to.id() && !lost) to.node().step(message);
        }
        to.take(out);
        while (to.has_write())
            to.write_one(out);
        to.take(out);
        return out;
    };
    const auto beat = [&](bool lost) {
        leader.node().tick();
        std::vector<Message> from_leader;
        leader.take(from_leader);
        for (int i = 0; i < 4 && !from_leader.empty(); ++i) {
            from_leader = pass(pass(from_leader, one, lost), leader, false);
        }
    };
    for (int i = 0; i < 4; ++i) {
        beat(false);
    }
    const uint32_t begun = leader.snapshots_sent();
    CHECK(begun == 1);
    CHECK(one.restores() == 0);
    for (int i = 0; i < 6; ++i) {
        beat(true);
    }
    for (int i = 0; i < 30 && one.restores() == 0; ++i) {
        beat(false);
    }
    CHECK(one.restores() == 1);
    CHECK(leader.snapshots_sent() == begun);

    Lagging again;
    again.reconnect();
    Replica& source = *again.leader();
    for (int i = 0; i < 4 && source.snapshots_sent() == 0; ++i) {
        source.node().tick();
        std::vector<Message> out;
        source.take(out);
        for (const Message& message : out) {
            if (message.to == again.replica(again.away).id()) {
                std::vector<Message> answers;
                again.replica(again.away).node().step(message);
                again.replica(again.away).take(answers);
                for (const Message& answer : answers) {
                    source.node().step(answer);
                }
            }
        }
    }
    again.replica(again.away).restart(5);
    for (int i = 0; i < 60; ++i) {
        again.tick();
    }
    CHECK(again.replica(again.away).applied().size() == again.committed());
    CHECK(again.violation().empty());
}

TEST_CASE("a sender keeps a bounded number of chunks, and repeats what was lost") {
    SnapshotSender sender(TransferId(1), SnapshotLimits{10, 2});
    const SnapshotMeta snapshot{id(5, 1), kThree};
    CHECK(sender.take_request() == 0U);
    CHECK_FALSE(sender.take_request());
    CHECK_FALSE(sender.add(snapshot, 7, bytes("x"), false));
    REQUIRE(sender.add(snapshot, 0, bytes("0123456789"), false));
    CHECK(sender.take_request() == 10U);
    CHECK_FALSE(sender.add(SnapshotMeta{id(6, 1), kThree}, 10, bytes("other"), false));
    REQUIRE(sender.add(snapshot, 10, bytes("abcdefghij"), false));
    CHECK_FALSE(sender.take_request());
    CHECK(sender.take_chunks().size() == 2);
    CHECK(sender.take_chunks().empty());
    sender.acknowledged(10);
    CHECK(sender.take_request() == 20U);
    REQUIRE(sender.add(snapshot, 20, bytes("end"), true));
    CHECK_FALSE(sender.take_request());
    CHECK(sender.take_chunks().size() == 1);
    sender.acknowledged(99);  // more than there is: not believed
    CHECK(sender.heard());
    CHECK(sender.take_chunks().empty());
    CHECK(sender.heard());
    CHECK(sender.take_chunks().size() == 2);
    sender.acknowledged(23);
    CHECK(sender.heard());
    CHECK(sender.heard());
    const auto end = sender.take_chunks();  // does it still know?
    REQUIRE(end.size() == 1);
    CHECK(end[0].done);
    CHECK(end[0].offset == 23);
    sender.acknowledged(0);
    CHECK_FALSE(sender.heard());
}

TEST_CASE("an answer that was overtaken does not begin a transfer again") {
    SnapshotSender sender(TransferId(1), SnapshotLimits{10, 2});
    const SnapshotMeta snapshot{id(5, 1), kThree};
    (void)sender.take_request();
    REQUIRE(sender.add(snapshot, 0, bytes("0123456789"), false));
    CHECK(sender.take_chunks().size() == 1);
    sender.acknowledged(10);
    sender.acknowledged(0);
    CHECK(sender.heard());
    sender.acknowledged(10);
    CHECK(sender.heard());
}

TEST_CASE("a receiver takes chunks in order and begins anew with another transfer") {
    SnapshotReceiver receiver;
    InstallSnapshot chunk{SnapshotMeta{id(5, 1), kThree}, TransferId(1), 0, bytes("abc"), false};
    const auto take = [&](uint64_t offset, const std::string& data, bool done) {
        chunk.offset = offset;
        chunk.data = bytes(data);
        chunk.done = done;
        return receiver.take(ReplicaId(2), Term(1), chunk);
    };
    CHECK_FALSE(take(3, "def", false));
    CHECK(receiver.wanted() == 0);
    CHECK(take(0, "abc", false));
    CHECK_FALSE(take(0, "abc", false));
    CHECK(receiver.wanted() == 3);
    CHECK_FALSE(take(3, "", false));
    CHECK(take(3, "def", true));
    CHECK_FALSE(take(6, "more", true));
    CHECK(receiver.wanted() == 6);
    chunk.transfer = TransferId(2);
    CHECK_FALSE(take(6, "", true));
    CHECK(receiver.wanted() == 0);
    CHECK(take(0, "xyz", false));
    receiver.reset();
    CHECK_FALSE(take(3, "abc", false));
}

TEST_CASE("snapshots that nobody could have taken are not believed") {
    RaftCluster cluster(3, 1);
    Replica& one = cluster.replica(1);
    const std::vector<SnapshotMeta> bad = {
        {id(0, 0), kThree},           // of nothing
        {id(UINT64_MAX, 1), kThree},  // beyond every log
        {id(5, 9), kThree},           // of a later term than its sender
        {id(5, 1), Configuration{}},  // of nobody
    };
    for (const SnapshotMeta& snapshot : bad) {
        std::vector<Message> out;
        one.node().step(install(1, snapshot, 0, "data", true));
        one.take(out);
        CHECK(out.empty());
        CHECK_FALSE(one.node().restore(snapshot));
    }
}

TEST_CASE("a log too long is cut although somebody lags, but not below what is being sent") {
    Lagging cluster;
    Replica& leader = *cluster.leader();
    CHECK(leader.node().cut_limit() == LogIndex(25));
    CHECK(leader.node().cut_limit(true) == leader.node().log().applied());
    for (int i = 0; i < 61 * 10; ++i) {
        cluster.tick();
    }
    CHECK(leader.node().cut_limit() == leader.node().log().applied());
}
