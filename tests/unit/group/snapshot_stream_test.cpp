#include "cluster/group/snapshot_stream.h"

#include "storage/memory_stores.h"
#include "tests/unit/catch.h"

using namespace quorate;
using cluster::SnapshotReader;
using cluster::SnapshotWriter;

namespace {

void put(storage::StateStore& store, const std::string& prefix, const std::string& key,
         const std::string& value) {
    storage::StateBatch batch;
    batch.set_prefix(prefix);
    batch.put(key, value);
    REQUIRE(store.write(batch).ok());
}

// All of a state as it is streamed.
std::string stream(const storage::StateStore& state, std::size_t chunk) {
    SnapshotReader reader(state);
    std::string out;
    while (!reader.done()) {
        const Result<SharedBytes> bytes = reader.next(chunk);
        REQUIRE(bytes.ok());
        CHECK(bytes->size() <= chunk);
        out += bytes->text();
    }
    CHECK(reader.offset() == out.size());
    return out;
}

}  // namespace

TEST_CASE("a state arrives whole, however it is cut, and takes the place of what was there") {
    storage::MemoryStateStore store;
    put(store, "old:", "a", "1");
    put(store, "old:", "b", std::string(1000, 'x'));
    put(store, "old:", std::string(1, '\0'), "");
    put(store, "new:", "left over", "of an earlier attempt");
    put(store, "nex", "t", "of somebody else");
    const storage::StateView state(store, "old:");
    for (const std::size_t chunk : {1U, 7U, 64U, 100'000U}) {
        const std::string bytes = stream(state, chunk);
        SnapshotWriter writer(store, "new:");
        for (std::size_t at = 0; at < bytes.size(); at += chunk) {
            CHECK_FALSE(writer.complete());
            REQUIRE(writer.add(std::string_view(bytes).substr(at, chunk)).ok());
        }
        CHECK(writer.complete());
        CHECK(stream(storage::StateView(store, "new:"), 50) == bytes);
        std::string value;
        CHECK(*store.get("next", value));
    }
}

TEST_CASE("a snapshot is that of the moment it was begun") {
    storage::MemoryStateStore store;
    put(store, "g", "a", "1");
    const storage::StateView state(store, "g");
    const std::string before = stream(state, 10);
    SnapshotReader reader(state);
    put(store, "g", "a", "2");
    put(store, "g", "b", "3");
    CHECK((*reader.next(1000)).text() == before);
    CHECK(reader.done());
}

TEST_CASE("no damaged stream is complete") {
    storage::MemoryStateStore store;
    put(store, "g", "key", "value");
    put(store, "g", "other", "thing");
    const std::string good = stream(storage::StateView(store, "g"), 100);
    for (std::size_t at = 0; at < good.size(); ++at) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 1);
        SnapshotWriter writer(store, "h");
        const Status added = writer.add(bad);
        CHECK_FALSE((added.ok() && writer.complete()));
    }
    SnapshotWriter more(store, "h");
    REQUIRE(more.add(good).ok());
    CHECK_FALSE(more.add("x").ok());
}
