#include "cluster/router/nodes/node_routes.h"

#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

using std::chrono::seconds;

NodeRouteOp op(uint16_t loop, std::string filter, bool add, uint64_t token) {
    return {LoopId(loop), std::move(filter), add, token};
}

struct Routes {
    NodeRoutes routes;
    NodeRoutes::Change only_change() {
        const auto changes = routes.take_changes();
        REQUIRE(changes.size() == 1);
        return changes.front();
    }
    std::vector<uint64_t> shown() {
        std::vector<uint64_t> tokens;
        for (const auto& each : routes.take_shown())
            tokens.push_back(each.token);
        return tokens;
    }
};
using Tokens = std::vector<uint64_t>;

TEST_CASE("Two loops share one route, and both wait until it is made", "[R-4]") {
    Routes node;
    node.routes.ask(op(0, "a/+", true, 1), seconds(0));
    node.routes.ask(op(1, "a/+", true, 2), seconds(0));
    const auto change = node.only_change();
    CHECK_FALSE(change.remove);
    CHECK(node.shown().empty());
    node.routes.answered(change.token, true);
    CHECK(node.shown() == Tokens{1, 2});
    node.routes.ask(op(2, "a/+", true, 3), seconds(1));
    CHECK(node.routes.take_changes().empty());
    CHECK(node.shown() == Tokens{3});
}

TEST_CASE("A route that is wanted again within 30 seconds was never removed", "[R-4]") {
    Routes node;
    node.routes.ask(op(0, "f", true, 1), seconds(0));
    node.routes.answered(node.only_change().token, true);
    (void)node.shown();
    node.routes.ask(op(0, "f", false, 2), seconds(10));
    CHECK(node.shown() == Tokens{2});
    node.routes.sweep(seconds(39));
    CHECK(node.routes.take_changes().empty());
    node.routes.ask(op(1, "f", true, 3), seconds(39));
    CHECK(node.shown() == Tokens{3});
    node.routes.sweep(seconds(100));
    CHECK(node.routes.take_changes().empty());
    node.routes.ask(op(1, "f", false, 4), seconds(100));
    node.routes.sweep(seconds(129));
    CHECK(node.routes.take_changes().empty());
    node.routes.sweep(seconds(130));
    const auto removal = node.only_change();
    CHECK(removal.remove);
    node.routes.answered(removal.token, true);
    CHECK(node.routes.filters() == 0);
}

TEST_CASE("A route wanted again while it is removed waits for the newer answer, in any order",
          "[R-4]") {
    const bool removal_last = GENERATE(false, true);
    Routes node;
    node.routes.ask(op(0, "f", true, 1), seconds(0));
    node.routes.answered(node.only_change().token, true);
    node.routes.ask(op(0, "f", false, 0), seconds(0));
    node.routes.sweep(seconds(30));
    const auto removal = node.only_change();
    (void)node.shown();
    node.routes.ask(op(0, "f", true, 2), seconds(31));
    const auto add = node.only_change();
    CHECK(add.serial > removal.serial);
    CHECK(node.shown().empty());
    if (!removal_last) node.routes.answered(removal.token, true);
    CHECK(node.shown().empty());
    node.routes.answered(add.token, true);
    CHECK(node.shown() == Tokens{2});
    if (removal_last) node.routes.answered(removal.token, true);
    // The next one need not wait.
    node.routes.ask(op(3, "f", true, 3), seconds(32));
    CHECK(node.routes.take_changes().empty());
    CHECK(node.shown() == Tokens{3});
}

TEST_CASE("A route that its holder refused is asked for again while it is wanted", "[R-4][R-9]") {
    Routes node;
    node.routes.ask(op(0, "f", true, 1), seconds(0));
    node.routes.answered(node.only_change().token, false);
    node.routes.sweep(seconds(0));
    CHECK(node.routes.take_changes().empty());
    node.routes.sweep(seconds(1));
    const auto again = node.only_change();
    CHECK_FALSE(again.remove);
    CHECK(node.shown().empty());
    node.routes.answered(again.token, true);
    CHECK(node.shown() == Tokens{1});
}

TEST_CASE("An answer that is nobody's changes nothing", "[R-4]") {
    Routes node;
    node.routes.answered(7, true);
    node.routes.ask(op(0, "f", true, 1), seconds(0));
    const auto change = node.only_change();
    node.routes.answered(change.token, true);
    (void)node.shown();
    node.routes.answered(change.token, true);
    CHECK(node.shown().empty());
}

TEST_CASE("Filters that come and go quickly are not kept beyond the bound", "[R-9]") {
    Routes node;
    for (std::size_t i = 0; i <= NodeRoutes::kKeptMax; ++i) {
        const std::string filter = "f/" + std::to_string(i);
        node.routes.ask(op(0, filter, true, 0), seconds(0));
        node.routes.ask(op(0, filter, false, 0), seconds(0));
        // The same one again and again costs one place.
        node.routes.ask(op(0, filter, true, 0), seconds(0));
        node.routes.ask(op(0, filter, false, 0), seconds(0));
    }
    (void)node.routes.take_changes();
    node.routes.sweep(seconds(1));
    CHECK(node.only_change().remove);
}

}  // namespace
}  // namespace quorate::cluster
