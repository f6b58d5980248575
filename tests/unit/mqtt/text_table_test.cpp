#include "proto/mqtt/text_table.h"

#include <map>
#include <random>
#include <string>

#include "tests/unit/catch.h"

using namespace quorate::mqtt;

TEST_CASE("equal texts have one number, and numbers of erased texts come again") {
    TextTable table;
    CHECK(table.find("a") == TextTable::kNone);
    CHECK(table.erase("a") == TextTable::kNone);
    const auto a = table.insert("a");
    const auto b = table.insert("");
    CHECK(a.fresh);
    CHECK(a.id != b.id);
    CHECK_FALSE(table.insert("a").fresh);
    CHECK(table.find("") == b.id);
    CHECK(table.text(a.id) == "a");
    CHECK(table.text(b.id).empty());
    CHECK(table.erase("a") == a.id);
    CHECK_FALSE(table.in_use(a.id));
    CHECK(table.find("a") == TextTable::kNone);
    CHECK(table.insert("c").id == a.id);
    CHECK(table.size() == 2);
    CHECK(table.id_limit() == 2);
}

TEST_CASE("the table agrees with std::map through random changes") {
    std::mt19937 random(23);
    TextTable table(99);
    std::map<std::string, uint32_t> model;
    const auto random_text = [&random] {
        const auto kind = random() % 100;
        const std::size_t size = kind < 90 ? random() % 20 : kind < 99 ? random() % 700 : 65'000;
        std::string text(size, 'x');
        if (size > 0) text[random() % size] = static_cast<char>('a' + random() % 26);
        if (size > 4) text[size / 2] = static_cast<char>('a' + random() % 26);
        return text;
    };
    for (int round = 0; round < 30000; ++round) {
        const std::string text = random_text();
        const auto known = model.find(text);
        switch (random() % 3) {
            case 0: {
                const auto inserted = table.insert(text);
                REQUIRE(inserted.fresh == (known == model.end()));
                if (known != model.end()) REQUIRE(inserted.id == known->second);
                model[text] = inserted.id;
                break;
            }
            case 1:
                REQUIRE(table.erase(text) ==
                        (known == model.end() ? TextTable::kNone : known->second));
                model.erase(text);
                break;
            default:
                REQUIRE(table.find(text) ==
                        (known == model.end() ? TextTable::kNone : known->second));
        }
        REQUIRE(table.size() == model.size());
    }
    for (const auto& [text, id] : model) {
        REQUIRE(table.find(text) == id);
        REQUIRE(table.text(id) == text);
    }
}

TEST_CASE("space of erased texts is used again") {
    TextTable table;
    const auto churn = [&table](std::size_t rounds) {
        for (std::size_t i = 0; i < rounds; ++i) {
            const std::string text =
                "filter/" + std::to_string(i % 1000) + std::string(i % 300, 'y');
            table.insert(text);
            REQUIRE(table.erase(text) != TextTable::kNone);
        }
    };
    churn(3000);
    const std::size_t bytes = table.memory_bytes();
    churn(30000);
    CHECK(table.memory_bytes() == bytes);
    CHECK(table.size() == 0);
}

TEST_CASE("a text costs at most 40 bytes besides its own") {
    TextTable table;
    std::size_t text_bytes = 0;
    for (int i = 0; i < 50000; ++i) {
        const std::string text = "bench/site/device" + std::to_string(i) + "/state";
        table.insert(text);
        text_bytes += text.size();
    }
    CHECK((table.memory_bytes() - text_bytes) / 50000 <= 40);
}
