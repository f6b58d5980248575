#include "cluster/shard/wildcard_state.h"
#include "storage/memory_stores.h"
#include "tests/unit/catch.h"

namespace quorate::cluster::testing {
namespace {

struct Wildcards {
    WildcardState state{2};
    storage::MemoryStateStore store;
    Actions actions;
    CommandNumber last;

    AnswerCode apply(const CommandBody& body, uint64_t number = 0, uint64_t term = 0) {
        CommandHeader header;
        header.lane.incarnation = make_incarnation(NodeId(1), 1);
        header.number = number == 0 ? ++last : CommandNumber(number);
        if (term != 0) header.fence = SourceFence{ShardId(4), Term(term)};
        if (std::holds_alternative<NodeDown>(body)) {
            header = {};
            header.lane.lane_class = LaneClass::Leader;
            last = CommandNumber(last.value() - 1);
        }
        std::string bytes;
        encode_command(bytes, header, body);
        storage::StateBatch batch;
        actions.clear();
        REQUIRE(state.apply(bytes, batch, actions).ok());
        state.end_entry(batch);
        REQUIRE(store.write(batch).ok());
        WildcardState loaded{2};
        REQUIRE(loaded.load(store).ok());
        CHECK(loaded.digest() == state.digest());
        return actions.answers.at(0).code;
    }
};

TEST_CASE("Wildcard routes follow lanes, fences and serials like a shard's", "[R-0][R-3][R-4]") {
    Wildcards w;
    const Destination shard = Destination::to_shard(ShardId(4));
    const auto qos = mqtt::QoS::AtLeastOnce;
    CHECK(w.apply(Route{"a/+", shard, qos, false, RouteSerial(2)}, 0, 5) == AnswerCode::Applied);
    CHECK(w.actions.topics_changed);
    CHECK(w.apply(Route{"a/+", shard, qos, true, RouteSerial(3)}, 0, 4) == AnswerCode::StaleSource);
    CHECK(w.state.routes().size() == 1);
    CHECK(w.apply(Route{"a/+", shard, qos, true, RouteSerial(1)}, 0, 5) == AnswerCode::Applied);
    CHECK(w.state.routes().size() == 1);
    CHECK(w.apply(Void{}, 1) == AnswerCode::Duplicate);
    CHECK(w.apply(Void{}, 9) == AnswerCode::Gap);
    CHECK(w.actions.answers.at(0).expected == CommandNumber(4));
    CHECK(w.apply(Route{"$share/g/a", shard, qos, false, RouteSerial(9)}) == AnswerCode::Malformed);
    CHECK(w.apply(EndSession{"c"}) == AnswerCode::Malformed);
    CHECK(w.apply(Route{"a/+", shard, qos, true, RouteSerial(3)}) == AnswerCode::Applied);
    CHECK(w.state.routes().size() == 0);
}

TEST_CASE("A second load, of a snapshot, leaves nothing of before", "[R-4][R-8]") {
    const Destination shard = Destination::to_shard(ShardId(4));
    const auto route = [&shard](const char* filter, uint64_t serial) {
        return Route{filter, shard, mqtt::QoS::AtLeastOnce, false, RouteSerial(serial)};
    };
    Wildcards old;
    CHECK(old.apply(route("old/+", 1), 0, 5) == AnswerCode::Applied);
    CHECK(old.apply(route("both/+", 2), 0, 5) == AnswerCode::Applied);
    Wildcards sent;
    CHECK(sent.apply(route("both/+", 1), 0, 3) == AnswerCode::Applied);
    REQUIRE(old.state.load(sent.store).ok());
    CHECK(old.state.routes().size() == 1);
    CHECK(old.state.digest() == sent.state.digest());
}

TEST_CASE("Routes of a node that is down go in steps and do not come back", "[R-0]") {
    Wildcards w;
    const Incarnation node = make_incarnation(NodeId(2), 1);
    for (const char* filter : {"a/+", "b/+", "c/+"}) {
        w.apply(Route{filter, Destination::to_node(node), {}, false, RouteSerial(1)});
    }
    w.apply(NodeDown{node});
    CHECK(w.actions.work_left);
    CHECK(w.state.routes().size() == 1);
    w.apply(NodeDown{node});
    CHECK_FALSE(w.actions.work_left);
    CHECK(w.state.routes().size() == 0);
    CHECK(w.apply(Route{"a/+", Destination::to_node(node), {}, false, RouteSerial(2)}) ==
          AnswerCode::Fenced);
}

}  // namespace
}  // namespace quorate::cluster::testing
