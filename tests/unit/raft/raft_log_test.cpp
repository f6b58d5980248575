#include "cluster/raft/raft_log.h"

#include <string>

#include "tests/unit/catch.h"

using namespace quorate;
using namespace quorate::raft;

namespace {

EntryId id(uint64_t index, uint64_t term) {
    return EntryId{LogIndex(index), Term(term)};
}
Entry entry(uint64_t index, uint64_t term) {
    return Entry{id(index, term), EntryKind::Command, SharedBytes(as_bytes("0123456789"))};
}

// Answers with entries of given terms, as if they were on disk.
class FakeReader final : public LogReader {
  public:
    [[nodiscard]] Result<std::vector<Entry>> read(LogIndex from, LogIndex to,
                                                  std::size_t /*bytes_max*/) const override {
        if (broken) return Error{ErrorCode::Corrupt, "a bit fell over"};
        std::vector<Entry> entries;
        for (uint64_t i = from.value(); i < to.value(); ++i) {
            entries.push_back(entry(i, i < 4 ? 1 : 2));
        }
        return entries;
    }
    bool broken = false;
};

// Entries 1 to 3 of term 1, 4 to 6 of term 2, all on disk.
LogStart six() {
    return LogStart{id(0, 0), id(6, 2), {id(1, 1), id(4, 2)}, LogIndex(5), LogIndex(2)};
}

}  // namespace

TEST_CASE("terms are known for the whole log without reading it") {
    const FakeReader reader;
    RaftLog log(six(), reader, 1000);
    CHECK(log.term_at(LogIndex(0)) == Term(0));
    CHECK(log.term_at(LogIndex(3)) == Term(1));
    CHECK(log.term_at(LogIndex(4)) == Term(2));
    CHECK_FALSE(log.term_at(LogIndex(7)));
    CHECK(log.conflict_hint(LogIndex(6), Term(1)) == id(3, 1));
    CHECK(log.conflict_hint(LogIndex(99), Term(9)) == id(6, 2));
    CHECK(log.conflict_hint(LogIndex(3), Term(0)) == id(0, 0));
    CHECK(log.up_to_date(id(6, 2)));
    CHECK(log.up_to_date(id(1, 3)));
    CHECK_FALSE(log.up_to_date(id(5, 2)));
    CHECK_FALSE(log.up_to_date(id(99, 1)));
}

TEST_CASE("what is applied first comes from disk, then from memory, each entry once") {
    const FakeReader reader;
    RaftLog log(six(), reader, 1000);
    log.append(entry(7, 3));
    log.commit_to(LogIndex(7));
    auto first = log.take_committed(1000);
    REQUIRE(first.ok());
    CHECK(first->front().id == id(3, 1));
    CHECK(first->back().id == id(6, 2));
    CHECK_FALSE(log.has_committed());  // 7 is not on disk yet
    log.stable_to(LogIndex(7));
    auto second = log.take_committed(1000);
    REQUIRE(second.ok());
    REQUIRE(second->size() == 1);
    CHECK(second->front().id == id(7, 3));
}

TEST_CASE("a log that cannot be read is an error, not an empty answer") {
    FakeReader reader;
    reader.broken = true;
    RaftLog log(six(), reader, 1000);
    CHECK(log.take_committed(1000).error().code == ErrorCode::Corrupt);
    CHECK(log.handed_out() == LogIndex(2));
}

TEST_CASE("memory is let go once applied and durable, and bounded") {
    const FakeReader reader;
    RaftLog log(LogStart{}, reader, 25);
    for (uint64_t i = 1; i <= 10; ++i) {
        log.append(entry(i, 1));
    }
    CHECK(log.memory_bytes() == 100);
    log.commit_to(LogIndex(10));
    log.stable_to(LogIndex(10));
    REQUIRE(log.take_committed(SIZE_MAX).ok());
    log.applied_to(LogIndex(10));
    CHECK(log.memory_bytes() <= 25);
    CHECK(log.term_at(LogIndex(1)) == Term(1));
}

TEST_CASE("a cut keeps the terms of what remains") {
    const FakeReader reader;
    RaftLog log(six(), reader, 1000);
    REQUIRE(log.take_committed(1000).ok());
    log.applied_to(LogIndex(5));
    log.cut_to(id(2, 1));
    CHECK(log.term_at(LogIndex(2)) == Term(1));
    CHECK(log.term_at(LogIndex(3)) == Term(1));
    CHECK_FALSE(log.term_at(LogIndex(1)));
    log.cut_to(id(5, 2));
    CHECK(log.term_at(LogIndex(6)) == Term(2));
    CHECK(log.base() == id(5, 2));
    log.truncate(LogIndex(6));
    CHECK(log.last() == id(5, 2));
    log.append(entry(6, 4));
    CHECK(log.term_at(LogIndex(6)) == Term(4));
}

TEST_CASE("truncation takes back what was durable") {
    const FakeReader reader;
    RaftLog log(LogStart{}, reader, 1000);
    for (uint64_t i = 1; i <= 4; ++i) {
        log.append(entry(i, i));
    }
    log.stable_to(LogIndex(4));
    log.truncate(LogIndex(3));
    CHECK(log.last() == id(2, 2));
    CHECK(log.stable() == LogIndex(2));
    CHECK_FALSE(log.term_at(LogIndex(3)));
}
