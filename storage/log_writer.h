// The thread that waits for the disk, and only that: it takes what all workers want to append,
// writes one batch, syncs once, and tells each worker.
//
// Batching is natural: whatever gathered while the last sync was under way is the next batch.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "proto/base/result.h"
#include "proto/base/task.h"
#include "storage/log_store.h"

namespace quorate::storage {

// What one worker wants on disk. `done` runs on the log writer's thread once it is durable (in the
// chosen mode) and must only post. Requests of one worker complete in the order submitted.
struct LogRequest {
    LogBatch batch;
    Task done;
};

// Where a worker hands its appends: the log writer, or a simulated disk.
class LogSink {
  public:
    virtual ~LogSink() = default;
    // Never blocks and never refuses: a worker proposes nothing new while `kLogRequestsInFlight` of
    // its requests are under way, and what a leader sends is bounded by Raft's window. That bounds
    // the queue.
    virtual void submit(LogRequest request) = 0;
};

// One request being synced and one waiting keep the disk busy; more would only make smaller
// entries.
inline constexpr std::size_t kLogRequestsInFlight = 2;

// Figures of one round. `sync` is zero in interval mode unless this round synced.
struct LogRound {
    std::size_t entries = 0;
    std::size_t bytes = 0;
    std::size_t requests = 0;
    std::chrono::nanoseconds write{};  // with its sync
};

struct LogWriterOptions {
    // 0: sync every round. Otherwise completions come after the unsynced write and a sync follows
    // within this time: a power loss costs that much, in the single-node mode that says so.
    std::chrono::milliseconds sync_interval{0};
    // After each round, on the log writer's thread.
    std::function<void(const LogRound&)> on_round;
    // A failed write or sync. Nobody knows what reached the disk, so nothing is retried and no
    // request completes any more. Default: fatal. Tests of crashes put their own here.
    std::function<void(const Error&)> on_failure;
};

// *Thread*: `submit` from any thread; `start` and `stop` from the owner.
// *Owner*: the group host; the store outlives it.
// *Errors*: see `on_failure`.
class LogWriter final : public LogSink {
  public:
    LogWriter(LogStore& store, LogWriterOptions options);
    ~LogWriter() override;
    LogWriter(const LogWriter&) = delete;
    LogWriter& operator=(const LogWriter&) = delete;

    void start();
    // Writes what was submitted, syncs, completes it, and ends the thread.
    void stop();

    void submit(LogRequest request) override;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::storage
