#include "storage/wal_tail.h"

#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "storage/rocks_engine.h"
#include "tests/unit/catch.h"
#include "tests/unit/rounds.h"
#include "tests/unit/storage/temp_dir.h"

using namespace quorate;
using namespace quorate::storage;

namespace {

struct Written {
    std::string bytes;
    std::vector<std::size_t> ends;  // of each write
};

std::string newest_log(const std::string& dir) {
    std::string newest;
    for (const auto& file : std::filesystem::directory_iterator(dir)) {
        if (file.path().extension() == ".log" && file.path().string() > newest) {
            newest = file.path().string();
        }
    }
    return newest;
}

std::string content(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// What RocksDB wrote for some batches of very different sizes.
Written write_some(const std::string& dir) {
    StorageOptions options;
    options.data_dir = dir;
    auto engine = RocksEngine::open(options);
    REQUIRE(engine.ok());
    LogStore& log = (*engine)->log();
    REQUIRE(log.load(GroupId(16)).ok());
    Written written;
    const std::vector<std::size_t> sizes = {10, 40'000, 300, 32'700, 5, 100'000, 1};
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        LogBatch batch;
        if (i == 0) {
            batch.meta(GroupId(16), GroupMeta{Generation(1), ReplicaId(1), {}, 0, ""});
            batch.hard_state(GroupId(16), HardState{Term(1), ReplicaId(1), LogIndex(0)});
        }
        batch.append(GroupId(16), EntryId{LogIndex(i + 1), Term(1)}, 1,
                     SharedBytes(as_bytes(std::string(sizes[i], static_cast<char>('a' + i)))));
        REQUIRE(log.write({&batch, 1}, Durability::Synced).ok());
        written.ends.push_back(content(newest_log(dir + "/log")).size());
    }
    written.bytes = content(newest_log(dir + "/log"));
    return written;
}

}  // namespace

TEST_CASE("a whole log is whole, and one that was cut anywhere ends with its last whole write") {
    const quorate::test::TempDir dir;
    const Written written = write_some(dir.path());
    CHECK(inspect_wal(written.bytes).end == WalEnd::Whole);
    CHECK(inspect_wal("").end == WalEnd::Whole);
    for (std::size_t size = 0; size < written.bytes.size(); size += 97) {
        const WalTail tail = inspect_wal(std::string_view(written.bytes).substr(0, size));
        std::size_t expected = 0;
        for (const std::size_t end : written.ends) {
            if (end <= size) expected = end;
        }
        INFO("size " << size);
        CHECK(tail.end != WalEnd::Damaged);
        // Up to six bytes at the end of a block belong to nobody.
        CHECK(tail.whole_bytes >= expected);
        CHECK(tail.whole_bytes < expected + 7);
    }
}

TEST_CASE("a bit that fell over is damage when a later write is readable, else a torn end") {
    const quorate::test::TempDir dir;
    const Written written = write_some(dir.path());
    const std::size_t last_begin = written.ends[written.ends.size() - 2];
    for (std::size_t at = 0; at < written.bytes.size(); at += 61) {
        std::string damaged = written.bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
        const WalTail tail = inspect_wal(damaged);
        INFO("byte " << at);
        if (at >= last_begin) {
            CHECK(tail.end == WalEnd::Torn);
            CHECK(tail.whole_bytes == last_begin);
        } else {
            CHECK(tail.end != WalEnd::Whole);
            if (at + 7 < last_begin) CHECK(tail.end == WalEnd::Damaged);
        }
    }
}

TEST_CASE("zeros behind the log are a torn end") {
    const quorate::test::TempDir dir;
    const Written written = write_some(dir.path());
    const WalTail tail = inspect_wal(written.bytes + std::string(5000, '\0'));
    CHECK(tail.end == WalEnd::Torn);
    CHECK(tail.whole_bytes == written.bytes.size());
}

TEST_CASE("a torn end of bytes that all seem to head long records is judged in linear time") {
    // Every third byte heads a record of 16,129 bytes: summed one by one, 90 GB.
    std::string bytes;
    while (bytes.size() < quorate::test::rounds(32U << 20))
        bytes += "\x01\x01\x3F";
    const std::clock_t started = std::clock();
    const WalTail tail = inspect_wal(bytes);
    CHECK(tail.end == WalEnd::Torn);
    CHECK(tail.whole_bytes == 0);
    CHECK((std::clock() - started) / CLOCKS_PER_SEC < 5);
}

TEST_CASE("a node starts over a torn end and refuses a damaged log") {
    const quorate::test::TempDir dir;
    const Written written = write_some(dir.path());
    const std::string path = newest_log(dir.path() + "/log");
    StorageOptions options;
    options.data_dir = dir.path();

    std::string torn = written.bytes;
    torn[written.ends[5] - 50'000] = 'X';  // the last but one, with the last one lost
    std::ofstream(path, std::ios::binary) << torn.substr(0, written.ends[5]);
    {
        auto engine = RocksEngine::open(options);
        INFO((engine.ok() ? "" : engine.error().message));
        REQUIRE(engine.ok());
        CHECK((*engine)->log().load(GroupId(16)).value().last.index == LogIndex(5));
    }
}

TEST_CASE("damage below what was synced later stops the start with a clear text") {
    const quorate::test::TempDir dir;
    const Written written = write_some(dir.path());
    const std::string path = newest_log(dir.path() + "/log");
    std::string damaged = written.bytes;
    damaged[written.ends[1] + 100] = 'X';
    std::ofstream(path, std::ios::binary) << damaged;
    StorageOptions options;
    options.data_dir = dir.path();
    const auto engine = RocksEngine::open(options);
    REQUIRE_FALSE(engine.ok());
    CHECK(engine.error().code == ErrorCode::Corrupt);
    CHECK(engine.error().message.find("damaged at byte") != std::string::npos);
    // The weaker mode starts with what is left; the durable mark then says whether that is enough.
    options.log_sync_interval = true;
    CHECK(RocksEngine::open(options).ok());
}
