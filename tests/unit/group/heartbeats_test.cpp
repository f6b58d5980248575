#include "cluster/group/heartbeats.h"

#include "tests/unit/catch.h"

using namespace quorate;
using cluster::Heartbeats;

namespace {

raft::Message beat(uint64_t to, uint64_t commit) {
    return raft::Message{ReplicaId(9), ReplicaId(to), Term(1), raft::Heartbeat{LogIndex(commit)}};
}
const NodeId kPeer{2};

}  // namespace

TEST_CASE("heartbeats of many groups leave in one message per peer, the newest of each") {
    Heartbeats beats(10);
    beats.set_peers({kPeer, NodeId(3)});
    for (uint32_t group = 1; group <= 100; ++group) {
        CHECK(beats.add(kPeer, GroupId(group), beat(5, 1)));
        CHECK(beats.add(kPeer, GroupId(group), beat(5, 2)));
    }
    raft::Message reply = beat(5, 0);
    reply.body = raft::HeartbeatReply{raft::ReadId(1), 0};
    CHECK(beats.add(kPeer, GroupId(1), reply));
    const auto out = beats.take();
    REQUIRE(out.size() == 1);
    REQUIRE(out.at(kPeer).size() == 101);
    for (const cluster::GroupBeat& one : out.at(kPeer)) {
        const auto* heartbeat = std::get_if<raft::Heartbeat>(&one.message.body);
        CHECK((heartbeat == nullptr || heartbeat->commit == LogIndex(2)));
    }
    CHECK(beats.take().empty());
}

TEST_CASE("what does not wait, and what goes to strangers, is not kept") {
    Heartbeats beats(10);
    beats.set_peers({kPeer});
    raft::Message message = beat(5, 1);
    CHECK_FALSE(beats.add(NodeId(7), GroupId(1), message));
    message.body = raft::AppendEntries{};
    CHECK_FALSE(beats.add(kPeer, GroupId(1), message));
    CHECK(beats.take().empty());
}

TEST_CASE("a silent peer is named once, until it is heard again") {
    Heartbeats beats(4);
    beats.set_peers({kPeer, NodeId(3)});
    for (int i = 0; i < 3; ++i) {
        CHECK(beats.tick().empty());
        beats.heard(NodeId(3));
    }
    CHECK_FALSE(beats.silent(kPeer));
    CHECK(beats.tick() == std::vector<NodeId>{kPeer});
    CHECK(beats.silent(kPeer));
    beats.heard(NodeId(3));
    CHECK(beats.tick().empty());
    beats.heard(kPeer);
    CHECK_FALSE(beats.silent(kPeer));
    CHECK(beats.silent(NodeId(8)));
}

TEST_CASE("a peer hears of this node although no group has anything to say") {
    Heartbeats beats(8);
    beats.set_peers({kPeer});
    CHECK(beats.take().empty());
    CHECK(beats.tick().empty());
    CHECK(beats.take().empty());
    CHECK(beats.tick().empty());
    const auto out = beats.take();
    REQUIRE(out.size() == 1);
    CHECK(out.at(kPeer).empty());
}
