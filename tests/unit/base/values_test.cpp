#include <array>
#include <memory>
#include <unordered_set>
#include <vector>

#include "proto/base/environment.h"
#include "proto/base/hash.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "proto/base/task.h"
#include "tests/unit/catch.h"

namespace quorate {
namespace {

// One bit at a time, as the polynomial says.
uint32_t slow_crc32c(std::string_view bytes) {
    uint32_t state = ~0U;
    for (const char c : bytes) {
        state ^= static_cast<uint8_t>(c);
        for (int bit = 0; bit < 8; ++bit)
            state = (state & 1U) != 0 ? (state >> 1) ^ 0x82F63B78U : state >> 1;
    }
    return ~state;
}

TEST_CASE("CRC-32C gives the values of RFC 3720, appendix B.4", "[hash]") {
    std::string ascending;
    for (int i = 0; i < 32; ++i)
        ascending.push_back(static_cast<char>(i));
    CHECK(crc32c("") == 0);
    CHECK(crc32c("123456789") == 0xE3069283U);
    CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAU);
    CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43U);
    CHECK(crc32c(ascending) == 0x46DD794EU);
    CHECK(crc32c(std::string(ascending.rbegin(), ascending.rend())) == 0x113FDB5CU);
}

TEST_CASE("CRC-32C of any length and cut into any two parts is the same", "[hash]") {
    Random random(11);
    std::string bytes(70, '\0');
    for (char& c : bytes)
        c = static_cast<char>(random.next());
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
        const std::string_view part = std::string_view(bytes).substr(0, size);
        REQUIRE(crc32c(part) == slow_crc32c(part));
        const std::size_t cut = random.below(size + 1);
        REQUIRE(crc32c(part.substr(cut), crc32c(part.substr(0, cut))) == crc32c(part));
    }
}

TEST_CASE("The placement hash never changes: it is part of stored data", "[hash]") {
    CHECK(hash64("") == 0x2D06800538D394C2ULL);
    CHECK(hash64("a", 0) == hash64("a"));
    CHECK(hash64("a", 1) != hash64("a"));
    for (const char* key : {"", "client", "a/b/c"}) {
        CHECK(shard_of(key, 1) == ShardId(0));
        CHECK(shard_of(key, 512).value() == hash64(key) % 512);
    }
}

TEST_CASE("Keys spread over all shards", "[hash]") {
    std::array<int, 16> hits{};
    for (int i = 0; i < 1600; ++i)
        ++hits[shard_of("device-" + std::to_string(i), 16).value()];
    for (const int count : hits) {
        CHECK(count > 50);
        CHECK(count < 200);
    }
}

TEST_CASE("An id is a number with a name of its own", "[ids]") {
    STATIC_REQUIRE_FALSE(std::is_convertible_v<uint32_t, ShardId>);
    STATIC_REQUIRE_FALSE(std::is_convertible_v<ShardId, uint32_t>);
    STATIC_REQUIRE_FALSE(std::is_constructible_v<ShardId, GroupId>);
    CHECK(ShardId() == ShardId(0));
    CHECK(LogIndex(3).next() == LogIndex(4));
    LogIndex index(7);
    CHECK(++index == LogIndex(8));
    CHECK(LogIndex(1) < LogIndex(2));
    CHECK(std::unordered_set<SessionId>{SessionId(1), SessionId(2), SessionId(1)}.size() == 2);
}

TEST_CASE("An incarnation names its node, and a later one of a node is larger", "[ids]") {
    const Incarnation first = make_incarnation(NodeId(0xFFFFFFFF), 1);
    CHECK(node_of(first) == NodeId(0xFFFFFFFF));
    CHECK(first < make_incarnation(NodeId(0xFFFFFFFF), 2));
    CHECK(node_of(make_incarnation(NodeId(3), 0xFFFFFFFF)) == NodeId(3));
}

TEST_CASE("A result is a value or an error", "[result]") {
    Result<std::unique_ptr<int>> good = std::make_unique<int>(5);
    REQUIRE(good.ok());
    CHECK(**good == 5);
    const std::unique_ptr<int> taken = std::move(good).value();
    CHECK(*taken == 5);

    const Result<std::string> bad = Error{ErrorCode::Corrupt, "key 7"};
    REQUIRE_FALSE(bad.ok());
    CHECK(bad.error().code == ErrorCode::Corrupt);
    CHECK(bad.error().message == "key 7");
    CHECK_FALSE(static_cast<bool>(bad));
}

TEST_CASE("A status is success unless it has an error", "[result]") {
    CHECK(Status().ok());
    const Status bad = Error{ErrorCode::Stale, "term 3"};
    REQUIRE_FALSE(bad.ok());
    CHECK(std::string(to_string(bad.error().code)) == "stale");
    CHECK(bad.error().message == "term 3");
}

// Counts how many of it are alive.
struct Counted {
    explicit Counted(int& alive) : alive_(&alive) { ++*alive_; }
    Counted(Counted&& other) noexcept : alive_(other.alive_) { ++*alive_; }
    Counted(const Counted& other) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --*alive_; }
    int* alive_;
};

TEST_CASE("A task owns what it was given and lets go of it once", "[task]") {
    int alive = 0;
    int ran = 0;
    {
        Task small([held = Counted(alive), &ran] { ++ran; });
        std::array<char, 200> bulk{};
        Task large([held = Counted(alive), bulk, &ran] { ran += 10 + bulk[0]; });
        CHECK(alive == 2);
        Task moved = std::move(small);
        CHECK_FALSE(static_cast<bool>(small));
        moved();
        moved();
        large();
        CHECK(ran == 12);
        moved = std::move(large);
        CHECK(alive == 1);
        moved();
        CHECK(ran == 22);
        moved = Task();
        CHECK(alive == 0);
    }
    CHECK(alive == 0);
}

TEST_CASE("A task may hold what can only be moved", "[task]") {
    auto number = std::make_unique<int>(4);
    int seen = 0;
    std::vector<Task> tasks;
    tasks.emplace_back([number = std::move(number), &seen] { seen = *number; });
    for (int i = 0; i < 20; ++i)
        tasks.emplace_back([] {});
    tasks.front()();
    CHECK(seen == 4);
}

TEST_CASE("A seeded generator repeats itself and stays below its bound", "[environment]") {
    Random first(3);
    Random second(3);
    for (int i = 0; i < 100; ++i) {
        CHECK(first.next() == second.next());
        CHECK(first.below(7) < 7);
        (void)second.below(7);
    }
    CHECK(first.chance(1, 1));
    CHECK_FALSE(first.chance(0, 5));
}

}  // namespace
}  // namespace quorate
