// Whole lives of nodes: real links on loopback, real directories, real groups.
#include "cluster/node/node_control.h"

#include <algorithm>
#include <set>
#include <string>

#include "cluster/group/group_ids.h"
#include "cluster/meta/replica_id.h"
#include "cluster/node/names.h"
#include "tests/unit/catch.h"
#include "tests/unit/node/node_world.h"

using namespace quorate;
using namespace quorate::cluster;
using test::NodeInWorld;
using test::NodeWorld;
using test::soon;

namespace {

MetaAnswer tell(NodeInWorld& node, const MetaCommandBody& body) {
    const auto answer =
        node.control().asker().ask_and_wait(new_token(), body, std::chrono::seconds(20));
    REQUIRE(answer.ok());
    return *answer;
}

// Every group is configured as it is to be, and this node knows it.
bool settled(NodeInWorld& node) {
    const MetaView view = node.meta();
    return !view.state->groups().empty() &&
           std::ranges::all_of(view.state->groups(),
                               [](const auto& entry) { return entry.second.settled(); });
}

bool serves(NodeInWorld& node) {
    return node.control().standing() == NodeStanding::Serving;
}

bool wants(NodeInWorld& node, GroupId group, NodeId on) {
    const MetaView view = node.meta();
    const MetaGroup* known = view.state->group(group);  // a newcomer hears of it a little later
    return known != nullptr && known->target_on(on).value() != 0;
}

struct Three {
    NodeWorld world;
    NodeInWorld& one = world.add("n1");
    NodeInWorld& two = world.add("n2");
    NodeInWorld& three = world.add("n3");

    void form() {
        world.start_all(3);
        for (NodeInWorld* node : {&one, &two, &three})
            REQUIRE(node->started().ok());
    }
};

}  // namespace

TEST_CASE("three processes with empty disks become nodes of one cluster", "[node]") {
    Three nodes;
    nodes.form();
    uint32_t number = 0;
    for (NodeInWorld* node : {&nodes.one, &nodes.two, &nodes.three}) {
        CHECK(node->identity().node == NodeId(++number));
        CHECK(node->identity().cluster_id == nodes.one.identity().cluster_id);
        CHECK(node->copies().size() == 2 + NodeWorld::kShards);
        CHECK(soon([&] { return serves(*node) && node->peers().size() == 3; }));
        CHECK(soon([&] {
            return std::ranges::all_of(node->peers(), [](const PeerState& peer) {
                return peer.running == make_incarnation(peer.node, 1);
            });
        }));
        CHECK(soon([&] {
            const auto record = NodeFile(node->directory()).read();
            return record.ok() && (*record)->founded;
        }));
        CHECK(node->control().waits_for().empty());
    }
}

TEST_CASE("a node that starts again is the same node, and all of them can at once", "[node]") {
    Three nodes;
    nodes.form();
    nodes.two.stop();
    nodes.two.start(nodes.world.addresses(), 3);
    auto again = nodes.two.started();
    REQUIRE(again.ok());
    CHECK(*again == make_incarnation(NodeId(2), 2));
    CHECK(soon([&] {
        const auto peers = nodes.one.peers();
        return peers.size() == 3 && peers[1].running == make_incarnation(NodeId(2), 2);
    }));
    for (NodeInWorld* node : {&nodes.one, &nodes.two, &nodes.three})
        node->stop();
    nodes.world.start_all(3);
    CHECK(*nodes.one.started() == make_incarnation(NodeId(1), 2));
    CHECK(*nodes.two.started() == make_incarnation(NodeId(2), 3));
    CHECK(*nodes.three.started() == make_incarnation(NodeId(3), 2));
}

TEST_CASE("two of three that start again serve, whatever was heard of them before", "[node]") {
    Three nodes;
    nodes.form();
    nodes.two.stop();
    nodes.three.stop();
    CHECK(soon([&] { return nodes.one.control().standing() == NodeStanding::Minority; }));
    nodes.two.start(nodes.world.addresses(), 3);
    CHECK(nodes.two.started().ok());
    CHECK(soon([&] { return serves(nodes.one) && serves(nodes.two); }));
}

TEST_CASE("a node without a majority says what it waits for, and stops when it is told", "[node]") {
    Three nodes;
    nodes.form();
    for (NodeInWorld* node : {&nodes.one, &nodes.two, &nodes.three})
        node->stop();
    nodes.one.start(nodes.world.addresses(), 3);
    CHECK(soon([&] {
        return nodes.one.control().waits_for() ==
               "a leader of meta, which needs a majority of its voters";
    }));
    CHECK(nodes.one.starting());
    nodes.one.control().stop_waiting();
    const auto stopped = nodes.one.started();
    REQUIRE_FALSE(stopped.ok());
    CHECK(stopped.error().code == ErrorCode::Unavailable);
}

TEST_CASE("two nodes that expect a third one wait for it", "[node]") {
    Three nodes;
    nodes.one.start(nodes.world.addresses(), 3);
    nodes.two.start(nodes.world.addresses(), 3);
    CHECK(soon([&] {
        return nodes.one.control().waits_for().find("which does not answer") != std::string::npos;
    }));
    CHECK(nodes.one.starting());
    CHECK(nodes.two.starting());
    nodes.three.start(nodes.world.addresses(), 3);
    CHECK(nodes.one.started().ok());
    CHECK(nodes.two.started().ok());
    CHECK(nodes.three.started().ok());
}

TEST_CASE("a fourth node joins through any seed and gets copies of groups", "[node]") {
    Three nodes;
    nodes.form();
    NodeInWorld& four = nodes.world.add("n4");
    four.start({nodes.three.address()}, 3);
    const auto joined = four.started();
    REQUIRE(joined.ok());
    CHECK(*joined == make_incarnation(NodeId(4), 1));
    CHECK(soon([&] { return serves(four); }));
    CHECK(soon([&] {
        return wants(four, kWildcardsGroup, NodeId(4)) && settled(four) && settled(nodes.one);
    }));
    CHECK(soon([&] { return four.copies().contains(kWildcardsGroup); }));
    CHECK(soon([&] {
        const auto record = NodeFile(four.directory()).read();
        return record.ok() && (*record)->founded;
    }));
    four.stop();
    four.start({nodes.one.address()}, 3);
    const auto again = four.started();
    REQUIRE(again.ok());
    CHECK(*again == make_incarnation(NodeId(4), 2));
}

TEST_CASE(
    "a node with an empty disk and an old name waits until the old one is down, then "
    "takes its place",
    "[node]") {
    Three nodes;
    nodes.form();
    nodes.three.stop();
    nodes.three.lose_disk();
    nodes.three.start(nodes.world.addresses(), 3);
    CHECK(soon([&] {
        return nodes.three.control().waits_for() ==
               "its name: node 3 of the cluster, which runs, is called n3 too";
    }));
    CHECK(tell(nodes.one, IncarnationDown{make_incarnation(NodeId(3), 1)}).code ==
          MetaCode::Applied);
    const auto joined = nodes.three.started();
    REQUIRE(joined.ok());
    CHECK(*joined == make_incarnation(NodeId(4), 1));
    // What the old one had is made anew, and the old one goes.
    CHECK(soon([&] {
        const MetaView view = nodes.one.meta();
        return view.state->node(NodeId(3))->state == NodeState::Gone && settled(nodes.one);
    }));
    CHECK(soon([&] { return nodes.three.copies().size() == 2 + NodeWorld::kShards; }));
}

TEST_CASE("a decommissioned node gives its copies away and is told that it is gone", "[node]") {
    Three nodes;
    nodes.form();
    NodeInWorld& four = nodes.world.add("n4");
    four.start({nodes.one.address()}, 3);
    REQUIRE(four.started().ok());
    CHECK(soon([&] { return settled(nodes.one) && wants(nodes.one, kMetaGroup, NodeId(4)); }));
    CHECK(tell(four, DecommissionNode{NodeId(2), "replaced by n4"}).code == MetaCode::Applied);
    CHECK(soon([&] { return nodes.one.meta().state->node(NodeId(2))->state == NodeState::Gone; }));
    CHECK(settled(nodes.one));
    for (const auto& [id, group] : nodes.one.meta().state->groups()) {
        CHECK(group.target_on(NodeId(2)) == ReplicaId());
        CHECK(group.voters.size() == 3);
    }
}

TEST_CASE("of two processes that are the same node the later one goes on", "[node]") {
    Three nodes;
    nodes.form();
    CHECK(tell(nodes.one, StartNode{NodeId(2), nodes.two.address()}).code == MetaCode::Applied);
    CHECK(soon([&] { return nodes.two.fenced() == "another process was started as this node"; }));
    CHECK(nodes.two.control().standing() == NodeStanding::Fenced);
}

TEST_CASE("commands to meta are answered at nodes that do not lead it", "[node]") {
    Three nodes;
    nodes.form();
    for (NodeInWorld* node : {&nodes.one, &nodes.two, &nodes.three}) {
        CHECK(tell(*node, DrainNode{NodeId(1), "by hand"}).code == MetaCode::Applied);
        CHECK(tell(*node, UndrainNode{NodeId(1)}).code == MetaCode::Applied);
        CHECK(tell(*node, UndrainNode{NodeId(9)}).code == MetaCode::NotFound);
    }
    for (NodeInWorld* node : {&nodes.two, &nodes.three})
        node->stop();
    const auto late = nodes.one.control().asker().ask_and_wait(new_token(), SetReplication{3},
                                                               std::chrono::milliseconds(500));
    REQUIRE_FALSE(late.ok());
    CHECK(late.error().code == ErrorCode::Unavailable);
}

TEST_CASE("a copy that was lost comes back under a new name, and meta's takes the node with it",
          "[node]") {
    Three nodes;
    nodes.form();
    const GroupId lost = group_of(ShardId(0));
    REQUIRE(soon([&] { return NodeFile(nodes.two.directory()).read()->value().founded; }));
    nodes.two.stop();
    nodes.two.lose_copy(lost);
    nodes.two.start(nodes.world.addresses(), 3);
    REQUIRE(nodes.two.started().ok());
    CHECK(soon([&] {
        const auto copies = nodes.two.copies();
        const auto found = copies.find(lost);
        return found != copies.end() && number_of(found->second) > kFoundingReplica;
    }));
    CHECK(soon([&] {
        return settled(nodes.one) &&
               number_of(nodes.one.meta().state->group(lost)->target_on(NodeId(2))) >
                   kFoundingReplica;
    }));

    nodes.two.stop();
    nodes.two.lose_copy(kMetaGroup);
    nodes.two.start(nodes.world.addresses(), 3);
    const auto refused = nodes.two.started();
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::Corrupt);
}

TEST_CASE("answers between nodes about commands read back, and cut ones do not", "[node]") {
    MetaReply reply;
    reply.leader_at = "127.0.0.1:7400";
    const auto where = decode_meta_reply(encode(reply));
    REQUIRE(where.ok());
    CHECK(where->leader_at == reply.leader_at);
    CHECK_FALSE(where->answer);
    reply.answer = MetaAnswer{7, MetaCode::Stale, 8, NodeId(9), Incarnation(10), ReplicaId(11)};
    const std::string bytes = encode(reply);
    const auto answer = decode_meta_reply(bytes);
    REQUIRE(answer.ok());
    REQUIRE(answer->answer);
    CHECK(answer->answer->token == 7);
    CHECK(answer->answer->code == MetaCode::Stale);
    CHECK(answer->answer->replica == ReplicaId(11));
    for (std::size_t size = 0; size < bytes.size(); ++size)
        CHECK_FALSE(decode_meta_reply(bytes.substr(0, size)).ok());
    CHECK_FALSE(decode_meta_reply(bytes + "x").ok());
}

TEST_CASE("one node grows to three, and every group with it", "[node]") {
    Three nodes;
    nodes.one.start({}, 1);
    REQUIRE(nodes.one.started().ok());
    nodes.two.start({nodes.one.address()}, 1);
    REQUIRE(nodes.two.started().ok());
    nodes.three.start({nodes.one.address()}, 1);
    REQUIRE(nodes.three.started().ok());
    CHECK(soon([&] {
        return settled(nodes.one) &&
               std::ranges::all_of(nodes.one.meta().state->groups(), [](const auto& entry) {
                   return entry.second.voters.size() == 3;
               });
    }));
}
