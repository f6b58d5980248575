// All groups of a node: opens the stores, makes the workers, pins each group to one of them,
// recovers, and starts and stops everything in order.
//
//     open -> add_group ... -> start -> (serve) -> stop
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cluster/group/group.h"
#include "cluster/group/state_machine.h"
#include "cluster/group/worker.h"
#include "proto/base/environment.h"
#include "proto/base/log.h"
#include "proto/base/metrics.h"
#include "proto/base/result.h"
#include "storage/disk_watch.h"
#include "storage/rocks_engine.h"

namespace quorate::cluster {

struct GroupHostOptions {
    storage::StorageOptions storage;
    std::chrono::milliseconds sync_interval{0};  // 0: always; see LogWriterOptions
    uint32_t workers = 1;
    std::size_t mailbox_tasks_max = 65'536;
    // When the state is flushed and logs are cut: so much log, or so old, whichever comes first.
    uint64_t flush_log_bytes = uint64_t{64} << 20;
    std::chrono::milliseconds flush_age{60'000};
    const Clock* clock = nullptr;  // null: the system's
    Metrics* metrics = nullptr;    // null: none
    const Log* log = nullptr;      // null: silent
    MessageSink* messages = nullptr;
    storage::DiskWatch::Probe disk_probe;  // empty: the volume of the data directory
    storage::DiskMarks disk_marks;
    // The disk failed in a way that nothing may follow. From any thread. Default: fatal.
    std::function<void(const Error&)> on_failure;
};

// What is known of the log after a start, for readiness and for the operator.
struct GroupReport {
    GroupId id;
    GroupHealth health = GroupHealth::Sound;
    std::string failure;
};

// *Thread*: one at a time for every method but `disk_state` and
// `set_disk_marks`; groups live on their workers.
// *Owner*: the program. Destroy after whoever posts to its workers; state machines outlive it.
// *Errors*: of `open` as RocksEngine::open.
class GroupHost {
  public:
    [[nodiscard]] static Result<std::unique_ptr<GroupHost>> open(GroupHostOptions options);
    class Impl;
    explicit GroupHost(std::unique_ptr<Impl> impl);  // for `open`
    // Stops, if running.
    ~GroupHost();
    GroupHost(const GroupHost&) = delete;
    GroupHost& operator=(const GroupHost&) = delete;

    // Before `start`. The group is pinned to `worker`, by default to id mod workers.
    [[nodiscard]] Status add_group(const GroupOptions& options, StateMachine& machine);
    [[nodiscard]] Status add_group(const GroupOptions& options, StateMachine& machine,
                                   WorkerId worker);

    // Recovers all groups, each worker its own at the same time, and begins to serve. Returns when
    // all are loaded. *Errors*: Io. Groups that are not Sound are in `reports`.
    [[nodiscard]] Status start();
    // Clean: no more tasks, what is under way becomes durable, state flushed, mark written.
    // Nothing acknowledged depends on it.
    void stop();

    [[nodiscard]] uint32_t workers() const;
    [[nodiscard]] Worker& worker(WorkerId id);
    // Requires: the group was added.
    [[nodiscard]] Worker& worker_of(GroupId id);
    // Requires: started. Use it on its worker only. Null when the group was not added.
    [[nodiscard]] Group* group(GroupId id);
    [[nodiscard]] std::vector<GroupReport> reports();

    [[nodiscard]] storage::RocksEngine& engine();
    [[nodiscard]] storage::DiskState disk_state();
    void set_disk_marks(storage::DiskMarks marks);
    // Flushes the state now, for tests and backup. When it returns the state is on stable storage
    // and the cuts of the logs are on their way. Requires: started.
    [[nodiscard]] Status flush_now();

  private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::cluster
