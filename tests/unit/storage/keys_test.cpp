#include "storage/keys.h"

#include "tests/unit/catch.h"

using namespace quorate;
using namespace quorate::storage;

TEST_CASE("keys sort by group, then record, then index") {
    CHECK(entry_key(GroupId(1), LogIndex(255)) < entry_key(GroupId(1), LogIndex(256)));
    CHECK(entry_key(GroupId(1), LogIndex(UINT64_MAX)) < log_key(GroupId(2), LogRecord::HardState));
    CHECK(log_key(GroupId(1), LogRecord::Meta) < entry_key(GroupId(1), LogIndex(0)));
    CHECK(state_prefix(GroupId(1), Generation(9)) < state_prefix(GroupId(2), Generation(1)));
}

TEST_CASE("log keys read back as what they are, and nothing else does") {
    const auto entry = parse_log_key(entry_key(GroupId(70'000), LogIndex(1ULL << 40)));
    REQUIRE(entry);
    CHECK(entry->group == GroupId(70'000));
    CHECK(entry->index == LogIndex(1ULL << 40));
    CHECK(parse_log_key(log_key(GroupId(3), LogRecord::Meta))->record == LogRecord::Meta);
    CHECK_FALSE(parse_log_key(""));
    CHECK_FALSE(parse_log_key(entry_key(GroupId(1), LogIndex(1)).substr(0, 12)));
    CHECK_FALSE(parse_log_key(entry_key(GroupId(1), LogIndex(1)) + "x"));
    CHECK_FALSE(parse_log_key(std::string("\0\0\0\1\7", 5)));
}

TEST_CASE("the end of a prefix is above every key that has it") {
    CHECK(prefix_end("ab") == "ac");
    CHECK(prefix_end(std::string("a\xff\xff")) == "b");
    CHECK(prefix_end(std::string("\xff\xff")).empty());
    CHECK(prefix_end("").empty());
}

TEST_CASE("a key reader notices what is missing") {
    std::string key;
    append_key_u8(key, 1);
    append_key_u16(key, 2);
    append_key_u32(key, 3);
    append_key_u64(key, 4);
    key += "rest";
    KeyReader reader(key);
    CHECK(reader.u8() == 1);
    CHECK(reader.u16() == 2);
    CHECK(reader.u32() == 3);
    CHECK(reader.u64() == 4);
    CHECK(reader.rest() == "rest");
    CHECK(reader.u64() == 0);
    CHECK(reader.failed());
}
