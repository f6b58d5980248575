#include "storage/state_store.h"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "storage/keys.h"
#include "storage/memory_stores.h"
#include "storage/rocks_engine.h"
#include "tests/unit/catch.h"
#include "tests/unit/storage/temp_dir.h"

using namespace quorate;
using namespace quorate::storage;

namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs all(const StateStore& store, std::string_view from = "", std::string_view to = "") {
    Pairs pairs;
    REQUIRE(store
                .scan(from, to,
                      [&](std::string_view key, std::string_view value) {
                          pairs.emplace_back(key, value);
                          return true;
                      })
                .ok());
    return pairs;
}

// Runs a test on both stores.
void on_each_store(const std::function<void(StateStore&)>& test) {
    SECTION("memory") {
        MemoryStateStore store;
        test(store);
    }
    SECTION("RocksDB") {
        const quorate::test::TempDir dir;
        StorageOptions options;
        options.data_dir = dir.path() + "/data";
        auto engine = RocksEngine::open(options);
        REQUIRE(engine.ok());
        test((*engine)->state());
    }
}

}  // namespace

TEST_CASE("a batch gives back its changes in order") {
    StateBatch batch;
    batch.set_prefix("p/");
    batch.put("a", "1");
    const std::vector<std::string_view> parts = {"2", "", "3"};
    batch.put_parts("b", parts);
    batch.put_with("c", [](RecordWriter& writer) { writer.u16(0x3434); });
    batch.remove("d");
    batch.remove_range("e", "f");
    batch.remove_range("g", "");
    CHECK(batch.count() == 6);
    std::vector<std::string> seen;
    batch.for_each([&](const StateChange& change) {
        seen.push_back(std::to_string(static_cast<int>(change.op)) + std::string(change.key) + "=" +
                       std::string(change.value));
    });
    CHECK(seen ==
          std::vector<std::string>{"0p/a=1", "0p/b=23", "0p/c=44", "1p/d=", "2p/e=p/f", "2p/g=p0"});
    const StateBatch::Mark mark = batch.mark();
    batch.put("z", "9");
    batch.rollback(mark);
    CHECK(batch.count() == 6);
    batch.clear();
    CHECK(batch.empty());
    CHECK(batch.prefix() == "p/");
}

TEST_CASE("equal changes have one hash under any prefix, others have others", "[R4]") {
    const auto digest = [](const char* prefix, const std::function<void(StateBatch&)>& change) {
        StateBatch batch;
        batch.set_prefix("before");
        batch.put("not", "counted");
        const StateBatch::Mark mark = batch.mark();
        batch.set_prefix(prefix);
        change(batch);
        return batch.digest(mark, 7);
    };
    const auto all = [](StateBatch& batch) {
        batch.put("a", "1");
        batch.remove("b");
        batch.remove_range("c", "d");
        batch.remove_range("e", {});
    };
    CHECK(digest("p1", all) == digest("another", all));
    CHECK(digest("p1", [](StateBatch&) {}) == 7);
    std::set<uint64_t> digests = {digest("p", all)};
    digests.insert(digest("p", [](StateBatch& batch) { batch.put("a", "1"); }));
    digests.insert(digest("p", [](StateBatch& batch) { batch.put("a", "2"); }));
    digests.insert(digest("p", [](StateBatch& batch) { batch.put("a1", ""); }));
    digests.insert(digest("p", [](StateBatch& batch) { batch.put("", "a1"); }));
    digests.insert(digest("p", [](StateBatch& batch) { batch.remove("a"); }));
    digests.insert(digest("p", [](StateBatch& batch) { batch.remove_range("a", "1"); }));
    digests.insert(digest("p", [](StateBatch& batch) { batch.remove_range("a", {}); }));
    CHECK(digests.size() == 8);
}

TEST_CASE("what a batch wrote is read, scanned and removed in key order") {
    on_each_store([](StateStore& store) {
        StateBatch batch;
        batch.put("b", "2");
        batch.put("a", "1");
        batch.put("c", std::string(100'000, 'c'));
        batch.put("b", "two");
        REQUIRE(store.write(batch).ok());
        std::string value;
        CHECK(store.get("b", value).value());
        CHECK(value == "two");
        CHECK_FALSE(store.get("bb", value).value());
        CHECK(all(store).size() == 3);
        CHECK(all(store, "b") == Pairs{{"b", "two"}, {"c", std::string(100'000, 'c')}});
        CHECK(all(store, "a", "b") == Pairs{{"a", "1"}});

        batch.clear();
        batch.remove("a");
        batch.put("d", "4");
        batch.remove_range("c", "d");
        REQUIRE(store.write(batch).ok());
        CHECK(all(store) == Pairs{{"b", "two"}, {"d", "4"}});
        CHECK(store.flush().ok());
        CHECK(all(store) == Pairs{{"b", "two"}, {"d", "4"}});
    });
}

TEST_CASE("a cursor shows the moment it was made and stays in its range") {
    on_each_store([](StateStore& store) {
        StateBatch batch;
        for (char c = 'a'; c <= 'f'; ++c) {
            batch.put(std::string(1, c), "v");
        }
        REQUIRE(store.write(batch).ok());
        const auto cursor = store.cursor("b", "e");
        batch.clear();
        batch.remove_range("a", "z");
        REQUIRE(store.write(batch).ok());
        std::string seen;
        for (; cursor->valid(); cursor->next()) {
            seen += cursor->key();
        }
        CHECK(seen == "bcd");
        CHECK(cursor->status().ok());
        cursor->seek("a");
        REQUIRE(cursor->valid());
        CHECK(cursor->key() == "b");
        cursor->seek("d");
        CHECK(cursor->key() == "d");
        CHECK(all(store).empty());
    });
}

TEST_CASE("a view shows one group's keys without their prefix and hides the others'") {
    on_each_store([](StateStore& store) {
        const std::string mine = state_prefix(GroupId(16), Generation(1));
        StateBatch batch;
        for (const auto& prefix : {state_prefix(GroupId(15), Generation(9)), mine,
                                   state_prefix(GroupId(16), Generation(2)),
                                   state_prefix(GroupId(UINT32_MAX), Generation(1))}) {
            batch.set_prefix(prefix);
            batch.put("key", prefix);
        }
        REQUIRE(store.write(batch).ok());
        StateView view(store, mine);
        CHECK(all(view) == Pairs{{"key", mine}});
        std::string value;
        CHECK(view.get("key", value).value());
        CHECK(value == mine);
        const auto cursor = view.cursor("", "");
        cursor->seek("key");
        CHECK(cursor->key() == "key");

        batch.clear();
        batch.set_prefix(mine);
        batch.remove_range("", "");
        REQUIRE(view.write(batch).ok());
        CHECK(all(view).empty());
        CHECK(all(store).size() == 3);
        StateView last(store, state_prefix(GroupId(UINT32_MAX), Generation(1)));
        CHECK(all(last).size() == 1);
    });
}

TEST_CASE("a damaged value is reported as corrupt and never handed out") {
    MemoryStateStore store;
    StateBatch batch;
    batch.put("a", "value");
    REQUIRE(store.write(batch).ok());
    Random random(1);
    store.flip_bit(random);
    std::string value = "untouched";
    CHECK(store.get("a", value).error().code == ErrorCode::Corrupt);
    CHECK(value == "untouched");
    const auto cursor = store.cursor("", "");
    CHECK_FALSE(cursor->valid());
    CHECK(cursor->status().error().code == ErrorCode::Corrupt);
    CHECK(store.scan("", "", [](auto, auto) { return true; }).error().code == ErrorCode::Corrupt);
}
