#include "proto/mqtt/filter_tree.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/catch.h"

using namespace quorate::mqtt;

namespace {

std::vector<int> matches(const FilterTree<int>& tree, std::string_view topic) {
    std::vector<int> found;
    CHECK(tree.match(topic, [&found](const int& value) { found.push_back(value); }));
    return found;
}

std::string random_levels(std::mt19937& random, bool filter) {
    static const char* const kLevels[] = {"", "a", "b", "c", "$x", "longer level", "+", "+"};
    std::string text;
    const auto depth = 1 + random() % 5;
    for (uint_fast32_t i = 0; i < depth; ++i) {
        if (i > 0) text += '/';
        text += kLevels[random() % (filter ? 8 : 6)];
    }
    if (filter && random() % 4 == 0) text += "/#";
    if (filter && random() % 40 == 0) text = "#";
    return text.empty() ? "a" : text;
}

}  // namespace

TEST_CASE("a tree finds each filter under its own text and no other",
          "[MQTT-3.10.4-1][MQTT311-3.10.4-1]") {
    FilterTree<int> tree;
    const char* filters[] = {"a", "a/b", "a/+", "a/#", "+", "#", "+/+", "/", "/+", "+/b", "$SYS/#"};
    int next = 1;
    for (const char* filter : filters)
        tree.get_or_insert(filter) = next++;
    CHECK(tree.size() == std::size(filters));
    next = 1;
    for (const char* filter : filters) {
        REQUIRE(tree.find(filter) != nullptr);
        CHECK(*tree.find(filter) == next);
        CHECK(tree.get_or_insert(filter) == next++);
    }
    for (const char* absent : {"b", "a/", "+/#", "a/b/#", "A", "/#", "$SYS/+", "+/+/+"}) {
        CHECK(tree.find(absent) == nullptr);
        CHECK_FALSE(tree.erase(absent));
    }
    CHECK(tree.erase("a/+"));
    CHECK(tree.find("a/+") == nullptr);
    CHECK(tree.get_or_insert("a/+") == 0);
}

TEST_CASE("exact filters are found first, then # before + before literal levels") {
    FilterTree<int> tree;
    tree.get_or_insert("a/b") = 1;
    tree.get_or_insert("a/+") = 2;
    tree.get_or_insert("#") = 3;
    tree.get_or_insert("+/b") = 4;
    tree.get_or_insert("a/#") = 5;
    tree.get_or_insert("a/b/#") = 6;
    CHECK(matches(tree, "a/b") == std::vector<int>{1, 3, 4, 5, 2, 6});
}

TEST_CASE("wildcards at the first level do not see topics that begin with $",
          "[MQTT-4.7.2-1][MQTT311-4.7.2-1]") {
    FilterTree<int> tree;
    tree.get_or_insert("#") = 1;
    tree.get_or_insert("+/monitor/Clients") = 2;
    tree.get_or_insert("$SYS/#") = 3;
    tree.get_or_insert("$SYS/monitor/+") = 4;
    CHECK(matches(tree, "$SYS/monitor/Clients") == std::vector<int>{3, 4});
    CHECK(matches(tree, "sys/monitor/Clients") == std::vector<int>{1, 2});
    CHECK(matches(tree, "$SYS") == std::vector<int>{3});
}

TEST_CASE("the tree and the naive matcher agree through random changes",
          "[MQTT-4.7.1-1][MQTT-4.7.1-2][MQTT-4.7.3-4][MQTT311-4.7.1-2][MQTT311-4.7.1-3]"
          "[MQTT311-4.7.3-4]") {
    for (const uint64_t seed : {0U, 1U, 12345U}) {
        std::mt19937 random(static_cast<uint32_t>(seed + 31));
        FilterTree<int> tree(seed);
        std::map<std::string, int> model;
        for (int round = 0; round < 3000; ++round) {
            const std::string filter = random_levels(random, true);
            REQUIRE(valid_topic_filter(filter));
            if (random() % 2 == 0) {
                tree.get_or_insert(filter) = round;
                model[filter] = round;
            } else {
                REQUIRE(tree.erase(filter) == (model.erase(filter) == 1));
            }
            REQUIRE(tree.size() == model.size());
            const std::string topic = random_levels(random, false);
            std::vector<int> wanted;
            for (const auto& [text, value] : model) {
                if (filter_matches(text, topic)) wanted.push_back(value);
            }
            std::vector<int> found = matches(tree, topic);
            std::sort(found.begin(), found.end());
            std::sort(wanted.begin(), wanted.end());
            INFO(topic);
            REQUIRE(found == wanted);
        }
        std::map<std::string, int> seen;
        tree.for_each([&seen](std::string_view filter, const int& value) {
            seen.emplace(std::string(filter), value);
        });
        CHECK(seen == model);
        while (!model.empty()) {
            REQUIRE(tree.erase(model.begin()->first));
            model.erase(model.begin());
        }
        CHECK(tree.empty());
        CHECK(matches(tree, "a/b").empty());
    }
}

TEST_CASE("the order of matches does not depend on history or seed") {
    std::vector<std::string> filters;
    std::mt19937 random(41);
    for (int i = 0; i < 300; ++i)
        filters.push_back(random_levels(random, true));
    std::sort(filters.begin(), filters.end());
    filters.erase(std::unique(filters.begin(), filters.end()), filters.end());
    FilterTree<int> one(1);
    FilterTree<int> other(2);
    for (std::size_t i = 0; i < filters.size(); ++i)
        one.get_or_insert(filters[i]) = static_cast<int>(i);
    for (std::size_t i = filters.size(); i-- > 0;) {
        other.get_or_insert("noise/+/" + filters[i]);
        other.get_or_insert(filters[i]) = static_cast<int>(i);
    }
    for (int i = 0; i < 1000; ++i) {
        const std::string topic = random_levels(random, false);
        REQUIRE(matches(one, topic) == matches(other, topic));
    }
}

TEST_CASE("a search that would visit too many nodes says so") {
    FilterTree<int> tree;
    // "+/+/+..." against "a/a/a...": 2^depth paths.
    std::vector<std::string> filters = {""};
    for (int depth = 0; depth < 10; ++depth) {
        std::vector<std::string> longer;
        for (const std::string& filter : filters) {
            longer.push_back(filter.empty() ? "+" : filter + "/+");
            longer.push_back(filter.empty() ? "a" : filter + "/a");
        }
        filters = longer;
    }
    for (const std::string& filter : filters)
        tree.get_or_insert(filter) = 1;
    const std::string topic = "a/a/a/a/a/a/a/a/a/a";
    int found = 0;
    const auto count = [&found](const int& value) { found += value; };
    CHECK(tree.match(topic, count));
    CHECK(found == 1024);
    found = 0;
    CHECK_FALSE(tree.match(topic, count, 100));
    CHECK(found < 100);
    // The root and 2^1 + ... + 2^9 nodes below it; the 2^10 ends of filters are no nodes.
    CHECK(tree.match(topic, count, 1023));
    CHECK_FALSE(tree.match(topic, count, 1022));
}

TEST_CASE("topics of more than 64 levels are walked like others") {
    FilterTree<int> tree;
    std::string topic = "a";
    std::string plus = "+";
    for (int i = 0; i < 5000; ++i) {
        topic += "/a";
        plus += "/+";
    }
    tree.get_or_insert(plus) = 1;
    tree.get_or_insert(topic + "/#") = 2;
    tree.get_or_insert("a/+/#") = 3;
    tree.get_or_insert(topic) = 4;
    std::vector<int> found = matches(tree, topic);
    std::sort(found.begin(), found.end());
    CHECK(found == std::vector<int>{1, 2, 3, 4});
    CHECK(tree.erase(topic + "/#"));
    CHECK(tree.erase(plus));
    CHECK(tree.find("a/+/#") != nullptr);
}

TEST_CASE("values stay where they are while the tree grows, and are destroyed when erased") {
    struct Value {
        std::vector<int> content;
    };
    FilterTree<Value> tree;
    Value& first = tree.get_or_insert("first/+");
    first.content = {1, 2, 3};
    Value& exact = tree.get_or_insert("first/exact");
    for (int i = 0; i < 5000; ++i) {
        tree.get_or_insert("x/" + std::to_string(i));
        tree.get_or_insert("+/" + std::to_string(i));
    }
    CHECK(tree.find("first/+") == &first);
    CHECK(tree.find("first/exact") == &exact);
    CHECK(first.content.size() == 3);
    CHECK(tree.erase("first/+"));
    CHECK(first.content.capacity() == 0);
    tree.match("x/77", [](Value& value) { value.content.push_back(9); });
    CHECK(tree.find("x/77")->content.size() == 1);
    CHECK(tree.find("+/77")->content.size() == 1);
}

TEST_CASE("a filter that others go on from is found as before, and after they are gone") {
    const char* const paths[][3] = {
        {"+/a", "+/a/#", "+/a/b"}, {"x/+", "x/+/#", "x/+/+/y"}, {"+/#", "+", "+/a"}};
    for (const auto& [first, second, third] : paths) {
        FilterTree<int> tree;
        tree.get_or_insert(first) = 1;
        tree.get_or_insert(second) = 2;
        tree.get_or_insert(third) = 3;
        for (const char* topic : {"x", "x/a", "x/a/b", "x/a/b/y", "x/b/y", "y/b/y"}) {
            std::vector<int> wanted;
            int number = 0;
            for (const char* filter : {first, second, third}) {
                ++number;
                if (filter_matches(filter, topic)) wanted.push_back(number);
            }
            std::vector<int> found = matches(tree, topic);
            std::sort(found.begin(), found.end());
            INFO(first << " " << topic);
            CHECK(found == wanted);
        }
        CHECK(tree.erase(third));
        CHECK(tree.erase(second));
        REQUIRE(tree.find(first) != nullptr);
        CHECK(*tree.find(first) == 1);
        tree.for_each([&first = first](std::string_view filter, int&) { CHECK(filter == first); });
        CHECK(tree.erase(first));
        CHECK(tree.empty());
    }
}

TEST_CASE("nodes, levels and numbers of erased filters are used again") {
    FilterTree<int> tree;
    const auto churn = [&tree](int rounds) {
        for (int i = 0; i < rounds; ++i) {
            const std::string id = std::to_string(i % 1000);
            tree.get_or_insert("a/+/device" + id + "/#");
            tree.get_or_insert("b/device" + id);
            REQUIRE(tree.erase("a/+/device" + id + "/#"));
            REQUIRE(tree.erase("b/device" + id));
        }
    };
    churn(2000);
    const std::size_t bytes = tree.memory_bytes();
    churn(20000);
    CHECK(tree.memory_bytes() == bytes);
}

TEST_CASE("a tree can be emptied and an empty one is small") {
    FilterTree<int> tree;
    CHECK(tree.memory_bytes() < 256);
    tree.get_or_insert("a/+") = 1;
    tree.get_or_insert("a/b") = 2;
    tree.clear();
    CHECK(tree.empty());
    CHECK(matches(tree, "a/b").empty());
    tree.get_or_insert("a/+") = 3;
    CHECK(matches(tree, "a/b") == std::vector<int>{3});
}

TEST_CASE("an exact filter costs at most 100 bytes besides its value") {
    FilterTree<uint64_t> tree;
    for (uint64_t i = 0; i < 50'000; ++i) {
        tree.get_or_insert("bench/site" + std::to_string(i % 100) + "/device" + std::to_string(i)) =
            i;
    }
    CHECK(tree.memory_bytes() / 50'000 <= 100 + sizeof(uint64_t));
}
