// The directory: one thread that keeps the DirectoryTable and tells when a change is shown to all.
//
// Changes come from loops (their own subscriptions) and from shard workers (replicated routes); all
// that wait are published together. `shown` runs when every reader has left the older table: from
// then on whatever a loop reads from a socket is matched against the change, which is what SUBACK
// waits for (G3).
//
// Thread: `change` from any; `shown` runs on the directory's thread and must only post.
// Owner: the Cluster; stopped before its readers' threads end.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "cluster/router/directory_table.h"
#include "proto/base/left_right.h"
#include "proto/base/task.h"

namespace quorate::cluster {

class Directory {
  public:
    using Tables = LeftRight<DirectoryTable, DirectoryOp>;

    // One reader for each thread that will match: loops first, then workers.
    explicit Directory(std::size_t readers);
    ~Directory();
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    [[nodiscard]] Tables::Reader reader(std::size_t index) {
        return Tables::Reader(tables_, index);
    }

    // Ops of one caller are applied in the order of its calls.
    void change(std::vector<DirectoryOp> ops, Task shown);

    // Filters in the table, for metrics. Any thread.
    [[nodiscard]] uint64_t filters() const { return filters_.load(std::memory_order_relaxed); }

    // Shows what waits and ends the thread. Idempotent.
    void stop();

  private:
    struct Change {
        std::vector<DirectoryOp> ops;
        Task shown;
    };
    void run();
    void wake();

    std::mutex mutex_;
    std::condition_variable awake_;
    std::vector<Change> waiting_;  // guarded by mutex_
    bool woken_ = false;           // guarded by mutex_
    bool stopping_ = false;        // guarded by mutex_
    std::atomic<uint64_t> filters_{0};
    Tables tables_;
    std::thread thread_;
};

}  // namespace quorate::cluster
