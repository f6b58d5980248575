#include "storage/rocks_engine.h"

#include <filesystem>
#include <fstream>
#include <memory>

#include <sys/stat.h>

#include <rocksdb/db.h>

#include "storage/keys.h"
#include "storage/rocks_state.h"
#include "tests/unit/catch.h"
#include "tests/unit/storage/temp_dir.h"

using namespace quorate;
using namespace quorate::storage;

namespace {

StorageOptions in(const std::string& dir) {
    StorageOptions options;
    options.data_dir = dir;
    return options;
}

void overwrite(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

}  // namespace

TEST_CASE("a data directory is made for its owner alone, with missing parents") {
    const quorate::test::TempDir dir;
    const std::string path = dir.path() + "/a/b/data";
    REQUIRE(RocksEngine::open(in(path)).ok());
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777U) == 0700U);
}

TEST_CASE("a data directory serves one process at a time") {
    const quorate::test::TempDir dir;
    const auto first = RocksEngine::open(in(dir.path()));
    REQUIRE(first.ok());
    const auto second = RocksEngine::open(in(dir.path()));
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().code == ErrorCode::Locked);
    CHECK(second.error().message.find("another process") != std::string::npos);
}

TEST_CASE("a format that is newer, damaged or missing is refused") {
    const quorate::test::TempDir dir;
    REQUIRE(RocksEngine::open(in(dir.path())).ok());
    const std::string format = dir.path() + "/FORMAT";
    overwrite(format, "quorate data directory\nformat 99\ncluster -\ncheck 00000000\n");
    const auto newer = RocksEngine::open(in(dir.path()));
    CHECK(newer.error().message.find("newer version") != std::string::npos);
    overwrite(format, "quorate data directory\nformat 1\ncluster -\ncheck 00000000\n");
    const auto older = RocksEngine::open(in(dir.path()));
    CHECK(older.error().message.find("earlier version") != std::string::npos);
    overwrite(format, "quorate data directory\nformat 2\ncluster other\ncheck 00000000\n");
    CHECK(RocksEngine::open(in(dir.path())).error().code == ErrorCode::Corrupt);
    overwrite(format, "");
    CHECK(RocksEngine::open(in(dir.path())).error().code == ErrorCode::Corrupt);
    std::filesystem::remove(format);
    CHECK(RocksEngine::open(in(dir.path())).error().message.find("missing") != std::string::npos);
}

TEST_CASE("a cluster id is set once and kept") {
    const quorate::test::TempDir dir;
    {
        auto engine = RocksEngine::open(in(dir.path()));
        REQUIRE(engine.ok());
        CHECK((*engine)->cluster_id().empty());
        CHECK_FALSE((*engine)->set_cluster_id("two\nlines").ok());
        REQUIRE((*engine)->set_cluster_id("c-1").ok());
        CHECK((*engine)->set_cluster_id("c-1").ok());
        CHECK_FALSE((*engine)->set_cluster_id("c-2").ok());
    }
    CHECK((*RocksEngine::open(in(dir.path())).value()).cluster_id() == "c-1");
}

TEST_CASE("a path that is no directory is an error with its name") {
    const quorate::test::TempDir dir;
    overwrite(dir.path() + "/file", "x");
    const auto engine = RocksEngine::open(in(dir.path() + "/file"));
    REQUIRE_FALSE(engine.ok());
    CHECK(engine.error().code == ErrorCode::Io);
    CHECK(engine.error().message.find("/file") != std::string::npos);
}

TEST_CASE("state of generations that the log does not name is removed at the start") {
    const quorate::test::TempDir dir;
    auto engine = RocksEngine::open(in(dir.path()));
    REQUIRE(engine.ok());
    LogBatch batch;
    REQUIRE((*engine)->log().load(GroupId(16)).ok());
    batch.meta(GroupId(16), GroupMeta{Generation(2), ReplicaId(1), {}, 0, ""});
    REQUIRE((*engine)->log().write({&batch, 1}, Durability::Synced).ok());
    StateBatch state;
    for (const auto& prefix :
         {state_prefix(GroupId(15), Generation(1)), state_prefix(GroupId(16), Generation(1)),
          state_prefix(GroupId(16), Generation(2)), state_prefix(GroupId(17), Generation(1)),
          state_prefix(GroupId(UINT32_MAX), Generation(1))}) {
        state.set_prefix(prefix);
        state.put("a", "1");
        state.put("b", "2");
    }
    REQUIRE((*engine)->state().write(state).ok());
    REQUIRE((*engine)->remove_unnamed_generations().ok());
    std::vector<std::string> kept;
    REQUIRE((*engine)
                ->state()
                .scan("", "",
                      [&](std::string_view key, std::string_view) {
                          kept.emplace_back(key);
                          return true;
                      })
                .ok());
    REQUIRE(kept.size() == 2);
    CHECK(kept[0] == state_prefix(GroupId(16), Generation(2)) + "a");
}

TEST_CASE("a damaged durable mark stops the start") {
    const quorate::test::TempDir dir;
    {
        auto engine = RocksEngine::open(in(dir.path()));
        REQUIRE(engine.ok());
        REQUIRE((*engine)->log().write_durable_mark().ok());
    }
    overwrite(dir.path() + "/DURABLE", "nonsense");
    const auto engine = RocksEngine::open(in(dir.path()));
    REQUIRE_FALSE(engine.ok());
    CHECK(engine.error().code == ErrorCode::Corrupt);
}

TEST_CASE("a stored record that fails its checksum is not handed out, and counted") {
    const quorate::test::TempDir dir;
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* db = nullptr;
    REQUIRE(rocksdb::DB::Open(options, dir.path(), &db).ok());
    REQUIRE(db->Put(rocksdb::WriteOptions(), "a", "no frame").ok());
    StorageCounts counts;
    const RocksStateStore store(std::unique_ptr<rocksdb::DB>(db), counts);
    std::string value;
    CHECK(store.get("a", value).error().code == ErrorCode::Corrupt);
    CHECK(counts.corrupt_records() == 1);
    CHECK_FALSE(store.cursor("", "")->status().ok());
    CHECK(counts.corrupt_records() == 2);
    CHECK(counts.errors(StorageOp::Read) == 0);
}
