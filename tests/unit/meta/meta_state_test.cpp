#include "cluster/meta/meta_state.h"

#include "storage/memory_stores.h"
#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

struct Meta {
    MetaState state;
    storage::MemoryStateStore store;
    uint64_t token = 0;

    MetaAnswer ask(const MetaCommandBody& body) { return ask(body, ++token); }
    MetaAnswer ask(const MetaCommandBody& body, uint64_t as_token) {
        std::string command;
        encode_meta_command(command, as_token, body);
        storage::StateBatch batch;
        const auto answer = state.apply(command, batch);
        REQUIRE(answer.ok());
        REQUIRE(store.write(batch).ok());
        return *answer;
    }
};

TEST_CASE("Nothing is handed out before the cluster is formed, and it is formed once") {
    Meta meta;
    CHECK(meta.ask(JoinNode{"a", "h:1"}).code == MetaCode::NotFormed);
    CHECK(meta.ask(FormCluster{77}).cluster_id == 77);
    CHECK(meta.ask(FormCluster{77}).code == MetaCode::Applied);
    CHECK(meta.ask(FormCluster{78}).code == MetaCode::Exists);
    CHECK(meta.state.cluster_id() == 77);
}

TEST_CASE("Incarnations rise, end the earlier ones, and a repeated request gets the same one") {
    Meta meta;
    meta.ask(FormCluster{77});
    const NodeId node = meta.ask(JoinNode{"a", "h:1"}).node;
    CHECK(meta.ask(JoinNode{"a", "h:2"}).code == MetaCode::Exists);
    const Incarnation first = meta.ask(StartNode{node, "h:1"}, 100).incarnation;
    CHECK(node_of(first) == node);
    CHECK(meta.ask(StartNode{node, "h:1"}, 100).incarnation == first);
    CHECK_FALSE(meta.state.down(first));
    const Incarnation second = meta.ask(StartNode{node, "h:1"}, 101).incarnation;
    CHECK(second > first);
    CHECK(meta.state.down(first));
    meta.ask(IncarnationDown{first});
    CHECK_FALSE(meta.state.down(second));
    CHECK(meta.ask(ForgetNode{node}).code == MetaCode::Running);
    meta.ask(IncarnationDown{second});
    CHECK(meta.state.down(second));
    CHECK(meta.ask(ForgetNode{node}).code == MetaCode::Applied);
    CHECK(meta.ask(JoinNode{"b", "h:1"}).node > node);
}

TEST_CASE("Replica ids are never handed out twice") {
    Meta meta;
    meta.ask(FormCluster{77});
    const NodeId node = meta.ask(JoinNode{"a", "h:1"}).node;
    const ReplicaId one = meta.ask(NewReplica{node}, 50).replica;
    CHECK(meta.ask(NewReplica{node}, 50).replica == one);
    CHECK(meta.ask(NewReplica{node}, 51).replica > one);
    CHECK(meta.ask(NewReplica{NodeId(9)}).code == MetaCode::NotFound);
}

TEST_CASE("A restart finds the same state; damaged bytes are an error") {
    Meta meta;
    meta.ask(FormCluster{77});
    const NodeId node = meta.ask(JoinNode{"a", "h:1"}).node;
    meta.ask(StartNode{node, "h:1"});
    MetaState again;
    REQUIRE(again.load(meta.store).ok());
    CHECK(again.digest() == meta.state.digest());
    MetaState broken;
    CHECK(broken.load_record("\x01garbage").error().code == ErrorCode::Corrupt);
    storage::StateBatch batch;
    CHECK_FALSE(again.apply("nonsense", batch).ok());
    CHECK(batch.empty());
}

}  // namespace
}  // namespace quorate::cluster
