#include "cluster/steward/group_steward.h"

#include "tests/unit/catch.h"
#include "tests/unit/steward/steward_world.h"

using namespace quorate;
using namespace quorate::cluster;
using namespace quorate::cluster::test;

namespace {

// Node 4 joins, with an empty copy of the group, and is to take the place of node 3.
StewardNode& join_fourth(StewardWorld& world) {
    REQUIRE(world.meta.ask(JoinNode{"n4", "n4"}).node == NodeId(4));
    REQUIRE(world.meta.code(StartNode{NodeId(4), "n4"}) == MetaCode::Applied);
    const uint64_t version = world.meta.state.group(kTable)->version;
    REQUIRE(world.meta.code(PlaceGroup{kTable, version, {NodeId(1), NodeId(2), NodeId(4)}, {}}) ==
            MetaCode::Applied);
    ++world.meta_index;
    return world.start(4, world.meta.state.group(kTable)->target_on(NodeId(4)));
}

}  // namespace

TEST_CASE("leadership goes to whom the target names first, and stays there") {
    StewardWorld world;
    world.leader();
    world.stewards = true;
    REQUIRE(world.pass_until([&] { return world.node(1).group->leading(); }));
    const Term term = world.node(1).group->term();
    world.pass(100);
    CHECK(world.node(1).group->term() == term);
    CHECK(world.reports == 0);  // the founding configuration is known
}

TEST_CASE(
    "a group moves to where meta wants it, and nobody with a lease is taken out [R-8, R-10]") {
    StewardWorld world;
    world.leader();
    world.stewards = true;
    for (int i = 0; i < 20; ++i)
        world.propose();
    world.pass(60);
    StewardNode& fourth = join_fourth(world);
    world.after_tick = [&] {
        const StewardNode& leader = world.leader();
        const raft::Configuration now = leader.group->configuration();
        bool named = false;
        now.for_each([&](ReplicaId id) { named = named || node_of(id) == NodeId(3); });
        if (!named) CHECK_FALSE(world.node(3).lease.valid(world.clock.time));
    };
    REQUIRE(world.pass_until([&] { return world.meta.state.group(kTable)->settled(); }));
    const raft::Configuration target = world.meta.state.group(kTable)->target();
    CHECK(world.leader().group->configuration() == target);
    CHECK(target.votes(fourth.group->self()));
    world.pass(20);
    CHECK(fourth.group->configuration() == target);
    CHECK(fourth.machine.toy.number(1) == 20);
    CHECK(fourth.lease.valid(world.clock.time));
    CHECK(world.leader().lease.leased().size() == 3);
    // The newcomer counts for what is made from now on.
    const LogIndex index = world.propose();
    CHECK(world.leader().lease.made() == index);
    fourth.machine.shows = false;
    const LogIndex next = world.propose();
    CHECK(world.leader().lease.made() == index);
    CHECK(next > index);
}

TEST_CASE("a removal that is taken back gives leases again to who was to go [R-10]") {
    StewardWorld world;
    world.leader();
    world.pass(60);
    StewardNode& leader = world.leader();
    leader.lease.stop({NodeId(3)});
    world.pass(40);
    CHECK_FALSE(world.node(3).lease.valid(world.clock.time));
    CHECK(leader.lease.leased() == std::vector<NodeId>{NodeId(1), NodeId(2)});
    leader.lease.stop({});
    world.pass(12);
    CHECK(world.node(3).lease.valid(world.clock.time));
}

TEST_CASE("a report that meta does not answer is repeated once a second at most") {
    StewardWorld world;
    world.leader();
    world.stewards = true;
    world.pass(60);
    world.meta_answers = false;
    join_fourth(world);
    world.pass(20);
    const int before = world.reports;
    REQUIRE(before > 0);
    world.pass(50);
    CHECK(world.reports - before >= 4);
    CHECK(world.reports - before <= 6);
    // Nothing further is changed meanwhile.
    CHECK(world.leader().group->configuration().learners.size() == 1);
}

TEST_CASE("a suspended node hands over what it leads, and gets nothing back until it is well") {
    StewardWorld world;
    world.leader();
    world.stewards = true;
    REQUIRE(world.pass_until([&] { return world.node(1).group->leading(); }));
    world.pass(20);
    world.node(1).steward.suspend(true);
    REQUIRE(world.pass_until([&] { return !world.node(1).group->leading(); }, 20));
    world.pass(100);
    CHECK_FALSE(world.node(1).group->leading());
    world.node(1).steward.suspend(false);
    CHECK(world.pass_until([&] { return world.node(1).group->leading(); }));
}
