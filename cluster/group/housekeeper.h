// The thread that keeps house for a node's groups: flushes the state store when there is much log
// or old, tells the groups how far their logs may be cut, flushes when a group asks, writes the
// durable mark and reports what the disk got wrong.
//
// *Thread*: `start` and `stop` from the owner's; all else from any. The work is done on a thread of
// its own, `flush` on the caller's. *Owner*: the GroupHost. *Errors*: a flush that
// fails is `failed`'s: nothing may follow it. A durable mark that cannot be written is logged.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cluster/group/group.h"
#include "cluster/group/worker.h"
#include "proto/base/environment.h"
#include "proto/base/log.h"
#include "proto/base/metrics.h"
#include "proto/base/result.h"
#include "storage/rocks_engine.h"

namespace quorate::cluster {

// One line for a replica that takes no part: why, and how it is rebuilt. None for a sound one.
void log_unsound(const Log& log, GroupId group, GroupHealth health, const std::string& failure);

class Housekeeper {
  public:
    struct Options {
        uint64_t flush_log_bytes = 0;
        std::chrono::milliseconds flush_age{};
        MetricsShard* metrics = nullptr;  // its own; null: none
        const Log* log = nullptr;         // null: silent
        std::function<void(const Error&)> failed;
    };
    // Engine and clock outlive it.
    Housekeeper(storage::RocksEngine& engine, const Clock& clock, Options options)
        : engine_(engine), clock_(clock), options_(std::move(options)) {}
    ~Housekeeper() { stop(); }
    Housekeeper(const Housekeeper&) = delete;
    Housekeeper& operator=(const Housekeeper&) = delete;

    // Once.
    void start();
    // What was asked for and not begun is dropped: the process ends.
    void stop();
    // The group is kept house for until it is forgotten, which its worker has to do before it goes.
    // The worker stays until `stop`.
    void keep(const Group& group, Worker& worker);
    void forget(const Group& group);
    // Posts `done` to the worker after a flush that begins after this call. Also before `start`.
    void ask(Worker& worker, std::function<void()> done);
    // Flushes now. Requires: started.
    [[nodiscard]] Status flush();

  private:
    using Asked = std::vector<std::pair<Worker*, std::function<void()>>>;

    struct Kept {
        uint64_t serial = 0;  // never given twice
        const Group* group = nullptr;
        Worker* worker = nullptr;
        bool told = false;  // that it is not sound
    };

    void run();
    void serve(Asked asked);
    void look();
    void write_mark();
    [[nodiscard]] uint64_t log_bytes();
    void report_errors();
    void report_unsound();

    storage::RocksEngine& engine_;
    const Clock& clock_;
    const Options options_;
    std::mutex groups_mutex_;  // while it is held no group goes
    std::vector<Kept> groups_;
    uint64_t last_serial_ = 0;

    // The thread's own: what was reported, and since when there is something to flush.
    std::array<uint64_t, storage::kStorageOps> reported_errors_{};
    uint64_t reported_corrupt_ = 0;
    std::chrono::nanoseconds dirty_since_{};

    std::mutex flush_mutex_;  // one flush at a time
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    Asked asked_;  // two a group at most: for itself, and to be removed
    std::thread thread_;
};

}  // namespace quorate::cluster
