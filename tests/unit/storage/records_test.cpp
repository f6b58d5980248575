#include "storage/records.h"

#include "tests/unit/catch.h"

using namespace quorate;
using namespace quorate::storage;

namespace {

std::string framed(std::string_view key, const std::string& body) {
    std::string stored;
    append_frame(stored, key, body);
    return stored + body;
}

}  // namespace

TEST_CASE("any flipped bit, cut or foreign key makes a record corrupt") {
    const std::string stored = framed("key", "some value");
    REQUIRE(open_frame("key", stored).ok());
    CHECK(open_frame("key", stored).value() == "some value");
    for (std::size_t bit = 0; bit < stored.size() * 8; ++bit) {
        std::string damaged = stored;
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
        CHECK(open_frame("key", damaged).error().code == ErrorCode::Corrupt);
    }
    for (std::size_t size = 0; size < stored.size(); ++size) {
        CHECK_FALSE(open_frame("key", std::string_view(stored).substr(0, size)).ok());
    }
    CHECK_FALSE(open_frame("kex", stored).ok());
    CHECK_FALSE(open_frame("key", stored + "x").ok());
}

TEST_CASE("the error of a corrupt record names its key") {
    CHECK(open_frame("\x01\xfe", "").error().message.find("01fe") != std::string::npos);
    CHECK(printable(std::string(100, 'a')).size() < 140);
}

TEST_CASE("the log's records read back, and only whole") {
    const HardState hard{Term(7), ReplicaId(2), LogIndex(99)};
    CHECK(decode_hard_state(encode_hard_state(hard)).value() == hard);
    const GroupMeta meta{Generation(3), ReplicaId(4), EntryId{LogIndex(5), Term(6)}, 77, "config"};
    CHECK(decode_meta(encode_meta(meta)).value() == meta);
    CHECK(decode_truncations(encode_truncations(12)).value() == 12);
    for (const std::string& body :
         {encode_hard_state(hard), encode_meta(meta), encode_truncations(1)}) {
        for (std::size_t size = 0; size < body.size(); ++size) {
            const std::string cut = body.substr(0, size);
            CHECK_FALSE((decode_hard_state(cut).ok() && body.size() == 24));
            CHECK_FALSE((decode_meta(cut).ok() && body.size() > 24));
            CHECK_FALSE((decode_truncations(cut).ok() && body.size() == 8));
        }
    }
    const std::string head = encode_entry_head(Term(3), 1, 55) + "data";
    const auto entry = decode_entry(LogIndex(9), head);
    REQUIRE(entry.ok());
    CHECK(entry->id == EntryId{LogIndex(9), Term(3)});
    CHECK(entry->chain == 55);
    CHECK(entry->data == "data");
    CHECK_FALSE(decode_entry(LogIndex(9), "short").ok());
}

TEST_CASE("the chained hash depends on everything before it") {
    const EntryId id{LogIndex(1), Term(1)};
    const uint64_t one = chain_hash(0, id, 1, "a");
    CHECK(one != chain_hash(1, id, 1, "a"));
    CHECK(one != chain_hash(0, id, 0, "a"));
    CHECK(one != chain_hash(0, id, 1, "b"));
    CHECK(one != chain_hash(0, EntryId{LogIndex(2), Term(1)}, 1, "a"));
    CHECK(one != chain_hash(0, EntryId{LogIndex(1), Term(2)}, 1, "a"));
}

TEST_CASE("durable marks read back, and a damaged file is refused whole") {
    const std::vector<DurableMark> marks = {{GroupId(1), LogIndex(10), 11, 1, Term(2), LogIndex(9)},
                                            {GroupId(16), LogIndex(0), 0, 0, Term(0), LogIndex(0)}};
    const std::string file = encode_marks(marks);
    CHECK(decode_marks(file).value() == marks);
    CHECK(decode_marks(encode_marks({})).value().empty());
    for (std::size_t i = 0; i < file.size(); ++i) {
        std::string damaged = file;
        damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
        CHECK_FALSE(decode_marks(damaged).ok());
        CHECK_FALSE(decode_marks(file.substr(0, i)).ok());
    }
}

TEST_CASE("the format file reads back, and any change to it is noticed") {
    for (const std::string id : {"", "a-cluster"}) {
        const std::string text = encode_format(id);
        REQUIRE(decode_format("FORMAT", text).ok());
        CHECK(decode_format("FORMAT", text).value() == id);
        for (std::size_t at = 0; at < text.size(); ++at) {
            std::string damaged = text;
            damaged[at] = static_cast<char>(damaged[at] ^ 1);
            CHECK_FALSE(decode_format("FORMAT", damaged).ok());
            CHECK_FALSE(decode_format("FORMAT", text.substr(0, at)).ok());
        }
    }
    const auto newer = decode_format("FORMAT", "quorate data directory\nformat 3\n");
    REQUIRE_FALSE(newer.ok());
    CHECK(newer.error().message.find("newer version") != std::string::npos);
}
