// All groups of one worker, and what one turn does with them, without a thread: the worker runs it
// on its own, a simulation in virtual time.
//
// A turn: ticks that are due; for every touched group what it wants to append, all in ONE request
// to the log; what is committed and durable, all in ONE state batch; then the machines' callbacks.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "cluster/group/group.h"
#include "proto/base/environment.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "storage/log_writer.h"

namespace quorate::cluster {

struct TurnFigures {
    std::size_t groups_written = 0;
    std::size_t entries_written = 0;
    std::size_t entries_applied = 0;
    std::size_t commands_applied = 0;
    std::chrono::nanoseconds apply{};
};

struct GroupRunnerOptions {
    std::chrono::milliseconds tick{100};
    // Posts `log_done` back to this runner: called from wherever the sink completes a request.
    std::function<void()> post_log_done;
    // A state batch that could not be written: the process must stop. Default: fatal.
    std::function<void(const Error&)> on_failure;
};

// *Thread*: one at a time. *Owner*: a Worker or a simulation. Stores, sink and clock outlive it.
class GroupRunner {
  public:
    GroupRunner(GroupContext context, storage::LogSink& sink, GroupRunnerOptions options);
    ~GroupRunner();
    GroupRunner(const GroupRunner&) = delete;
    GroupRunner& operator=(const GroupRunner&) = delete;

    // Opens the group. AlreadyExists for a second one of the same id, Unavailable while one is
    // being removed.
    [[nodiscard]] Result<Group*> add(const GroupOptions& options, StateMachine& machine);
    // Null when not here. Pointers stay valid until the group is removed, or the runner gone.
    [[nodiscard]] Group* find(GroupId id);
    // This copy takes no part from now on, whether it is open or only on the disk: its machine is
    // unloaded, and then everything of it is removed, its promises included. `done` runs when that
    // is on stable storage; until then it cannot be added again, and a crash leaves either the copy
    // as it was, or none. Not from within a callback of the group.
    // *Errors*: Unavailable while it is being removed already.
    [[nodiscard]] Status remove(GroupId id, std::function<void()> done);
    template <typename Visit>
    void for_each(Visit&& visit) {
        for (auto& [id, group] : groups_)
            visit(*group);
    }

    // One turn. True when there is more to do at once.
    bool turn();
    // The oldest request under way is durable.
    void log_done();
    // A flush of the state store that began after `synced` was read from the group has finished.
    void state_synced(GroupId id, LogIndex synced);

    // When the next tick is due; nothing while no group needs ticks.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> next_tick() const;
    [[nodiscard]] std::size_t requests_in_flight() const { return requests_.size(); }
    [[nodiscard]] const TurnFigures& figures() const { return figures_; }
    [[nodiscard]] const GroupCounters& counters() const { return counters_; }

  private:
    void run_ticks();
    void write_log();
    [[nodiscard]] bool any_needs_ticks() const;
    void apply();
    void remove_state(GroupId id);

    struct Request {
        std::vector<Group*> writers;   // whose appends it carries
        std::vector<GroupId> removed;  // and of which nothing is left in the log
    };
    struct Removal {
        std::unique_ptr<Group> group;  // null: was not open
        std::function<void()> done;
    };

    GroupContext context_;
    storage::LogSink& sink_;
    GroupRunnerOptions options_;
    std::map<GroupId, std::unique_ptr<Group>> groups_;
    std::chrono::nanoseconds next_tick_{};
    std::vector<Group*> touched_;          // to be looked at in the next turn
    std::vector<Group*> turn_;             // of this turn
    std::vector<Group*> held_;             // with commands that wait until the disk is done
    std::map<GroupId, LogIndex> cuts_;     // synced, to be cut in the next turn
    std::deque<Request> requests_;         // under way
    std::map<GroupId, Removal> removals_;  // until nothing is left of them
    std::vector<GroupId> to_remove_;       // with the next write
    storage::StateBatch state_batch_;
    TurnFigures figures_;
    GroupCounters counters_;
};

}  // namespace quorate::cluster
