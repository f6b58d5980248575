// A broker of one replica of one shard, taken forward one small step at a time, so that it can be
// ended between any two: its disk, its life, and what its leader owes.
//
// *Thread*: one. *Owner*: an exploration.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cluster/group/group_runner.h"
#include "cluster/shard/shard_state.h"
#include "storage/log_writer.h"
#include "storage/memory_stores.h"

namespace quorate::sim::crashes {

// Deliberate mistakes, to see that the exploration notices them.
enum class Mistake : uint8_t {
    None,
    AcknowledgeBeforeWrite,  // the log completes a request before the disk has it
    CutBeforeFlush,
    ForgetReceived,  // records that are kept in memory only
    ForgetRepeats,
    ForgetCursor,
};
constexpr uint32_t kMistakes = 6;

class Broker final : public cluster::StateMachine, public storage::LogSink {
  public:
    explicit Broker(Mistake mistake) : mistake_(mistake) {}

    // Begins a life on what the disk holds. Empty, or why it cannot.
    [[nodiscard]] std::string start();
    // Power loss: so many of the writes under way became durable all the same, and of the state so
    // many batches since the last flush.
    void crash(std::size_t log_writes, std::size_t state_batches);
    [[nodiscard]] std::size_t log_writes() const { return waiting_.size(); }
    [[nodiscard]] std::size_t state_batches() const { return state_store_.unflushed(); }

    // Takes a turn, or writes what the last one gave to the disk. False: nothing is left to do.
    bool step();
    // Flushes the state and cuts the log.
    void keep_house();
    void propose(const std::string& command);

    [[nodiscard]] Incarnation incarnation() const { return make_incarnation(NodeId(1), life_); }
    [[nodiscard]] const cluster::ShardState& state() const { return *shard_; }
    [[nodiscard]] ClusterTime time() const { return group_->time(); }
    [[nodiscard]] LogIndex applied() const { return group_->applied(); }
    // What was let out since.
    [[nodiscard]] std::vector<cluster::Answer> take_answers() { return std::exchange(told_, {}); }
    [[nodiscard]] std::vector<cluster::LetGo> take_let_gos() { return std::exchange(asked_, {}); }

  private:
    class StandingClock final : public Clock {
      public:
        [[nodiscard]] std::chrono::nanoseconds now() const override {
            return std::chrono::seconds(1);
        }
        [[nodiscard]] std::chrono::milliseconds wall() const override { return {}; }
    };

    void submit(storage::LogRequest request) override;
    void write();
    [[nodiscard]] Status load(storage::StateStore& store, LogIndex applied,
                              ClusterTime time) override;
    [[nodiscard]] Status apply(const cluster::CommandEntry& entry,
                               storage::StateBatch& batch) override;
    void applied(LogIndex index) override;
    void on_leader(Term term) override;
    void on_follower(Term /*term*/) override {}
    void propose_own(const cluster::CommandBody& body);
    void work();
    void hand_over();

    const Mistake mistake_;
    StandingClock clock_;
    storage::MemoryLogStore log_store_;
    storage::MemoryStateStore state_store_;
    std::deque<storage::LogRequest> waiting_;
    uint32_t life_ = 0;

    // Of a life.
    std::unique_ptr<cluster::ShardState> shard_;
    std::unique_ptr<cluster::GroupRunner> runner_;
    cluster::Group* group_ = nullptr;
    cluster::Actions actions_;
    std::vector<cluster::Answer> told_;
    std::vector<cluster::LetGo> asked_;
    std::map<cluster::OutboxTarget, OutboxNumber> handed_over_;
    std::map<uint64_t, std::pair<cluster::OutboxTarget, OutboxNumber>> under_way_;  // by number
    RouteSerial made_;
    uint64_t last_hand_over_ = 0;
    std::size_t unapplied_ = 0;  // commands proposed
    bool turn_due_ = false;
    bool owes_node_downs_ = false;
};

}  // namespace quorate::sim::crashes
