// Power losses at every step of a small workload, on the real RocksDB.
//
// The workload writes numbered entries and applies them to the state, flushes, cuts and marks, as
// the groups do. After each loss: everything acknowledged is there, nothing is there twice or out
// of order, the state is never ahead of the log, and the log begins at or below the state.
#include <memory>
#include <string>

#include "storage/keys.h"
#include "storage/rocks_engine.h"
#include "tests/sim/faulty_file_system.h"
#include "tests/unit/catch.h"
#include "tests/unit/storage/temp_dir.h"

using namespace quorate;
using namespace quorate::storage;
using sim::FaultyFileSystem;

namespace {

constexpr GroupId kGroup{16};

std::string payload(uint64_t index) {
    return std::string(50 + index * 37 % 700, static_cast<char>('a' + index % 26));
}

std::string applied_key() {
    return state_prefix(kGroup, Generation(1)) + "applied";
}

struct Progress {
    uint64_t acknowledged = 0;  // entries whose synced write returned
    uint64_t flushed = 0;       // what a finished flush of the state covers
};

// One life of the process: goes on where the disk says until something fails or the work is done.
class Life {
  public:
    Life(const std::string& dir, const std::shared_ptr<FaultyFileSystem>& files, Progress& progress)
        : progress_(progress) {
        options_.data_dir = dir;
        options_.file_system = files;
        options_.state_memtable_bytes = std::size_t{64} << 10;
        options_.log_memtable_bytes = std::size_t{64} << 10;
        options_.on_background_error = [](const Error&) {};
    }

    // False when the disk went away while opening.
    bool open() {
        auto engine = RocksEngine::open(options_);
        if (!engine) {
            error_ = engine.error();
            return false;
        }
        engine_ = std::move(*engine);
        auto log = engine_->log().load(kGroup);
        if (!log) {
            error_ = log.error();
            return false;
        }
        log_ = std::move(*log);
        return true;
    }

    // What a restart must find.
    void check() {
        CHECK(log_.amnesia == "");
        CHECK(log_.last.index.value() >= progress_.acknowledged);
        const uint64_t applied = applied_index();
        CHECK(applied <= log_.last.index.value());
        CHECK(applied >= log_.meta.base.index.value());
        CHECK(applied >= progress_.flushed);
        uint64_t next = log_.meta.base.index.value() + 1;
        if (log_.last.index > log_.meta.base.index) {
            REQUIRE(engine_->log()
                        .read(kGroup, LogIndex(next), log_.last.index.next(), SIZE_MAX,
                              [&](const StoredEntry& entry) {
                                  CHECK(entry.id.index == LogIndex(next));
                                  CHECK(entry.data == payload(next));
                                  ++next;
                                  return true;
                              })
                        .ok());
        }
        progress_.acknowledged = log_.last.index.value();
    }

    // True when all of it was done.
    bool work(uint64_t entries) {
        if (!log_.exists) {
            LogBatch batch;
            batch.meta(kGroup, GroupMeta{Generation(1), ReplicaId(1), {}, 0, ""});
            batch.hard_state(kGroup, HardState{Term(1), ReplicaId(1), LogIndex(0)});
            if (!write(batch)) return false;
        }
        uint64_t applied = applied_index();
        while (applied < log_.last.index.value()) {
            if (!apply(++applied)) return false;
        }
        for (uint64_t i = 0; i < entries; ++i) {
            const uint64_t index = progress_.acknowledged + 1;
            LogBatch batch;
            batch.append(kGroup, EntryId{LogIndex(index), Term(1)}, 1,
                         SharedBytes(as_bytes(payload(index))));
            if (!write(batch)) return false;
            progress_.acknowledged = index;
            if (!apply(index)) return false;
            if (index % 7 == 0 && !flush_and_cut(index)) return false;
            if (index % 5 == 0 && !engine_->log().write_durable_mark()) return false;
        }
        return true;
    }

    [[nodiscard]] const Error& error() const { return error_; }

  private:
    bool write(const LogBatch& batch) {
        return engine_->log().write({&batch, 1}, Durability::Synced).ok();
    }
    bool apply(uint64_t index) {
        StateBatch batch;
        batch.put(applied_key(), std::to_string(index));
        batch.put(state_prefix(kGroup, Generation(1)) + "e" + std::to_string(index),
                  payload(index));
        return engine_->state().write(batch).ok();
    }
    bool flush_and_cut(uint64_t index) {
        if (!engine_->state().flush()) return false;
        progress_.flushed = index;
        LogBatch batch;
        batch.cut(kGroup, EntryId{LogIndex(index), Term(1)});
        return write(batch);
    }
    uint64_t applied_index() {
        std::string value;
        const Result<bool> found = engine_->state().get(applied_key(), value);
        if (!found || !*found) return 0;
        return std::stoull(value);
    }

    StorageOptions options_;
    Progress& progress_;
    std::unique_ptr<RocksEngine> engine_;
    GroupLog log_;
    Error error_;
};

// Crashes at `step` of the second life, then checks the third.
bool crash_once(uint64_t step, uint64_t seed) {
    const quorate::test::TempDir dir;
    const auto files = std::make_shared<FaultyFileSystem>();
    Random random(seed);
    Progress progress;
    {
        Life life(dir.path(), files, progress);
        REQUIRE(life.open());
        REQUIRE(life.work(9));
    }
    files->power_loss(random);
    files->crash_at_step(step);
    bool reached = false;
    {
        Life life(dir.path(), files, progress);
        if (life.open()) {
            life.check();
            (void)life.work(12);
        }
        reached = files->crashed();
    }
    files->power_loss(random);
    Life life(dir.path(), files, progress);
    INFO("step " << step << ", seed " << seed);
    const bool opened = life.open();
    INFO("error " << life.error().message);
    REQUIRE(opened);
    life.check();
    REQUIRE(life.work(3));
    return reached;
}

}  // namespace

TEST_CASE("a power loss at any step loses nothing acknowledged and invents nothing [R5, R6]") {
    uint64_t step = 1;
    while (crash_once(step, step * 7919 + 1))
        ++step;
    // Opening, writing, flushing, cutting and marking are all among them.
    CHECK(step > 60);
}

TEST_CASE("a sync that fails is reported and never tried again") {
    const quorate::test::TempDir dir;
    const auto files = std::make_shared<FaultyFileSystem>();
    Progress progress;
    Life life(dir.path(), files, progress);
    REQUIRE(life.open());
    REQUIRE(life.work(3));
    files->fail_sync_in(1);
    CHECK_FALSE(life.work(1));
    CHECK_FALSE(life.work(1));  // RocksDB takes no more writes after it
}

TEST_CASE("a disk without space refuses the write and keeps what it had") {
    const quorate::test::TempDir dir;
    const auto files = std::make_shared<FaultyFileSystem>();
    Progress progress;
    {
        Life life(dir.path(), files, progress);
        REQUIRE(life.open());
        REQUIRE(life.work(3));
        files->set_space_left(100);
        CHECK_FALSE(life.work(20));
    }
    files->set_space_left(std::nullopt);
    Random random(5);
    files->power_loss(random);
    Life life(dir.path(), files, progress);
    REQUIRE(life.open());
    life.check();
    CHECK(life.work(3));
}
