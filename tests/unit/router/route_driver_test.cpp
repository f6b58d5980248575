#include "cluster/router/leader/route_driver.h"

#include "cluster/group/group_ids.h"
#include "tests/unit/catch.h"
#include "tests/unit/router/node.h"

namespace quorate::cluster::testing {
namespace {

struct Setup {
    Node node;
    RouteDriver driver{ShardId(0), node.router};

    GroupAnswer answer(uint64_t token) {
        GroupAnswer out;
        out.answer.token = token;
        return out;
    }
    // Tokens of the answers that `filter`, made up to `serial`, sets free.
    std::vector<uint64_t> made(std::string_view filter, uint64_t serial, uint64_t member = 0) {
        std::vector<GroupAnswer> ready;
        driver.made({std::string(filter), SessionId(member), RouteSerial(serial)}, ready);
        std::vector<uint64_t> out;
        for (const GroupAnswer& each : ready)
            out.push_back(each.answer.token);
        return out;
    }
    // What the driver sent in this turn, as "filter serial".
    std::vector<std::string> sent() {
        node.turn();
        std::vector<std::string> out;
        for (const auto& [group, command] : node.commands()) {
            const auto& route = std::get<Route>(command.body);
            out.push_back(std::string(route.filter) + " " + std::to_string(route.serial.value()));
        }
        return out;
    }
};

RouteName name(std::string filter, uint64_t member = 0) {
    return {std::move(filter), SessionId(member)};
}

using Texts = std::vector<std::string>;
using Tokens = std::vector<uint64_t>;

TEST_CASE("Wanted routes are sent once, in order, under the shard's term", "[R-0][R-4]") {
    Setup setup;
    const AttachResult session = setup.node.attach("c", 1);
    setup.node.subscribe(session, "a");
    setup.node.subscribe(session, "b/+");
    setup.driver.start(Term(7));
    setup.driver.drive(setup.node.shard.state());
    setup.node.turn();
    const auto commands = setup.node.commands();
    REQUIRE(commands.size() == 2);
    CHECK(commands[0].first == group_of(ShardId(0)));
    CHECK(commands[1].first == kWildcardsGroup);
    RouteSerial last;
    for (const auto& [group, command] : commands) {
        CHECK(command.header.fence == SourceFence{ShardId(0), Term(7)});
        CHECK(command.header.lane.lane_class == LaneClass::Control);
        const auto& route = std::get<Route>(command.body);
        CHECK(route.destination == Destination::to_shard(ShardId(0)));
        CHECK(route.serial > last);
        last = route.serial;
    }
    setup.driver.drive(setup.node.shard.state());
    CHECK(setup.sent().empty());
    setup.node.subscribe(session, "c");
    setup.driver.drive(setup.node.shard.state());
    CHECK(setup.sent().size() == 1);
}

TEST_CASE("A new leader sends everything that is not made again", "[R-4]") {
    Setup setup;
    const AttachResult session = setup.node.attach("c", 1);
    setup.node.subscribe(session, "a");
    setup.node.subscribe(session, "b");
    setup.driver.start(Term(1));
    setup.driver.drive(setup.node.shard.state());
    const Texts first = setup.sent();
    CHECK(first.size() == 2);
    setup.driver.start(Term(2));
    setup.driver.drive(setup.node.shard.state());
    CHECK(setup.sent() == first);
    // Tokens are not used again: 0 and 1 are of the earlier term.
    setup.driver.answered(0);
    Made made;
    CHECK_FALSE(setup.driver.take_made(made));
    setup.driver.answered(2);
    CHECK(setup.driver.take_made(made));
    REQUIRE(made.routes.size() == 1);
    setup.node.shard.apply(Harness::leader_header(), made, false);
    setup.driver.start(Term(3));
    setup.driver.drive(setup.node.shard.state());
    CHECK(setup.sent() == Texts{first[1]});
}

TEST_CASE("Answered routes are taken once, named as they were wanted", "[R-4]") {
    Setup setup;
    const AttachResult session = setup.node.attach("c", 1);
    setup.node.subscribe(session, "a");
    setup.node.subscribe(session, "$share/g/a");
    setup.driver.start(Term(1));
    setup.driver.drive(setup.node.shard.state());
    Made made;
    CHECK_FALSE(setup.driver.take_made(made));
    setup.driver.answered(0);
    setup.driver.answered(1);
    setup.driver.answered(1);
    CHECK(setup.driver.take_made(made));
    REQUIRE(made.routes.size() == 2);
    CHECK(made.routes[0].filter == "a");
    CHECK(made.routes[0].member == SessionId());
    CHECK(made.routes[1].filter == "$share/g/a");
    CHECK(made.routes[1].member == session.session);
    CHECK(made.routes[1].serial > made.routes[0].serial);
    Made nothing;
    CHECK_FALSE(setup.driver.take_made(nothing));
    // Committed: nothing of the session's is owed any more.
    setup.node.shard.apply(Harness::leader_header(), made, false);
    CHECK(setup.node.shard.actions.made.size() == 2);
    CHECK(setup.node.shard.state().wanted_routes(RouteSerial(), 10).empty());
}

TEST_CASE("The route of a shared group is sent by its filter and made by the group's name",
          "[R-4][MQTT-4.8.2-1]") {
    Setup setup;
    const AttachResult session = setup.node.attach("c", 1);
    setup.node.member("$share/g/t", Destination::to_session(ShardId(0), session.session), 1);
    setup.driver.start(Term(1));
    setup.driver.drive(setup.node.shard.state());
    const Texts sent = setup.sent();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].starts_with("t "));
    setup.driver.answered(0);
    Made made;
    CHECK(setup.driver.take_made(made));
    REQUIRE(made.routes.size() == 1);
    CHECK(made.routes[0].filter == "$share/g/t");
    CHECK(made.routes[0].member == SessionId());
    setup.node.shard.apply(Harness::leader_header(), made, false);
    CHECK(setup.node.shard.state().wanted_routes(RouteSerial(), 10).empty());
}

TEST_CASE("An answer waits until each of its routes is made up to its serial", "[R-4]") {
    Setup setup;
    setup.driver.wait(setup.answer(1), {{name("a"), RouteSerial(5)}, {name("b"), RouteSerial(6)}});
    CHECK(setup.made("a", 4).empty());
    CHECK(setup.made("b", 9).empty());
    CHECK(setup.made("b", 9).empty());
    CHECK(setup.made("a", 5) == Tokens{1});
    CHECK(setup.made("a", 5).empty());
}

TEST_CASE("One route sets all free that waited for it, and no other", "[R-4]") {
    Setup setup;
    setup.driver.wait(setup.answer(1), {{name("a"), RouteSerial(5)}});
    setup.driver.wait(setup.answer(2), {{name("a"), RouteSerial(7)}});
    setup.driver.wait(setup.answer(3), {{name("a"), RouteSerial(6)}});
    setup.driver.wait(setup.answer(4), {{name("a", 9), RouteSerial(1)}});
    setup.driver.wait(setup.answer(5), {{name("ab"), RouteSerial(1)}});
    CHECK(setup.made("a", 6) == Tokens{1, 3});
    CHECK(setup.made("a", 100, 9) == Tokens{4});
    CHECK(setup.made("a", 7) == Tokens{2});
    CHECK(setup.made("ab", 1) == Tokens{5});
}

TEST_CASE("Who no longer leads keeps no answers", "[R-4]") {
    Setup setup;
    setup.driver.wait(setup.answer(1), {{name("a"), RouteSerial(5)}});
    setup.driver.stop();
    CHECK(setup.made("a", 5).empty());
}

}  // namespace
}  // namespace quorate::cluster::testing
