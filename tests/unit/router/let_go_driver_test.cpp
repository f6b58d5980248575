#include "cluster/router/leader/let_go_driver.h"

#include "tests/unit/catch.h"
#include "tests/unit/router/node.h"

namespace quorate::cluster::testing {
namespace {

struct Setup {
    Setup() { session = node.attach("c", 1); }

    // The same client comes again, by another connection.
    void come_again(uint32_t slot) {
        Attach attach;
        attach.client_id = "c";
        attach.session_expiry_s = 100;
        attach.receive_maximum = 10;
        attach.connection = Node::connection(slot);
        node.shard.apply(node.shard.header(), attach, false);
        for (const LetGo& request : node.shard.actions.let_go)
            driver.ask(request);
    }
    // What a turn asks of the loop.
    std::vector<LetGo> asked() {
        node.turn();
        std::vector<LetGo> out;
        for (const auto& parcel : node.to_loop) {
            for (const LetGoRequest& request : parcel->let_go)
                out.push_back(request.let_go);
        }
        return out;
    }
    std::vector<LetGo> repeated() {
        driver.repeat(node.shard.state());
        return asked();
    }

    Node node;
    AttachResult session;
    LetGoDriver driver{ShardId(0), node.router};
};

TEST_CASE("A holder is asked to let go again and again until it did", "[R-7]") {
    Setup setup;
    setup.come_again(2);
    const std::vector<LetGo> expected = {
        {Node::connection(1), setup.session.session, setup.session.epoch}};
    CHECK(setup.asked() == expected);
    CHECK(setup.asked().empty());
    CHECK(setup.repeated() == expected);
    CHECK(setup.repeated() == expected);
    Detached detached;
    detached.session = setup.session.session;
    detached.epoch = setup.session.epoch;
    setup.node.shard.apply(setup.node.shard.header(), detached, false);
    CHECK(setup.repeated().empty());
    CHECK(setup.driver.empty());
}

TEST_CASE("Nobody is asked any more once the newcomer was refused", "[R-7]") {
    Setup setup;
    setup.come_again(2);
    CHECK(setup.asked().size() == 1);
    setup.node.shard.now = ClusterTime(setup.node.shard.now.value() + 10'001);
    setup.node.shard.apply(setup.node.shard.header(), Tick{}, false);
    CHECK(setup.repeated().empty());
    CHECK(setup.driver.empty());
}

TEST_CASE("A connection of an earlier start of the node is not asked", "[R-7]") {
    Setup setup;
    LetGo request{Node::connection(1), setup.session.session, setup.session.epoch};
    request.connection.incarnation = make_incarnation(NodeId(1), 0);
    setup.driver.ask(request);
    CHECK(setup.asked().empty());
    CHECK(setup.driver.empty());
}

}  // namespace
}  // namespace quorate::cluster::testing
