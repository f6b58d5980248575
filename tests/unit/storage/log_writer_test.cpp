#include "storage/log_writer.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "storage/memory_stores.h"
#include "tests/unit/catch.h"

using namespace quorate;
using namespace quorate::storage;

namespace {

constexpr std::chrono::seconds kDeadline{20};

// A store that counts, can be made to wait, and can fail.
class WatchedStore final : public LogStore {
  public:
    [[nodiscard]] Status write(std::span<const LogBatch> batches, Durability durability) override {
        std::unique_lock lock(mutex_);
        ++writes;
        requests += batches.size();
        buffered = durability == Durability::Buffered;
        entered_.notify_all();
        resumed_.wait(lock, [this] { return !held_; });
        if (failing) return Error{ErrorCode::Io, "no disk"};
        return {};
    }
    [[nodiscard]] Status sync() override {
        const std::lock_guard lock(mutex_);
        ++syncs;
        entered_.notify_all();
        return {};
    }
    [[nodiscard]] Result<std::vector<GroupId>> groups() const override {
        return std::vector<GroupId>();
    }
    [[nodiscard]] Result<GroupMeta> meta(GroupId /*group*/) const override { return GroupMeta(); }
    [[nodiscard]] Result<GroupLog> load(GroupId /*group*/) override { return GroupLog(); }
    [[nodiscard]] Status read(GroupId, LogIndex, LogIndex, std::size_t,
                              const EntryCallback&) const override {
        return {};
    }
    [[nodiscard]] Status write_durable_mark() override { return {}; }

    void hold(bool on) {
        const std::lock_guard lock(mutex_);
        held_ = on;
        resumed_.notify_all();
    }
    template <typename Condition>
    bool wait_until(Condition condition) {
        std::unique_lock lock(mutex_);
        return entered_.wait_for(lock, kDeadline, condition);
    }

    int writes = 0;
    int syncs = 0;
    std::size_t requests = 0;
    bool buffered = false;
    bool failing = false;

  private:
    std::mutex mutex_;
    std::condition_variable entered_;
    std::condition_variable resumed_;
    bool held_ = false;
};

LogRequest request(Task done) {
    LogRequest out;
    out.batch.hard_state(GroupId(1), HardState{});
    out.done = std::move(done);
    return out;
}

}  // namespace

TEST_CASE("what gathers during a sync shares the next one, in order") {
    WatchedStore store;
    LogWriter writer(store, {});
    writer.start();
    store.hold(true);
    std::vector<int> done;
    writer.submit(request([&] { done.push_back(0); }));
    REQUIRE(store.wait_until([&] { return store.writes == 1; }));
    for (int i = 1; i <= 100; ++i) {
        writer.submit(request([&done, i] { done.push_back(i); }));
    }
    store.hold(false);
    writer.stop();
    CHECK(store.writes == 2);
    CHECK(store.requests == 101);
    REQUIRE(done.size() == 101);
    CHECK(std::is_sorted(done.begin(), done.end()));
}

TEST_CASE("after a failed write nothing completes any more") {
    WatchedStore store;
    store.failing = true;
    std::atomic<int> failures{0};
    std::atomic<int> completed{0};
    LogWriterOptions options;
    options.on_failure = [&](const Error& error) {
        CHECK(error.code == ErrorCode::Io);
        ++failures;
    };
    LogWriter writer(store, options);
    writer.start();
    writer.submit(request([&] { ++completed; }));
    REQUIRE(store.wait_until([&] { return store.writes == 1; }));
    writer.submit(request([&] { ++completed; }));
    writer.stop();
    CHECK(failures == 1);
    CHECK(completed == 0);
    CHECK(store.writes == 1);
}

TEST_CASE("with an interval writes complete at once and a sync follows") {
    WatchedStore store;
    LogWriterOptions options;
    options.sync_interval = std::chrono::milliseconds(20);
    LogWriter writer(store, options);
    writer.start();
    std::atomic<bool> completed{false};
    writer.submit(request([&] { completed = true; }));
    REQUIRE(store.wait_until([&] { return store.syncs == 1; }));
    CHECK(completed);
    CHECK(store.buffered);
    writer.stop();
    CHECK(store.syncs == 1);
}

TEST_CASE("a stop syncs what was only written") {
    WatchedStore store;
    LogWriterOptions options;
    options.sync_interval = std::chrono::hours(1);
    LogWriter writer(store, options);
    writer.start();
    writer.submit(request({}));
    writer.stop();
    CHECK(store.writes == 1);
    CHECK(store.syncs == 1);
}
