// All groups of a node: opens the stores, makes the workers, pins each group to one of them,
// recovers, and starts and stops everything in order.
//
//     open -> add_group ... -> start -> (serve; create, remove) -> stop
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

// What is known of a copy after a start, for readiness and for the operator.
struct GroupReport {
    GroupId id;
    ReplicaId replica;  // 0: no record tells
    GroupHealth health = GroupHealth::Sound;
    LogIndex configuration_index;  // of the last one in its log; 0: the one it began with
    std::string failure;
};

// A copy that the log store knows of.
struct DiskGroup {
    GroupId id;
    ReplicaId replica;  // 0 when its record is damaged
    bool sound = true;  // as far as that record tells; more is known when the group was opened
};

// *Thread*: one at a time for every method, but any for `disk_state`, `set_disk_marks`, `create`,
// `remove`, `worker` and `worker_of`; groups live on their workers.
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

    // The copies on the disk as it was found by `open`, ascending.
    [[nodiscard]] const std::vector<DiskGroup>& on_disk() const;

    // Before `start`. The group is pinned to `worker`, by default to id mod workers.
    [[nodiscard]] Status add_group(const GroupOptions& options, StateMachine& machine);
    [[nodiscard]] Status add_group(const GroupOptions& options, StateMachine& machine,
                                   WorkerId worker);

    // Recovers all groups, each worker its own at the same time, and begins to serve. Returns when
    // all are loaded. *Errors*: Io. Groups that are not Sound are in `reports`.
    [[nodiscard]] Status start();
    // Opens another group, on the worker id mod workers, which then runs `done`; the machine is
    // loaded by then. A copy that is on the disk goes on, otherwise a new one is made.
    // *Errors*, given to `done`: AlreadyExists; Unavailable while it is being removed; Io.
    // Requires: started.
    void create(const GroupOptions& options, StateMachine& machine,
                std::function<void(Result<Group*>)> done);
    // Removes the copy with everything it has on the disk, open or not: see GroupRunner::remove.
    // Its worker runs `done`: everything is gone, or Unavailable while it is being removed already.
    // Not called when the host stops before. Requires: started.
    void remove(GroupId id, std::function<void(Status)> done);

    // Clean: no more tasks, what is under way becomes durable, state flushed, mark written.
    // Nothing acknowledged depends on it.
    void stop();

    [[nodiscard]] uint32_t workers() const;
    [[nodiscard]] Worker& worker(WorkerId id);
    // Where it is, or would be.
    [[nodiscard]] Worker& worker_of(GroupId id);
    // Null when it is not open. On its worker at any time, elsewhere only while nothing is created
    // or removed. Requires: started.
    [[nodiscard]] Group* group(GroupId id);
    // Of all that are open, ascending. Waits for the workers: not on one of them.
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
