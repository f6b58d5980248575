#include "proto/mqtt/topic.h"

#include <string>
#include <vector>

#include "tests/unit/catch.h"

using namespace quorate::mqtt;

TEST_CASE("a topic name has no wildcards", "[MQTT-4.7.0-1][MQTT-3.3.2-2][MQTT311-4.7.1-1]") {
    CHECK(valid_topic_name("a"));
    CHECK(valid_topic_name("/"));
    CHECK(valid_topic_name("//a//"));
    CHECK(valid_topic_name("$SYS/broker"));
    CHECK(valid_topic_name("with space/ä"));
    CHECK_FALSE(valid_topic_name("a/+"));
    CHECK_FALSE(valid_topic_name("+"));
    CHECK_FALSE(valid_topic_name("#"));
    CHECK_FALSE(valid_topic_name("a+b"));
    CHECK_FALSE(valid_topic_name("a/#"));
}

TEST_CASE("names and filters have one character or more", "[MQTT-4.7.3-1][MQTT311-4.7.3-1]") {
    CHECK_FALSE(valid_topic_name(""));
    CHECK_FALSE(valid_topic_filter(""));
}

TEST_CASE("names and filters have no U+0000", "[MQTT-4.7.3-2][MQTT311-4.7.3-2]") {
    CHECK_FALSE(valid_topic_name(std::string_view("a\0b", 3)));
    CHECK_FALSE(valid_topic_filter(std::string_view("a/\0", 3)));
    CHECK_FALSE(valid_topic_name("a\xFF"));
    CHECK_FALSE(valid_topic_filter("+/\xC3"));
}

TEST_CASE("names and filters have at most 65,535 bytes", "[MQTT-4.7.3-3][MQTT311-4.7.3-3]") {
    CHECK(valid_topic_name(std::string(65'535, 'a')));
    CHECK_FALSE(valid_topic_name(std::string(65'536, 'a')));
    CHECK(valid_topic_filter(std::string(65'535, '/')));
    CHECK_FALSE(valid_topic_filter(std::string(65'536, '/')));
    CHECK_FALSE(parse_filter("$share/g/" + std::string(65'535, 'a')).has_value());
}

TEST_CASE("# is the whole last level", "[MQTT-4.7.1-1][MQTT311-4.7.1-2]") {
    CHECK(valid_topic_filter("#"));
    CHECK(valid_topic_filter("/#"));
    CHECK(valid_topic_filter("a/b/#"));
    CHECK_FALSE(valid_topic_filter("a#"));
    CHECK_FALSE(valid_topic_filter("a/b#"));
    CHECK_FALSE(valid_topic_filter("#/a"));
    CHECK_FALSE(valid_topic_filter("a/#/b"));
    CHECK_FALSE(valid_topic_filter("##"));
    CHECK_FALSE(valid_topic_filter("#/"));
}

TEST_CASE("+ is a whole level", "[MQTT-4.7.1-2][MQTT311-4.7.1-3]") {
    CHECK(valid_topic_filter("+"));
    CHECK(valid_topic_filter("+/+/+"));
    CHECK(valid_topic_filter("/+"));
    CHECK(valid_topic_filter("a/+/b/#"));
    CHECK_FALSE(valid_topic_filter("a+"));
    CHECK_FALSE(valid_topic_filter("+a/b"));
    CHECK_FALSE(valid_topic_filter("a/++"));
    CHECK_FALSE(valid_topic_filter("+#"));
}

TEST_CASE("a shared filter is $share/, a name, a slash and a filter",
          "[MQTT-4.8.2-1][MQTT-4.8.2-2]") {
    struct Row {
        const char* text;
        bool valid;
        const char* name;
        const char* filter;
    };
    const Row rows[] = {
        {"$share/group/a/b", true, "group", "a/b"},
        {"$share/g/#", true, "g", "#"},
        {"$share/g//", true, "g", "/"},
        {"$share/$share/$share/x", true, "$share", "$share/x"},
        {"$share/gr\xC3\xBC/+", true, "gr\xC3\xBC", "+"},
        {"$share", true, "", "$share"},
        {"$SHARE/g/a", true, "", "$SHARE/g/a"},
        {"$shared/g/a", true, "", "$shared/g/a"},
        {"a/$share/b", true, "", "a/$share/b"},
        {"$share/", false, "", ""},
        {"$share/g", false, "", ""},
        {"$share/g/", false, "", ""},
        {"$share//a", false, "", ""},
        {"$share/+/a", false, "", ""},
        {"$share/g#/a", false, "", ""},
        {"$share/g+h/a", false, "", ""},
        {"$share/g/a#", false, "", ""},
        {"$share/g\xFF/a", false, "", ""},
        {"$share/g/\xFF", false, "", ""},
        {"a+", false, "", ""},
    };
    for (const Row& row : rows) {
        INFO(row.text);
        const auto parsed = parse_filter(row.text);
        REQUIRE(parsed.has_value() == row.valid);
        if (!row.valid) continue;
        CHECK(parsed->share_name == row.name);
        CHECK(parsed->filter == row.filter);
        CHECK(parsed->shared() == (std::string_view(row.name) != ""));
    }
}

TEST_CASE("filters match topics as the examples of the specification say",
          "[MQTT-4.7.2-1][MQTT311-4.7.2-1][MQTT-4.7.3-4][MQTT311-4.7.3-4]") {
    struct Row {
        const char* filter;
        const char* topic;
        bool matches;
    };
    const Row rows[] = {
        {"sport/tennis/player1/#", "sport/tennis/player1", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
        {"sport/tennis/player1/#", "sport/tennis/player11", false},
        {"sport/#", "sport", true},
        {"sport/#", "sport/", true},
        {"#", "a", true},
        {"#", "/", true},
        {"sport/tennis/+", "sport/tennis/player1", true},
        {"sport/tennis/+", "sport/tennis/player1/ranking", false},
        {"sport/+", "sport", false},
        {"sport/+", "sport/", true},
        {"+/+", "/finance", true},
        {"/+", "/finance", true},
        {"+", "/finance", false},
        {"+/tennis/#", "a/tennis", true},
        {"#", "$SYS/monitor/Clients", false},
        {"+/monitor/Clients", "$SYS/monitor/Clients", false},
        {"+/#", "$SYS/x", false},
        {"$SYS/#", "$SYS/monitor/Clients", true},
        {"$SYS/#", "$SYS", true},
        {"$SYS/monitor/+", "$SYS/monitor/Clients", true},
        {"a/+", "a/$b", true},
        {"a/#", "a/$b", true},
        {"ACCOUNTS", "Accounts", false},
        {"a", "a", true},
        {"a", "/a", false},
        {"a/", "a", false},
        {"a//b", "a//b", true},
        {"a/+/b", "a//b", true},
        {"A\xCC\x8A", "\xC3\x85", false},
        {"a/b/c", "a/b", false},
        {"a/b", "a/b/c", false},
    };
    for (const Row& row : rows) {
        INFO(row.filter << " " << row.topic);
        CHECK(filter_matches(row.filter, row.topic) == row.matches);
    }
}

TEST_CASE("levels are what stands between the slashes") {
    struct Row {
        const char* text;
        std::vector<std::string> levels;
    };
    const Row rows[] = {
        {"a", {"a"}}, {"/", {"", ""}}, {"a/b", {"a", "b"}}, {"/a/", {"", "a", ""}}, {"", {""}},
    };
    for (const Row& row : rows) {
        std::vector<std::string> seen;
        for (Levels level(row.text); !level.done(); level.next())
            seen.emplace_back(*level);
        CHECK(seen == row.levels);
        CHECK(level_count(row.text) == row.levels.size());
    }
}

TEST_CASE("limits are those of bytes and of levels, inclusive") {
    const TopicLimits limits{10, 3};
    CHECK(within_limits("a/b/c", limits));
    CHECK_FALSE(within_limits("a/b/c/d", limits));
    CHECK(within_limits("0123456789", limits));
    CHECK_FALSE(within_limits("0123456789a", limits));
}
