// One group on stores in memory, turn by turn, without threads.
//
// *Thread*: one. *Owner*: a test.
#pragma once

#include <deque>
#include <memory>

#include "cluster/group/group.h"
#include "cluster/group/group_runner.h"
#include "storage/memory_stores.h"
#include "tests/sim/toy_machine.h"
#include "tests/unit/catch.h"

namespace quorate::cluster::test {

using sim::ToyMachine;

class FixedClock final : public Clock {
  public:
    [[nodiscard]] std::chrono::nanoseconds now() const override { return time; }
    [[nodiscard]] std::chrono::milliseconds wall() const override { return {}; }
    std::chrono::nanoseconds time{std::chrono::seconds(1)};
};

// A log that writes when it is told to.
class ManualLog final : public storage::LogSink {
  public:
    explicit ManualLog(storage::LogStore& store) : store_(store) {}
    void submit(storage::LogRequest request) override { waiting.push_back(std::move(request)); }
    bool write_one() {
        if (waiting.empty()) return false;
        REQUIRE(store_.write({&waiting.front().batch, 1}, storage::Durability::Synced).ok());
        Task done = std::move(waiting.front().done);
        waiting.pop_front();
        done();
        return true;
    }
    std::deque<storage::LogRequest> waiting;

  private:
    storage::LogStore& store_;
};

struct Bench {
    storage::MemoryLogStore log;
    storage::MemoryStateStore state;
    FixedClock clock;
    ManualLog sink{log};
    uint64_t disk_percent = 0;
    storage::DiskWatch disk{[this] { return storage::DiskUse{100, disk_percent}; }};
    ToyMachine machine;
    std::unique_ptr<GroupRunner> runner;
    Group* group = nullptr;

    explicit Bench(GroupOptions options = {}) { restart(options); }
    void restart(GroupOptions options = {}) {
        sink.waiting.clear();
        options.id = GroupId(16);
        GroupRunnerOptions runner_options;
        runner_options.post_log_done = [this] { runner->log_done(); };
        runner = std::make_unique<GroupRunner>(GroupContext{log, state, clock, &disk, nullptr},
                                               sink, runner_options);
        auto added = runner->add(options, machine);
        REQUIRE(added.ok());
        group = *added;
    }
    void settle() {
        while (runner->turn() || sink.write_one())
            continue;
    }
    Status propose(uint64_t number, Growth growth = Growth::Grows) {
        return group->propose(ToyMachine::command(1, number, "x"), growth);
    }
};

}  // namespace quorate::cluster::test
