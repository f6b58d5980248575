// A shard worker: the one thread that owns some groups, runs their state machines and everything
// the leader does with them.
//
// Turn: take all posted tasks, run them, run due timers, run the groups (GroupRunner), call the
// turn-end hooks. No waiting inside a turn; between turns until there is a task or a deadline.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "cluster/group/group.h"
#include "cluster/group/group_runner.h"
#include "proto/base/environment.h"
#include "proto/base/ids.h"
#include "proto/base/metrics.h"
#include "proto/base/result.h"
#include "proto/base/task.h"
#include "storage/log_writer.h"

namespace quorate::cluster {

using TimerId = Id<struct TimerIdTag, uint64_t>;  // never reused; 0 is none

struct WorkerOptions {
    WorkerId id;
    std::size_t mailbox_tasks_max = 65'536;
    std::size_t timers_max = 65'536;
    std::chrono::milliseconds tick{100};
    Metrics* metrics = nullptr;                    // null: none
    std::function<void(const Error&)> on_failure;  // see GroupRunnerOptions
};

// *Thread*: `post`, `post_reserved`, `start`, `stop` and `heartbeat` from any; all else on the
// worker's own thread, or before `start`. *Owner*: the group host.
class Worker {
  public:
    Worker(WorkerOptions options, GroupContext context, storage::LogSink& sink);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    void start();
    // Runs what is posted until then, finishes what is with the log writer, ends the thread.
    // Requires: the log writer still runs.
    void stop();

    // False, and the task untouched, when the mailbox is full: never blocks.
    [[nodiscard]] bool post(Task& task);
    // For answers whose place the asker has reserved, and for the host: cannot fail.
    void post_reserved(Task task);

    // Runs `task` on this worker once, not before `delay`. LimitExceeded at `timers_max`.
    // Granularity is that of the clock: a turn is woken for it.
    [[nodiscard]] Result<TimerId> call_later(std::chrono::nanoseconds delay, Task task);
    // Nothing happens when it ran already.
    void cancel(TimerId timer);

    // Called at the end of every turn in the order added: where staged outputs leave at once.
    // Before `start` only.
    void on_turn_end(std::function<void()> hook);

    [[nodiscard]] Group* group(GroupId id);
    [[nodiscard]] GroupRunner& runner();
    [[nodiscard]] WorkerId id() const;
    [[nodiscard]] const Clock& clock() const;
    [[nodiscard]] bool in_thread() const;

    // Turns begun so far: a worker that stands still for long is a reason to abort the process.
    [[nodiscard]] uint64_t heartbeat() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::cluster
