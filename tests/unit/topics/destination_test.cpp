#include "cluster/topics/destination.h"

#include "cluster/topics/state_key.h"
#include "proto/mqtt/topic.h"
#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

TEST_CASE("A filter belongs to the shard of every topic it can match, or to none", "[R-4]") {
    const std::vector<std::string> topics = {"a",    "a/b", "a/b/c", "a/b/c/d", "x/b/c",
                                             "a//c", "/a",  "a/",    "$SYS/a",  "a/x/c/d"};
    const std::vector<std::string> filters = {"a",       "a/b",  "a/b/c", "a/#",     "a/b/#",
                                              "a/+/c",   "#",    "+/b",   "a/b/+",   "a/b/+/d",
                                              "a/b/c/#", "a//#", "/#",    "a/b/c/d", "a/+"};
    for (const uint32_t levels : {0U, 1U, 2U, 3U}) {
        const ShardLayout layout{512, levels};
        for (const std::string& filter : filters) {
            const auto owner = shard_of_filter(filter, layout);
            if (!mqtt::has_wildcard(filter)) CHECK(owner.has_value());
            for (const std::string& topic : topics) {
                if (!owner || !mqtt::filter_matches(filter, topic)) continue;
                INFO(filter << " " << topic << " L=" << levels);
                CHECK(*owner == shard_of_topic(topic, layout));
            }
        }
    }
    CHECK(shard_of_filter("cmd/7/#", {64, 2}).has_value());
    CHECK_FALSE(shard_of_filter("cmd/#", {64, 2}).has_value());
    CHECK_FALSE(shard_of_filter("cmd/7/#", {64, 0}).has_value());
}

TEST_CASE("A shared filter is a group and its filter") {
    CHECK(shared_group_of("$share/g/a/b") == std::optional<std::string_view>("g/a/b"));
    CHECK_FALSE(shared_group_of("share/g/a").has_value());
    CHECK(filter_of_group("g/a/b") == "a/b");
    CHECK(filter_of_group("g").empty());
}

TEST_CASE("Every destination is read as it was written") {
    const ConnectionRef connection{make_incarnation(NodeId(2), 3), LoopId(1), 4, 5};
    const std::vector<Destination> all = {
        Destination::to_shard(ShardId(1)), Destination::to_node(connection.incarnation),
        Destination::to_group(ShardId(2), "g/f"), Destination::to_session(ShardId(3), SessionId(4)),
        Destination::to_connection(connection)};
    for (const Destination& destination : all) {
        std::string bytes;
        RecordWriter out(bytes);
        destination.write(out);
        RecordReader in(bytes);
        CHECK(Destination::read(in) == destination);
        CHECK(in.finished());
    }
    RecordReader bad("\x09");
    (void)Destination::read(bad);
    CHECK(bad.failed());
}

TEST_CASE("Keys sort by their numbers and may be of any length") {
    CHECK(StateKey(Family::Entry).u64(1).u64(255).view() <
          StateKey(Family::Entry).u64(1).u64(256).view());
    CHECK(StateKey(Family::Entry).u64(1).u64(~0ULL).view() <
          StateKey(Family::Entry).u64(2).u64(0).view());
    const std::string text(5000, 'x');
    const StateKey key = StateKey(Family::Subscription).u64(1).last_text(text);
    CHECK(key.view().size() == 9 + text.size());
    CHECK(key.view() < family_end(Family::Subscription));
    const StateKey after = StateKey(Family::Route).sized_text("ab").u64(7);
    CHECK(after.view().size() == 1 + 4 + 2 + 8);
}

}  // namespace
}  // namespace quorate::cluster
