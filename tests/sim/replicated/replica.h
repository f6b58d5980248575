// One replica: a disk, and on it one process after the other, each with its own GroupRunner, lanes
// and clock.
//
// *Thread*: one. *Owner*: the simulation.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "cluster/group/group_runner.h"
#include "tests/sim/replicated/disk.h"
#include "tests/sim/replicated/machine.h"
#include "tests/sim/replicated/stage.h"

namespace quorate::sim::replicated {

class Replica final : private cluster::MessageSink {
  public:
    Replica(Stage& stage, Checkers& checkers, uint32_t index);
    ~Replica() override;

    // Begins a process on what the disk holds.
    void start();
    // Ends it; `down` later it begins again. 0: not by itself.
    void crash(Micros down, bool damage);

    void handle(const Event& event, Packet& packet);
    // Takes a turn soon.
    void wake();

    [[nodiscard]] bool running() const { return runner_ != nullptr; }
    // Runs, and its group is sound.
    [[nodiscard]] bool sound() const;
    [[nodiscard]] bool leads() const { return sound() && machine_->leading(); }
    [[nodiscard]] uint32_t life() const { return life_; }
    // Requires: running().
    [[nodiscard]] cluster::Group& group() { return *group_; }
    [[nodiscard]] Machine& machine() { return *machine_; }
    [[nodiscard]] Disk& disk() { return disk_; }

  private:
    class LocalClock final : public Clock {
      public:
        LocalClock(const Stage& stage, uint64_t rate, uint64_t offset)
            : stage_(stage), rate_(rate), offset_(offset) {}
        [[nodiscard]] std::chrono::nanoseconds now() const override {
            return std::chrono::nanoseconds(offset_ + stage_.now * rate_);
        }
        [[nodiscard]] std::chrono::milliseconds wall() const override { return {}; }

      private:
        const Stage& stage_;
        const uint64_t rate_;  // nanoseconds in one of ours
        const uint64_t offset_;
    };

    void send(GroupId group, raft::Message message) override;
    void post(raft::Message message);
    void take(const Event& event, Packet& packet);
    void turn();
    void keep(EventKind kind);
    void schedule(EventKind kind, Micros after);
    void judge_start();
    [[nodiscard]] LogIndex cut_limit() const;
    void send_kept();

    Stage& stage_;
    Checkers& checkers_;
    const uint32_t index_;
    LocalClock clock_;
    Disk disk_;
    uint32_t life_ = 0;
    std::unique_ptr<Machine> machine_;
    std::unique_ptr<cluster::GroupRunner> runner_;
    cluster::Group* group_ = nullptr;
    uint32_t completions_ = 0;
    bool turn_due_ = false;
    LogIndex synced_;  // read before the flush under way
    bool noticed_ = false;
    // Mutant::ApplyBeforeWrite: promises, and how many writes have to be durable first.
    std::deque<std::pair<uint64_t, raft::Message>> kept_;
};

}  // namespace quorate::sim::replicated
