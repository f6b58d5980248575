#include "cluster/group/command_batch.h"

#include <string>

#include "cluster/group/group_ids.h"
#include "tests/unit/catch.h"

using namespace quorate;
using cluster::CommandBatch;
using cluster::CommandReader;

TEST_CASE("an entry gives back the commands of a turn in order, with the leader's time") {
    CommandBatch batch;
    batch.add("first");
    batch.add("");
    batch.add(std::string(70'000, 'x'));
    CHECK(batch.count() == 3);
    CHECK(batch.command_bytes() == 70'005);
    const SharedBytes data = batch.seal(ClusterTime(1234));
    CHECK(batch.empty());

    CommandReader reader(data.text());
    CHECK(reader.time() == ClusterTime(1234));
    CHECK(reader.count() == 3);
    CHECK(reader.next() == "first");
    CHECK(reader.next() == "");
    CHECK(reader.next() == std::string(70'000, 'x'));
    CHECK_FALSE(reader.next());
    CHECK(reader.finished());
}

TEST_CASE("a damaged entry is noticed at its end at the latest") {
    CommandBatch batch;
    batch.add("first");
    batch.add("second");
    const std::string data(batch.seal(ClusterTime(1)).text());
    for (std::size_t size = 0; size < data.size(); ++size) {
        CommandReader reader(std::string_view(data).substr(0, size));
        while (reader.next())
            continue;
        CHECK_FALSE(reader.finished());
    }
    CommandReader longer(data);
    const std::string with_tail = data + "x";
    CommandReader tail(with_tail);
    while (tail.next())
        continue;
    CHECK_FALSE(tail.finished());
}

TEST_CASE("a check of the state is no batch of commands, nor the other way round [R4]") {
    const cluster::StateDigest digest{LogIndex(8192), 0x0123456789ABCDEF};
    const SharedBytes data = cluster::encode_state_check(digest);
    CHECK(cluster::decode_state_check(data.text()) == digest);
    CHECK(CommandReader(data.text()).failed());
    CHECK_FALSE(cluster::decode_state_check(data.text().substr(1)));
    for (std::size_t size = 0; size < data.size(); ++size)
        CHECK_FALSE(cluster::decode_state_check(data.text().substr(0, size)));
    CommandBatch batch;
    batch.add("first");
    CHECK_FALSE(cluster::decode_state_check(batch.seal(ClusterTime(1)).text()));
}

TEST_CASE("group numbers of shards never meet those of the groups that exist once") {
    CHECK(cluster::group_of(ShardId(0)) == GroupId(16));
    CHECK(cluster::shard_of_group(cluster::group_of(ShardId(511))) == ShardId(511));
    CHECK_FALSE(cluster::shard_of_group(cluster::kMetaGroup));
    CHECK_FALSE(cluster::shard_of_group(cluster::kWildcardsGroup));
}
