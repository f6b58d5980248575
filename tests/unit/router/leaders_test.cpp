#include "cluster/router/remote/leaders.h"

#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

const GroupId kGroup(17);

TEST_CASE("The leader of the highest term heard of is where a group leads", "[remote][R-3]") {
    Leaders leaders(20);
    CHECK(leaders.at(kGroup).node == NodeId());
    CHECK(leaders.learn(kGroup, Term(2), NodeId(1)));
    CHECK_FALSE(leaders.learn(kGroup, Term(1), NodeId(3)));
    CHECK(leaders.at(kGroup).node == NodeId(1));
    CHECK(leaders.learn(kGroup, Term(3), NodeId(2)));
    CHECK(leaders.at(kGroup).node == NodeId(2));
    CHECK(leaders.at(GroupId(18)).node == NodeId());
}

TEST_CASE("A term that has only begun leads nowhere until its leader is heard of", "[remote]") {
    Leaders leaders(20);
    CHECK(leaders.learn(kGroup, Term(2), NodeId(1)));
    CHECK(leaders.learn(kGroup, Term(3), NodeId()));
    CHECK(leaders.at(kGroup).node == NodeId());
    CHECK_FALSE(leaders.learn(kGroup, Term(2), NodeId(1)));
    CHECK(leaders.learn(kGroup, Term(3), NodeId(1)));
    CHECK(leaders.at(kGroup).node == NodeId(1));
    CHECK_FALSE(leaders.learn(kGroup, Term(3), NodeId()));
    CHECK(leaders.at(kGroup).node == NodeId(1));
}

TEST_CASE("A producer sees by one number that it has nothing to send again", "[remote][R-3]") {
    Leaders leaders(20);
    leaders.learn(kGroup, Term(2), NodeId(1));
    const uint64_t changes = leaders.changes();
    const Leaders::Place place = leaders.at(kGroup);
    CHECK_FALSE(leaders.learn(kGroup, Term(2), NodeId(1)));
    CHECK(leaders.changes() == changes);
    CHECK(leaders.at(kGroup) == place);
    // The same node in a later term: another one may have led in between, and dropped what was
    // sent.
    CHECK(leaders.learn(kGroup, Term(4), NodeId(1)));
    CHECK(leaders.changes() == changes + 1);
    CHECK(leaders.at(kGroup).node == place.node);
    CHECK(leaders.at(kGroup).change != place.change);
}

TEST_CASE("What a lost node led leads nowhere", "[remote]") {
    Leaders leaders(20);
    leaders.learn(kGroup, Term(2), NodeId(1));
    leaders.learn(GroupId(18), Term(2), NodeId(2));
    leaders.lost(NodeId(1));
    CHECK(leaders.at(kGroup).node == NodeId());
    CHECK(leaders.at(GroupId(18)).node == NodeId(2));
    // It is back and still leads.
    CHECK(leaders.learn(kGroup, Term(2), NodeId(1)));
    CHECK(leaders.at(kGroup).node == NodeId(1));
}

TEST_CASE("Groups that do not exist are ignored", "[remote]") {
    Leaders leaders(20);
    CHECK_FALSE(leaders.learn(GroupId(20), Term(1), NodeId(1)));
    CHECK(leaders.at(GroupId(99)).node == NodeId());
    CHECK(leaders.changes() == 0);
}

}  // namespace
}  // namespace quorate::cluster
