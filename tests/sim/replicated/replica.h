// One node for a replica: a disk, and on it one process after the other, each with its own
// GroupRunner, lanes and clock. Under which name it takes part changes when its disk is lost.
//
// *Thread*: one. *Owner*: the simulation.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cluster/group/group_runner.h"
#include "tests/sim/replicated/disk.h"
#include "tests/sim/replicated/machine.h"
#include "tests/sim/replicated/stage.h"

namespace quorate::sim::replicated {

class Replica final : private cluster::MessageSink, private cluster::StateFlusher {
  public:
    Replica(Stage& stage, Checkers& checkers, uint32_t index);
    ~Replica() override;

    // What a process on an empty disk takes part as; a newcomer when the configuration does not
    // name it.
    void allot(ReplicaId self, raft::Configuration configuration);
    // 0: nobody's.
    [[nodiscard]] ReplicaId self() const { return self_; }
    // Begins a process on what the disk holds.
    void start();
    // What was on the disk is void: the process goes on under another name.
    void rejoin(ReplicaId self, const raft::Configuration& configuration);
    // Ends the process and empties the disk.
    void replace_disk();
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
    [[nodiscard]] Disk& disk() { return *disk_; }

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
    void flush(std::function<void()> done) override;
    void flushed();
    void note_snapshot(const raft::Message& message);
    void post(raft::Message message);
    void take(const Event& event, Packet& packet);
    void turn();
    void keep(EventKind kind);
    void schedule(EventKind kind, Micros after);
    void judge_start();
    [[nodiscard]] LogIndex cut_limit() const;
    void send_kept();
    void count();

    Stage& stage_;
    Checkers& checkers_;
    const uint32_t index_;
    LocalClock clock_;
    std::unique_ptr<Disk> disk_;
    ReplicaId self_;
    raft::Configuration configuration_;  // of an empty disk
    uint32_t life_ = 0;
    std::unique_ptr<Machine> machine_;
    std::unique_ptr<cluster::GroupRunner> runner_;
    cluster::Group* group_ = nullptr;
    uint32_t completions_ = 0;
    bool turn_due_ = false;
    LogIndex synced_;                             // read before the flush under way
    std::vector<std::function<void()>> flushes_;  // asked for by the group
    // The snapshot that is on its way here, until it is installed.
    std::optional<std::pair<ReplicaId, raft::TransferId>> incoming_;
    uint64_t states_compared_ = 0;  // as counted so far, of this life
    uint64_t appends_refused_ = 0;
    // Mutant::ApplyBeforeWrite: promises, and how many writes have to be durable first.
    std::deque<std::pair<uint64_t, raft::Message>> kept_;
};

using Replicas = std::vector<std::unique_ptr<Replica>>;

}  // namespace quorate::sim::replicated
