#include "cluster/topics/retained_table.h"
#include "proto/base/environment.h"
#include "proto/mqtt/topic.h"
#include "storage/memory_stores.h"
#include "tests/unit/catch.h"

namespace quorate::cluster {
namespace {

struct Shard {
    RetainedTable table{RetainedTable::Limits{1000, 10'000}};
    storage::MemoryStateStore store;

    bool put(const std::string& topic, const std::string& payload, uint64_t now = 0,
             std::optional<uint32_t> expiry_s = {}) {
        mqtt::MessageView view;
        view.topic = topic;
        view.payload = payload;
        view.message_expiry_s = expiry_s;
        std::string bytes;
        mqtt::encode_message(bytes, view);
        storage::StateBatch batch;
        const bool kept = table.put(ClusterTime(now), bytes, view, batch);
        REQUIRE(store.write(batch).ok());
        return kept;
    }

    // All pages of a scan.
    std::vector<std::string> scan(const std::string& filter, uint32_t steps, uint64_t now = 0) {
        std::vector<std::string> out;
        std::string cursor;
        while (true) {
            const auto next = table.scan(filter, cursor, steps, ClusterTime(now), store,
                                         [&out](const mqtt::MessageView& message) {
                                             out.emplace_back(message.topic);
                                             return out.size() % 3 != 0;
                                         });
            REQUIRE(next.ok());
            if (!next->has_value()) return out;
            cursor = **next;
        }
    }
};

TEST_CASE("A paged scan gives each matching topic once, whatever the pages",
          "[MQTT-3.3.1-9][MQTT-4.7.2-1]") {
    Shard shard;
    Random random(11);
    const std::vector<std::string> words = {"a", "b", "c", "", "ab", "$SYS"};
    std::vector<std::string> topics;
    for (int i = 0; i < 150; ++i) {
        std::string topic = words[random.below(words.size())];
        for (uint64_t level = random.below(4); level > 0; --level) {
            topic += "/" + words[random.below(words.size() - 1)];
        }
        if (topic.empty()) continue;
        REQUIRE(shard.put(topic, "x"));
        topics.push_back(topic);
    }
    std::sort(topics.begin(), topics.end());
    topics.erase(std::unique(topics.begin(), topics.end()), topics.end());
    for (const char* filter :
         {"#", "a/#", "a", "+", "+/+", "a/+/c", "/#", "+/b/#", "$SYS/#", "ab/#", "a/b", "nope/#"}) {
        std::vector<std::string> expected;
        for (const std::string& topic : topics) {
            if (mqtt::filter_matches(filter, topic)) expected.push_back(topic);
        }
        for (const uint32_t steps : {1U, 7U, 1000U}) {
            INFO(filter << " " << steps);
            CHECK(shard.scan(filter, steps) == expected);
        }
    }
}

TEST_CASE("Expired messages are hidden at once and removed in bounded steps", "[G8]") {
    Shard shard;
    for (int i = 0; i < 5; ++i)
        shard.put("t/" + std::to_string(i), "x", 1000, 2);
    shard.put("t/keep", "x", 1000);
    CHECK(shard.table.next_expiry() == ClusterTime(3000));
    CHECK(shard.scan("t/#", 10, 2999).size() == 6);
    CHECK(shard.scan("t/#", 10, 3000).size() == 1);
    storage::StateBatch batch;
    CHECK(shard.table.purge(ClusterTime(2999), 10, batch) == 0);
    CHECK(shard.table.purge(ClusterTime(3000), 3, batch) == 3);
    CHECK(shard.table.purge(ClusterTime(3000), 3, batch) == 2);
    CHECK(shard.table.size() == 1);
    // A later message without expiry is not taken along.
    shard.put("t/0", "x", 1000, 1);
    shard.put("t/0", "y", 1500);
    CHECK_FALSE(shard.table.next_expiry().has_value());
}

TEST_CASE("A replacement may shrink at the limit but not grow beyond it") {
    Shard shard;
    CHECK(shard.put("big", std::string(9'000, 'x')));
    CHECK_FALSE(shard.put("more", std::string(2'000, 'x')));
    CHECK_FALSE(shard.put("big", std::string(11'000, 'x')));
    CHECK(shard.put("big", "small"));
    CHECK(shard.put("more", std::string(2'000, 'x')));
}

TEST_CASE("A damaged record stops the load and names the key") {
    RetainedTable table({10, 1000});
    const Status status = table.load_record("\x21t", "nonsense");
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().code == ErrorCode::Corrupt);
    CHECK(status.error().message.find("2174") != std::string::npos);
}

}  // namespace
}  // namespace quorate::cluster
