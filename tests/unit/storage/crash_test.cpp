// Power losses at every step of a small workload, on the real RocksDB.
//
// The workload writes numbered entries and applies them to the state, flushes, cuts and marks, as
// the groups do. After each loss: everything acknowledged is there, nothing is there twice or out
// of order, the state is never ahead of the log, and the log begins at or below the state.
#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <rocksdb/env.h>

#include "storage/keys.h"
#include "storage/rocks_engine.h"
#include "tests/sim/faulty_file_system.h"
#include "tests/unit/catch.h"
#include "tests/unit/rounds.h"
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

    // What a restart must find; empty when it did.
    std::string check() {
        if (!log_.amnesia.empty()) return "amnesia: " + log_.amnesia;
        const uint64_t base = log_.meta.base.index.value();
        const uint64_t last = log_.last.index.value();
        const uint64_t applied = applied_index();
        if (last < progress_.acknowledged) return "an acknowledged entry is lost";
        if (applied > last) return "the state is ahead of the log";
        if (applied < base) return "the log is cut above the state";
        if (applied < progress_.flushed) return "a finished flush is lost";
        uint64_t next = base + 1;
        bool right = true;
        if (last > base) {
            const Status read = engine_->log().read(
                kGroup, LogIndex(next), LogIndex(last + 1), SIZE_MAX,
                [&](const StoredEntry& entry) {
                    right = right && entry.id.index.value() == next && entry.data == payload(next);
                    ++next;
                    return right;
                });
            if (!read) return read.error().message;
        }
        progress_.acknowledged = last;
        return right ? "" : "an entry is not what was written";
    }

    [[nodiscard]] const StorageCounts& counts() const { return engine_->counts(); }

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

struct Outcome {
    bool reached = false;  // the workload lasted until the step
    std::string problem;
};

// Crashes at `step` of the second life, then checks the third.
Outcome crash_once(uint64_t step, uint64_t seed) {
    const quorate::test::TempDir dir;
    const auto files = std::make_shared<FaultyFileSystem>();
    Random random(seed);
    Progress progress;
    Outcome outcome;
    {
        Life life(dir.path(), files, progress);
        if (!life.open() || !life.work(9)) return {true, "the first life failed"};
    }
    files->power_loss(random);
    files->crash_at_step(step);
    {
        Life life(dir.path(), files, progress);
        if (life.open()) {
            outcome.problem = life.check();
            (void)life.work(12);
        }
        outcome.reached = files->crashed();
    }
    files->power_loss(random);
    Life life(dir.path(), files, progress);
    if (!life.open()) outcome.problem = "does not open: " + life.error().message;
    if (outcome.problem.empty()) outcome.problem = life.check();
    if (outcome.problem.empty() && !life.work(3)) outcome.problem = "does not go on";
    return outcome;
}

// Every step of one shape of losses (every tenth under a sanitizer). In parallel, because RocksDB's
// background thread sleeps a second after an error.
uint64_t crash_everywhere(uint64_t seed, std::vector<std::string>& problems) {
    constexpr uint64_t kThreads = 16;
    rocksdb::Env::Default()->SetBackgroundThreads(kThreads, rocksdb::Env::Priority::HIGH);
    rocksdb::Env::Default()->SetBackgroundThreads(kThreads, rocksdb::Env::Priority::LOW);
    std::atomic<uint64_t> next{seed};
    std::atomic<uint64_t> end{UINT64_MAX};
    std::mutex mutex;
    std::vector<std::thread> threads;
    for (uint64_t i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            for (uint64_t step; (step = next.fetch_add(quorate::test::kShare)) < end;) {
                const Outcome outcome = crash_once(step, seed + step * 7919);
                if (!outcome.reached) {
                    end = std::min<uint64_t>(end, step);
                }
                if (outcome.problem.empty()) continue;
                const std::lock_guard lock(mutex);
                problems.push_back("step " + std::to_string(step) + ", seed " +
                                   std::to_string(seed) + ": " + outcome.problem);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    return end;
}

}  // namespace

TEST_CASE("a power loss at any step loses nothing acknowledged and invents nothing [R5, R6]") {
    std::vector<std::string> problems;
    for (const uint64_t seed : {1U, 2U}) {
        // Opening, writing, flushing, cutting and marking are all among the steps.
        CHECK(crash_everywhere(seed, problems) > 60);
    }
    CHECK(problems == std::vector<std::string>());
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
    CHECK(life.counts().errors(StorageOp::Sync) == 1);
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
    CHECK(life.check().empty());
    CHECK(life.work(3));
}
