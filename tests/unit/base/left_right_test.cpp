#include "proto/base/left_right.h"

#include <atomic>
#include <thread>
#include <vector>

#include "tests/unit/catch.h"

namespace quorate {
namespace {

// Both numbers are always equal to a reader that sees whole changes only.
struct Pair {
    uint64_t left = 0;
    uint64_t right = 0;
    void apply(const uint64_t& add) {
        left += add;
        right += add;
    }
};
using Tables = LeftRight<Pair, uint64_t>;

TEST_CASE("A staged change is seen by those that pin after its publish", "[left_right]") {
    int woken = 0;
    Tables tables(1, [&woken] { ++woken; });
    Tables::Reader reader(tables, 0);
    tables.stage(1);
    CHECK(tables.has_staged());
    CHECK(reader.pin().left == 0);
    const uint64_t before = reader.version();

    CHECK(tables.publish());
    CHECK_FALSE(tables.has_staged());
    CHECK(tables.newest().left == 1);
    CHECK(reader.pin().left == 0);
    CHECK(reader.version() == before);

    reader.unpin();
    CHECK(woken == 1);
    CHECK(reader.pin().left == 1);
    CHECK(reader.version() > before);
}

TEST_CASE("While a reader stays in the older copy nothing is shown and nothing else published",
          "[left_right]") {
    int woken = 0;
    Tables tables(2, [&woken] { ++woken; });
    Tables::Reader slow(tables, 0);
    Tables::Reader quick(tables, 1);
    CHECK(slow.pin().left == 0);
    tables.stage(1);
    CHECK(tables.publish());
    CHECK_FALSE(tables.reclaim());

    CHECK(quick.pin().left == 1);
    quick.unpin();
    CHECK(woken == 0);
    tables.stage(10);
    CHECK_FALSE(tables.publish());
    CHECK(tables.newest().left == 1);

    slow.unpin();
    CHECK(woken == 1);
    CHECK(tables.publish());
    CHECK(tables.reclaim());
    CHECK(slow.pin().left == 11);
    CHECK(slow.pin().right == 11);
}

TEST_CASE("Both copies are equal however changes are grouped", "[left_right]") {
    Tables tables(1, [] {});
    Tables::Reader reader(tables, 0);
    uint64_t sum = 0;
    for (uint64_t round = 1; round <= 50; ++round) {
        for (uint64_t op = 0; op < round % 4; ++op) {
            tables.stage(round);
            sum += round;
        }
        REQUIRE(tables.publish());
        REQUIRE(reader.pin().left == sum);
        REQUIRE(reader.pin().right == sum);
        reader.unpin();
    }
}

TEST_CASE("Unpinning twice, or without a pin, changes nothing", "[left_right]") {
    int woken = 0;
    Tables tables(1, [&woken] { ++woken; });
    Tables::Reader reader(tables, 0);
    reader.unpin();
    tables.stage(1);
    CHECK(tables.publish());
    CHECK(reader.pin().left == 1);
    reader.unpin();
    reader.unpin();
    CHECK(woken == 0);
}

TEST_CASE("Readers on threads see whole tables, never an older one, and all that was shown",
          "[left_right]") {
    constexpr std::size_t kReaders = 3;
    constexpr uint64_t kChanges = 2000;
    Tables tables(kReaders, [] {});
    std::atomic<uint64_t> shown{0};
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> torn{0};
    std::atomic<uint64_t> older{0};
    std::atomic<uint64_t> missed{0};

    const auto read = [&](std::size_t index) {
        Tables::Reader reader(tables, index);
        uint64_t last = 0;
        while (!stop.load(std::memory_order_acquire)) {
            const uint64_t floor = shown.load(std::memory_order_acquire);
            const Pair& first = reader.pin();
            const uint64_t left = first.left;
            if (left != first.right || left != reader.pin().left) ++torn;
            if (left < last) ++older;
            if (left < floor) ++missed;
            last = left;
            reader.unpin();
            std::this_thread::yield();
        }
    };
    std::vector<std::thread> threads;
    for (std::size_t index = 0; index < kReaders; ++index)
        threads.emplace_back(read, index);

    for (uint64_t change = 1; change <= kChanges; ++change) {
        tables.stage(1);
        while (!tables.publish())
            std::this_thread::yield();
        // Polls, so that this test does not depend on the wake-up.
        while (!tables.reclaim())
            std::this_thread::yield();
        shown.store(change, std::memory_order_release);
    }
    stop.store(true, std::memory_order_release);
    for (std::thread& thread : threads)
        thread.join();
    CHECK(torn == 0);
    CHECK(older == 0);
    CHECK(missed == 0);
    CHECK(tables.newest().left == kChanges);
}

}  // namespace
}  // namespace quorate
