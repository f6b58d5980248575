#include "cluster/control/liveness.h"

#include "cluster/control/catch_up.h"
#include "tests/unit/catch.h"
#include "tests/unit/meta/meta_harness.h"

namespace quorate::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("Who is silent for a whole lease is ended, and nobody who has started since", "[R-10]") {
    test::Meta meta;
    meta.ask(test::form_of({"n1", "n2"}, 1, 1));
    const Incarnation one = meta.ask(StartNode{NodeId(1), "a"}).incarnation;
    const Incarnation two = meta.ask(StartNode{NodeId(2), "b"}).incarnation;
    // A leader that has just begun knows of nobody, and waits for a whole lease all the same.
    TableGranter granter;
    const NodeId members[] = {NodeId(1), NodeId(2)};
    granter.begin(LogIndex(1), members, seconds(0));
    std::vector<LeaseAnswer> answers;
    granter.request({one, 1, LogIndex(1)}, seconds(1), answers);
    CHECK(incarnations_down(meta.state, granter.report(milliseconds(3'200))).empty());
    auto down = incarnations_down(meta.state, granter.report(milliseconds(3'300)));
    REQUIRE(down.size() == 1);
    CHECK(down.front().incarnation == two);
    // Again, until it is applied.
    CHECK(incarnations_down(meta.state, granter.report(milliseconds(3'400))).size() == 1);
    meta.ask(IncarnationDown{two});
    CHECK(incarnations_down(meta.state, granter.report(milliseconds(3'400))).empty());
    // The second start of node 2 speaks before `meta` shows it here: not to be ended by that.
    granter.request({make_incarnation(NodeId(2), 2), 1, LogIndex(1)}, seconds(4), answers);
    CHECK(incarnations_down(meta.state, granter.report(seconds(4))).empty());
    TableGranter::Report early;
    early.node = NodeId(2);
    early.incarnation = make_incarnation(NodeId(2), 3);
    early.silent = true;
    meta.ask(StartNode{NodeId(2), "b"});
    CHECK(incarnations_down(meta.state, {&early, 1}).empty());
}

TEST_CASE("A node says that it is in the minority within two election timeouts", "[G10]") {
    NodeView view(seconds(2));
    const TableView holds{true, false, false};
    const TableView lags{false, true, false};
    const TableView fenced{false, false, true};
    CHECK(view.at(seconds(1), holds, holds) == NodeStanding::Minority);  // never heard a leader
    view.contact(seconds(1));
    CHECK(view.at(milliseconds(2'999), holds, holds) == NodeStanding::Serving);
    CHECK(view.at(seconds(3), holds, holds) == NodeStanding::Minority);
    view.contact(seconds(4));
    CHECK(view.at(seconds(4), holds, lags) == NodeStanding::Suspended);
    CHECK(view.at(seconds(4), TableView{}, holds) == NodeStanding::Suspended);
    CHECK(view.at(seconds(9), lags, holds) == NodeStanding::Minority);
    CHECK(view.at(seconds(4), holds, fenced) == NodeStanding::Fenced);
    CHECK(view.at(seconds(9), fenced, holds) == NodeStanding::Fenced);
    CHECK(std::string(to_string(NodeStanding::Minority)) == "minority");
}

TEST_CASE("Who holds what was committed a second ago has caught up", "[R-8]") {
    CatchUp watch;
    CHECK(watch.caught_up(LogIndex(0)));
    watch.sample(LogIndex(10), seconds(0));
    // A leader that has just begun: everything.
    CHECK_FALSE(watch.caught_up(LogIndex(9)));
    CHECK(watch.caught_up(LogIndex(10)));
    for (uint64_t i = 1; i <= 20; ++i)
        watch.sample(LogIndex(10 + 10 * i), milliseconds(100 * i));
    CHECK_FALSE(watch.caught_up(LogIndex(109)));
    CHECK(watch.caught_up(LogIndex(110)));
    // After a pause what was committed before it is old.
    watch.sample(LogIndex(500), seconds(10));
    CHECK_FALSE(watch.caught_up(LogIndex(209)));
    CHECK(watch.caught_up(LogIndex(210)));
}

}  // namespace
}  // namespace quorate::cluster
