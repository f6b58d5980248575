#include "cluster/meta/meta_state.h"

#include "cluster/topics/state_key.h"
#include "tests/unit/meta/meta_harness.h"

namespace quorate::cluster {
namespace {

using test::form_of;
using test::Meta;

constexpr GroupId kShard{16};

TEST_CASE("Nothing is handed out before the cluster is formed, and it is formed once") {
    Meta meta;
    CHECK(meta.code(JoinNode{"a", "h:1"}) == MetaCode::NotFormed);
    CHECK(meta.ask(form_of({"n1"}, 1, 2, 77)).cluster_id == 77);
    CHECK(meta.code(form_of({"n1"}, 1, 2, 77)) == MetaCode::Applied);
    CHECK(meta.code(form_of({"n1"}, 1, 2, 78)) == MetaCode::Exists);
    CHECK(meta.state.cluster_id() == 77);
    CHECK(meta.state.cluster().layout.shards == 2);
    CHECK(meta.state.group(kShard)->voters == std::vector{replica_id(NodeId(1), 1)});
    CHECK(meta.state.group(kShard)->settled());
}

TEST_CASE("A founding set that no cluster could have is refused and changes nothing") {
    Meta meta;
    auto refused = [&](FormCluster form) {
        return meta.code(form) == MetaCode::Invalid && meta.state.cluster_id() == 0 &&
               meta.state.nodes().empty();
    };
    CHECK(refused(form_of({"a", "a"}, 1, 1)));
    CHECK(refused(form_of({"a", "b"}, 2, 1)));  // an even number of voters
    CHECK(refused(form_of({}, 1, 1)));
    CHECK(refused(form_of({"a"}, 1, 0)));
    CHECK(refused(form_of({"a"}, 1, 1, 0)));
    CHECK(refused(form_of({""}, 1, 1)));
    CHECK(refused(form_of({"a"}, 1, MetaState::kGroupsMax)));
    FormCluster form = form_of({"a"}, 1, 2);
    form.groups.pop_back();
    CHECK(refused(form));
    form.groups.push_back(form.groups.front());
    CHECK(refused(form));
    form = form_of({"a"}, 1, 1);
    form.groups.back().voters = {NodeId(2)};
    CHECK(refused(form));
    form.groups.back().voters = {NodeId(1)};
    form.groups.back().learners = {NodeId(1)};
    CHECK(refused(form));
}

TEST_CASE("Incarnations rise, end the earlier ones, and a repeated request gets the same one",
          "[R-0]") {
    Meta meta;
    meta.ask(form_of({"n1"}, 1, 1));
    const NodeId node = meta.ask(JoinNode{"a", "h:1"}).node;
    const Incarnation first = meta.ask(StartNode{node, "h:1"}, 100).incarnation;
    CHECK(node_of(first) == node);
    CHECK(meta.ask(StartNode{node, "h:1"}, 100).incarnation == first);
    CHECK_FALSE(meta.state.down(first));
    const Incarnation second = meta.ask(StartNode{node, "h:1"}, 101).incarnation;
    CHECK(second > first);
    CHECK(meta.state.down(first));
    meta.ask(IncarnationDown{first});
    CHECK_FALSE(meta.state.down(second));
    CHECK(meta.code(ForgetNode{node}) == MetaCode::Running);
    meta.ask(IncarnationDown{second});
    CHECK(meta.state.down(second));
    CHECK(meta.code(IncarnationDown{second.next()}) == MetaCode::NotFound);
    CHECK(meta.code(ForgetNode{node}) == MetaCode::Applied);
    CHECK(meta.ask(JoinNode{"b", "h:1"}).node > node);
}

TEST_CASE("A repeated join gets the same node, also after the node has started") {
    Meta meta;
    meta.ask(form_of({"n1"}, 1, 1));
    const NodeId node = meta.ask(JoinNode{"a", "h:1"}, 500).node;
    meta.ask(StartNode{node, "h:1"});
    CHECK(meta.ask(JoinNode{"a", "h:1"}, 500).node == node);
    CHECK(meta.code(JoinNode{"a", "h:2"}) == MetaCode::Exists);
}

TEST_CASE("Limits are answers") {
    Meta meta;
    meta.ask(form_of({"n1"}, 1, 1));
    const std::string text(MetaState::kTextMax + 1, 'x');
    CHECK(meta.code(JoinNode{text, "h:1"}) == MetaCode::LimitExceeded);
    CHECK(meta.code(JoinNode{"a", text}) == MetaCode::LimitExceeded);
    CHECK(meta.code(StartNode{NodeId(1), text}) == MetaCode::LimitExceeded);
    CHECK(meta.code(DrainNode{NodeId(1), text}) == MetaCode::LimitExceeded);
    CHECK(meta.code(SetReplication{10}) == MetaCode::Invalid);
    CHECK(meta.code(SetReplication{5}) == MetaCode::Applied);
    CHECK(meta.state.cluster().replication_factor == 5);
    for (std::size_t i = 1; i < MetaState::kNodesMax; ++i)
        REQUIRE(meta.code(JoinNode{"x" + std::to_string(i), ""}) == MetaCode::Applied);
    CHECK(meta.code(JoinNode{"one-more", ""}) == MetaCode::LimitExceeded);
    CHECK(meta.code(ForgetNode{NodeId(9)}) == MetaCode::Applied);
    CHECK(meta.ask(JoinNode{"one-more", ""}).node == NodeId(MetaState::kNodesMax + 1));
}

TEST_CASE("A restart finds the same state, and nothing of before is left after a second load") {
    Meta meta;
    meta.ask(form_of({"n1", "n2", "n3"}, 3, 4));
    const NodeId node = meta.ask(JoinNode{"a", "h:1"}).node;
    meta.ask(StartNode{node, "h:1"});
    const NodeId other = meta.ask(JoinNode{"b", "h:2"}).node;
    meta.ask(DrainNode{NodeId(2), "kernel"});
    meta.ask(PlaceGroup{kShard, 1, {NodeId(1), NodeId(2), node}, {other}});
    meta.ask(ReplaceReplica{kShard, replica_id(node, 1)});
    MetaState again;
    REQUIRE(again.load(meta.store).ok());
    CHECK(again.digest() == meta.state.digest());
    meta.ask(JoinNode{"c", "h:3"});
    meta.ask(ForgetNode{NodeId(6)});
    CHECK(again.digest() != meta.state.digest());
    REQUIRE(again.load(meta.store).ok());
    CHECK(again.digest() == meta.state.digest());
    REQUIRE(again.load(storage::MemoryStateStore()).ok());
    CHECK(again.cluster_id() == 0);
    CHECK(again.nodes().empty());
}

TEST_CASE("Damaged, contradicting and earlier records are errors that say so") {
    const auto load = [](std::string_view after_family, std::string_view value) {
        Meta meta;
        meta.ask(form_of({"n1"}, 1, 1));
        storage::StateBatch batch;
        batch.put(std::string("\x28") + std::string(after_family), value);
        REQUIRE(meta.store.write(batch).ok());
        MetaState state;
        return state.load(meta.store);
    };
    CHECK(load("", "\x02garbage").error().code == ErrorCode::Corrupt);
    CHECK(load("", "\x01garbage").error().message.find("earlier version") != std::string::npos);
    CHECK(load("\x01", "").error().code == ErrorCode::Corrupt);
    CHECK(load(std::string_view("\x01\0\0\0\x01", 5), "").error().code == ErrorCode::Corrupt);
    CHECK(load(std::string_view("\x02\0\0\0\x10", 5), "").error().code == ErrorCode::Corrupt);
    std::string node;
    RecordWriter out(node);
    write_record(out, MetaNode{});
    CHECK(load(std::string_view("\x01\0\0\0\x01", 5), node).error().message.find("contradict") !=
          std::string::npos);
    MetaState state;
    storage::StateBatch batch;
    CHECK_FALSE(state.apply("nonsense", batch).ok());
    CHECK(batch.empty());
}

TEST_CASE("Every command reads back, and no shorter bytes are one") {
    Meta meta;
    const std::vector<MetaCommandBody> bodies = {
        form_of({"n1", "n2"}, 1, 3),
        JoinNode{"a", "h:1"},
        StartNode{NodeId(3), "h:1"},
        IncarnationDown{Incarnation(7)},
        ForgetNode{NodeId(3)},
        SetReplication{5},
        DrainNode{NodeId(3), "why"},
        UndrainNode{NodeId(3)},
        DecommissionNode{NodeId(3), "why"},
        NodeGone{NodeId(3)},
        PlaceGroup{kShard, 4, {NodeId(1), NodeId(2)}, {NodeId(3)}},
        ReplaceReplica{kShard, ReplicaId(5)},
        Configured{kShard, LogIndex(8), {{ReplicaId(1)}, {ReplicaId(2)}, {ReplicaId(3)}}},
    };
    REQUIRE(bodies.size() == std::variant_size_v<MetaCommandBody>);
    for (const MetaCommandBody& body : bodies) {
        std::string bytes;
        encode_meta_command(bytes, 9, body);
        const auto read = decode_meta_command(bytes);
        REQUIRE(read.ok());
        CHECK(read->body.index() == body.index());
        std::string again;
        encode_meta_command(again, read->token, read->body);
        CHECK(again == bytes);
        for (std::size_t size = 0; size < bytes.size(); ++size)
            CHECK_FALSE(decode_meta_command(std::string_view(bytes).substr(0, size)).ok());
        CHECK_FALSE(decode_meta_command(bytes + "x").ok());
    }
}

}  // namespace
}  // namespace quorate::cluster
