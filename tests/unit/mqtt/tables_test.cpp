#include <map>
#include <random>
#include <set>
#include <vector>

#include "proto/mqtt/tables/paged_array.h"
#include "proto/mqtt/tables/stepped_table.h"
#include "tests/unit/catch.h"

namespace quorate::mqtt {
namespace {

struct Slot {
    static constexpr uint32_t kEighthsMax = 7;
    uint32_t key = 0;  // 0: free
    uint32_t value = 0;
    [[nodiscard]] bool free() const { return key == 0; }
};

uint32_t mixed(uint32_t key) {
    uint64_t hash = key * 0x9E3779B97F4A7C15U;
    hash = (hash ^ (hash >> 29)) * 0xBF58476D1CE4E5B9U;
    return static_cast<uint32_t>(hash >> 32);
}

struct Table {
    explicit Table(uint32_t (*hash)(uint32_t) = mixed) : hash_(hash) {}

    const Slot* find(uint32_t key) const {
        return table_.find(hash_(key), [key](const Slot& slot) { return slot.key == key; });
    }
    // How many slots had to be looked at to make room.
    uint32_t add(uint32_t key, uint32_t value) {
        uint32_t moved = 0;
        table_.add(hash_(key), {key, value}, [&](const Slot& slot) {
            ++moved;
            return hash_(slot.key);
        });
        return moved;
    }
    void erase(uint32_t key) {
        table_.erase(hash_(key), find(key), [&](const Slot& slot) { return hash_(slot.key); });
    }
    [[nodiscard]] std::size_t memory_bytes() const { return table_.memory_bytes(); }

  private:
    uint32_t (*hash_)(uint32_t);
    SteppedTable<Slot> table_;
};

TEST_CASE("no insertion into a table of a million moves more than a segment") {
    Table table;
    uint32_t most = 0;
    for (uint32_t key = 1; key <= 1'000'000; ++key)
        most = std::max(most, table.add(key, key * 2));
    CHECK(most > 0);
    CHECK(most <= 4096);
    for (uint32_t key = 1; key <= 1'000'000; key += 997) {
        REQUIRE(table.find(key) != nullptr);
        REQUIRE(table.find(key)->value == key * 2);
    }
    CHECK(table.find(1'000'001) == nullptr);
    CHECK(table.memory_bytes() < 1'000'000 * sizeof(Slot) * 3);
}

TEST_CASE("a stepped table agrees with std::map through random changes") {
    std::mt19937 random(5);
    Table table;
    std::map<uint32_t, uint32_t> model;
    for (int round = 0; round < 200'000; ++round) {
        // It grows, then shrinks, then grows again.
        const bool grows = round / 50'000 != 2;
        const auto key = static_cast<uint32_t>(1 + random() % 20'000);
        const auto known = model.find(key);
        REQUIRE((table.find(key) != nullptr) == (known != model.end()));
        if (known != model.end()) {
            REQUIRE(table.find(key)->value == known->second);
            if (!grows || random() % 4 == 0) {
                table.erase(key);
                model.erase(known);
            }
        } else if (grows || random() % 4 == 0) {
            const auto value = static_cast<uint32_t>(random());
            table.add(key, value);
            model[key] = value;
        }
    }
    for (uint32_t key = 1; key <= 20'000; ++key) {
        const auto known = model.find(key);
        REQUIRE((table.find(key) != nullptr) == (known != model.end()));
    }
}

TEST_CASE("hashes that are all equal make a table slow, and nothing worse") {
    Table table([](uint32_t) { return 7U; });
    for (uint32_t key = 1; key <= 5000; ++key)
        table.add(key, key);
    for (uint32_t key = 1; key <= 5000; key += 11) {
        REQUIRE(table.find(key)->value == key);
        table.erase(key);
        REQUIRE(table.find(key) == nullptr);
    }
    CHECK(table.find(2)->value == 2);
}

TEST_CASE("addresses in a paged array hold while it grows") {
    PagedArray<uint32_t> array;
    CHECK(array.size() == 0);
    std::vector<uint32_t*> addresses;
    for (uint32_t id = 0; id < 50'000; ++id) {
        array.push_back(id * 3);
        addresses.push_back(&array[id]);
    }
    CHECK(array.size() == 50'000);
    CHECK(std::set<uint32_t*>(addresses.begin(), addresses.end()).size() == 50'000);
    for (uint32_t id = 0; id < 50'000; ++id) {
        REQUIRE(&array[id] == addresses[id]);
        REQUIRE(array[id] == id * 3);
    }
    array.reach(60'000);
    CHECK(array.size() == 60'001);
    CHECK(array[60'000] == 0);
    CHECK(array.address(7) == addresses[7]);
}

}  // namespace
}  // namespace quorate::mqtt
