#include "storage/log_store.h"

#include <functional>
#include <string>
#include <vector>

#include "storage/memory_stores.h"
#include "storage/rocks_engine.h"
#include "tests/unit/catch.h"
#include "tests/unit/storage/temp_dir.h"

using namespace quorate;
using namespace quorate::storage;

namespace {

constexpr GroupId kGroup{16};

EntryId id(uint64_t index, uint64_t term) {
    return EntryId{LogIndex(index), Term(term)};
}
SharedBytes data(const std::string& text) {
    return SharedBytes(as_bytes(text));
}

// One test on both stores; `reopen` gives the store as after a clean restart.
class Subject {
  public:
    virtual ~Subject() = default;
    virtual LogStore& store() = 0;
    virtual LogStore& reopen() = 0;
};

class MemorySubject final : public Subject {
  public:
    LogStore& store() override { return store_; }
    LogStore& reopen() override {
        Random random(1);
        REQUIRE(store_.sync().ok());
        store_.crash(random);
        return store_;
    }

  private:
    MemoryLogStore store_;
};

class RocksSubject final : public Subject {
  public:
    RocksSubject() { reopen(); }
    LogStore& store() override { return engine_->log(); }
    LogStore& reopen() override {
        engine_.reset();
        StorageOptions options;
        options.data_dir = dir_.path();
        auto opened = RocksEngine::open(options);
        REQUIRE(opened.ok());
        engine_ = std::move(*opened);
        return engine_->log();
    }

  private:
    const quorate::test::TempDir dir_;
    std::unique_ptr<RocksEngine> engine_;
};

void on_each_store(const std::function<void(Subject&)>& test) {
    SECTION("memory") {
        MemorySubject subject;
        test(subject);
    }
    SECTION("RocksDB") {
        RocksSubject subject;
        test(subject);
    }
}

void write(LogStore& store, const LogBatch& batch, Durability durability = Durability::Synced) {
    REQUIRE(store.write({&batch, 1}, durability).ok());
}

// A group with entries 1 to `count`, all of term 1.
void create(LogStore& store, uint64_t count, GroupId group = kGroup) {
    REQUIRE_FALSE(store.load(group).value().exists);
    LogBatch batch;
    batch.meta(group, GroupMeta{Generation(1), ReplicaId(1), {}, 0, "config"});
    batch.hard_state(group, HardState{Term(1), ReplicaId(1), LogIndex(0)});
    for (uint64_t i = 1; i <= count; ++i) {
        batch.append(group, id(i, 1), 1, data("entry " + std::to_string(i)));
    }
    write(store, batch);
}

std::vector<uint64_t> indexes(const LogStore& store, uint64_t from, uint64_t to,
                              std::size_t bytes_max = SIZE_MAX) {
    std::vector<uint64_t> seen;
    REQUIRE(store
                .read(kGroup, LogIndex(from), LogIndex(to), bytes_max,
                      [&](const StoredEntry& entry) {
                          seen.push_back(entry.id.index.value());
                          return true;
                      })
                .ok());
    return seen;
}

}  // namespace

TEST_CASE("a group comes back with its entries, hard state and meta") {
    on_each_store([](Subject& subject) {
        create(subject.store(), 5);
        create(subject.store(), 2, GroupId(17));
        LogStore& store = subject.reopen();
        CHECK(store.groups().value() == std::vector<GroupId>{kGroup, GroupId(17)});
        const GroupLog log = store.load(kGroup).value();
        CHECK(log.exists);
        CHECK(log.amnesia.empty());
        CHECK(log.last == id(5, 1));
        CHECK(log.hard_state.term == Term(1));
        CHECK(log.meta.configuration == "config");
        CHECK(log.term_starts == std::vector<EntryId>{id(1, 1)});
        CHECK(log.bytes == 5 * 7);
        CHECK(indexes(store, 2, 5) == std::vector<uint64_t>{2, 3, 4});
        CHECK(indexes(store, 1, 6, 8) == std::vector<uint64_t>{1});
        CHECK_FALSE(store.load(GroupId(18)).value().exists);
    });
}

TEST_CASE("a gap, or reading beyond the end, is corrupt and not an empty answer") {
    on_each_store([](Subject& subject) {
        create(subject.store(), 3);
        const auto ignore = [](const StoredEntry&) { return true; };
        CHECK(
            subject.store().read(kGroup, LogIndex(2), LogIndex(9), SIZE_MAX, ignore).error().code ==
            ErrorCode::Corrupt);
        CHECK(subject.store().read(GroupId(9), LogIndex(1), LogIndex(2), 1, ignore).error().code ==
              ErrorCode::Corrupt);
    });
}

TEST_CASE("a truncated end is gone, and the chain goes on from what is left") {
    on_each_store([](Subject& subject) {
        create(subject.store(), 5);
        LogBatch batch;
        batch.hard_state(kGroup, HardState{Term(2), ReplicaId(0), LogIndex(2)});
        batch.truncate(kGroup, LogIndex(4));
        batch.append(kGroup, id(4, 2), 1, data("new 4"));
        batch.append(kGroup, id(5, 2), 1, data("new 5"));
        batch.truncate(kGroup, LogIndex(5));
        batch.append(kGroup, id(5, 2), 1, data("newer 5"));
        write(subject.store(), batch);
        LogStore& store = subject.reopen();
        const GroupLog log = store.load(kGroup).value();
        CHECK(log.last == id(5, 2));
        CHECK(log.term_starts == std::vector<EntryId>{id(1, 1), id(4, 2)});
        std::string last;
        REQUIRE(store
                    .read(kGroup, LogIndex(5), LogIndex(6), 1,
                          [&](const StoredEntry& entry) {
                              last = entry.data;
                              return true;
                          })
                    .ok());
        CHECK(last == "newer 5");
    });
}

TEST_CASE("a cut log begins after its base and still proves its chain") {
    on_each_store([](Subject& subject) {
        create(subject.store(), 10);
        LogBatch batch;
        batch.cut(kGroup, id(4, 1));
        write(subject.store(), batch);
        batch.clear();
        batch.cut(kGroup, id(7, 1));
        batch.append(kGroup, id(11, 1), 1, data("11"));
        write(subject.store(), batch);
        LogStore& store = subject.reopen();
        const GroupLog log = store.load(kGroup).value();
        CHECK(log.meta.base == id(7, 1));
        CHECK(log.last == id(11, 1));
        CHECK(indexes(store, 8, 12).size() == 4);
    });
}

TEST_CASE("a new base drops the log as a whole: the state was replaced") {
    on_each_store([](Subject& subject) {
        create(subject.store(), 10);
        LogBatch batch;
        batch.hard_state(kGroup, HardState{Term(3), ReplicaId(0), LogIndex(50)});
        batch.meta(kGroup, GroupMeta{Generation(2), ReplicaId(1), id(50, 3), 123, "config"});
        batch.append(kGroup, id(51, 3), 1, data("51"));
        write(subject.store(), batch);
        const GroupLog log = subject.reopen().load(kGroup).value();
        CHECK(log.amnesia.empty());
        CHECK(log.meta.generation == Generation(2));
        CHECK(log.last == id(51, 3));
        CHECK(log.bytes == 2);
    });
}

TEST_CASE("a term or an index that nothing can follow is damage, not a place to go on from") {
    const HardState last_term{Term(UINT64_MAX), ReplicaId(1), LogIndex(0)};
    const GroupMeta last_index{Generation(1), ReplicaId(1), id(UINT64_MAX - 1, 1), 0, "config"};
    on_each_store([&](Subject& subject) {
        create(subject.store(), 1);
        LogBatch batch;
        batch.hard_state(kGroup, last_term);
        write(subject.store(), batch);
        CHECK(subject.reopen().load(kGroup).error().code == ErrorCode::Corrupt);
    });
    on_each_store([&](Subject& subject) {
        create(subject.store(), 1);
        LogBatch batch;
        batch.meta(kGroup, last_index);
        write(subject.store(), batch);
        CHECK(subject.reopen().load(kGroup).error().code == ErrorCode::Corrupt);
    });
}

TEST_CASE("a log that ends below its durable mark is amnesic, a longer one is not [R6]") {
    MemoryLogStore store;
    create(store, 5);
    LogBatch batch;
    batch.append(kGroup, id(6, 1), 1, data("6"));
    write(store, batch);
    REQUIRE(store.write_durable_mark().ok());
    batch.clear();
    batch.append(kGroup, id(7, 1), 1, data("7"));
    write(store, batch);
    store.forget_writes(1);
    CHECK(store.load(kGroup).value().amnesia.empty());
    store.forget_writes(1);
    const GroupLog log = store.load(kGroup).value();
    CHECK(log.amnesia.find("durable up to 6") != std::string::npos);
    store.forget_writes(1);
    const GroupLog gone = store.load(kGroup).value();
    CHECK_FALSE(gone.exists);
    CHECK_FALSE(gone.amnesia.empty());
}

TEST_CASE("a term or a truncation that is forgotten is amnesia too [R6]") {
    MemoryLogStore store;
    create(store, 5);
    LogBatch batch;
    batch.hard_state(kGroup, HardState{Term(9), ReplicaId(2), LogIndex(0)});
    write(store, batch);
    REQUIRE(store.write_durable_mark().ok());
    store.forget_writes(1);
    CHECK(store.load(kGroup).value().amnesia.find("term") != std::string::npos);

    MemoryLogStore other;
    create(other, 5);
    batch.clear();
    batch.truncate(kGroup, LogIndex(3));
    write(other, batch);
    REQUIRE(other.write_durable_mark().ok());
    other.forget_writes(1);
    CHECK(other.load(kGroup).value().amnesia.find("shortening") != std::string::npos);
}

TEST_CASE("a lawful truncation below the mark is no amnesia") {
    MemoryLogStore store;
    create(store, 5);
    REQUIRE(store.write_durable_mark().ok());
    LogBatch batch;
    batch.truncate(kGroup, LogIndex(3));
    write(store, batch);
    Random random(1);
    store.crash(random);
    const GroupLog log = store.load(kGroup).value();
    CHECK(log.amnesia.empty());
    CHECK(log.last == id(2, 1));
}

TEST_CASE("a removed group is gone, and one made anew owes nothing that it had promised [R-8]") {
    on_each_store([](Subject& subject) {
        create(subject.store(), 5);
        LogBatch batch;
        batch.hard_state(kGroup, HardState{Term(7), ReplicaId(1), LogIndex(5)});
        write(subject.store(), batch);
        REQUIRE(subject.store().write_durable_mark().ok());
        CHECK(subject.store().meta(kGroup).value().replica == ReplicaId(1));
        batch.clear();
        batch.remove(kGroup);
        write(subject.store(), batch);
        CHECK(subject.store().meta(kGroup).error().code == ErrorCode::NotFound);
        // The process ends before a mark says so.
        LogStore* store = &subject.reopen();
        CHECK(store->groups().value().empty());
        CHECK(store->load(kGroup).value().amnesia.empty());
        // Also when the next copy was made before one does.
        create(*store, 2);
        store = &subject.reopen();
        GroupLog log = store->load(kGroup).value();
        CHECK(log.amnesia.empty());
        CHECK(log.last == id(2, 1));
        CHECK(log.hard_state.term == Term(1));
        // A third life, of a copy that was not opened before it was removed.
        REQUIRE(store->write_durable_mark().ok());
        store = &subject.reopen();
        write(*store, batch);
        REQUIRE(store->write_durable_mark().ok());
        create(subject.reopen(), 1);
        CHECK(subject.reopen().load(kGroup).value().last == id(1, 1));
    });
}

TEST_CASE("a copy that was made anew and forgets is amnesic like any other [R6]") {
    MemoryLogStore store;
    create(store, 5);
    LogBatch batch;
    batch.remove(kGroup);
    write(store, batch);
    create(store, 1);
    batch.clear();
    batch.append(kGroup, id(2, 1), 1, data("2"));
    write(store, batch);
    REQUIRE(store.write_durable_mark().ok());
    store.forget_writes(1);
    CHECK_FALSE(store.load(kGroup).value().amnesia.empty());
    store.forget_writes(1);
    const GroupLog gone = store.load(kGroup).value();
    CHECK_FALSE(gone.exists);
    CHECK_FALSE(gone.amnesia.empty());
}

TEST_CASE("every damaged record of a log is reported by its group and never read over") {
    for (uint64_t seed = 1; seed <= 100; ++seed) {
        MemoryLogStore store;
        create(store, 4);
        LogBatch batch;
        batch.truncate(kGroup, LogIndex(4));
        write(store, batch);
        Random random(seed);
        store.flip_bit(random);
        const auto log = store.load(kGroup);
        REQUIRE_FALSE(log.ok());
        CHECK(log.error().code == ErrorCode::Corrupt);
        CHECK(log.error().message.find("group 16") != std::string::npos);
    }
}

TEST_CASE("a durable mark survives restarts and says what a rolled back disk lacks") {
    const quorate::test::TempDir dir;
    StorageOptions options;
    options.data_dir = dir.path() + "/data";
    {
        auto engine = RocksEngine::open(options);
        REQUIRE(engine.ok());
        create((*engine)->log(), 3);
    }
    std::filesystem::copy(options.data_dir + "/log", dir.path() + "/old",
                          std::filesystem::copy_options::recursive);
    {
        auto engine = RocksEngine::open(options);
        REQUIRE(engine.ok());
        REQUIRE((*engine)->log().load(kGroup).ok());
        LogBatch batch;
        batch.append(kGroup, id(4, 1), 1, data("4"));
        write((*engine)->log(), batch);
        REQUIRE((*engine)->log().write_durable_mark().ok());
    }
    std::filesystem::remove_all(options.data_dir + "/log");
    std::filesystem::rename(dir.path() + "/old", options.data_dir + "/log");
    auto engine = RocksEngine::open(options);
    REQUIRE(engine.ok());
    CHECK_FALSE((*engine)->log().load(kGroup).value().amnesia.empty());
}
