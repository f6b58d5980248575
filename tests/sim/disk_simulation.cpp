// Long, because it is one loop over everything that can happen to a node and its disk.
#include "tests/sim/disk_simulation.h"

#include <chrono>
#include <deque>
#include <map>
#include <utility>

#include "cluster/group/group_ids.h"
#include "cluster/group/group_runner.h"
#include "proto/base/hash.h"
#include "storage/memory_stores.h"
#include "tests/sim/observer.h"
#include "tests/sim/toy_machine.h"

namespace quorate::sim {
namespace {

using cluster::Group;
using cluster::GroupHealth;

constexpr uint64_t kPauseMax_ms = 4000;
// Of 100 ms each: longer than any delay of a subject.
constexpr int kIdleRounds = 50;
constexpr int kClosingRoundsMax = 5000;

class ToySubject final : public Subject {
  public:
    [[nodiscard]] cluster::StateMachine& machine() override { return machine_; }
    [[nodiscard]] std::optional<std::string> next_command(Random& random,
                                                          ClusterTime /*now*/) override {
        if (closed_) return std::nullopt;
        const auto writer = static_cast<uint32_t>(random.below(4));
        uint64_t& next = next_[writer];
        next = std::max(next, machine_.number(writer)) + 1;
        return ToyMachine::command(writer, next, std::string(random.below(200), 'p'));
    }
    void close() override { closed_ = true; }
    [[nodiscard]] uint64_t digest() const override { return machine_.digest(); }

  private:
    ToyMachine machine_;
    bool closed_ = false;
    std::map<uint32_t, uint64_t> next_;
};

class VirtualClock final : public Clock {
  public:
    [[nodiscard]] std::chrono::nanoseconds now() const override { return time; }
    [[nodiscard]] std::chrono::milliseconds wall() const override { return {}; }
    std::chrono::nanoseconds time{std::chrono::seconds(1)};
};

// The log under way to the disk.
class SlowLog final : public storage::LogSink {
  public:
    SlowLog(storage::LogStore& store, bool early) : store_(store), early_(early) {}

    void submit(storage::LogRequest request) override {
        waiting_.push_back(std::move(request));
        if (early_) waiting_.back().done();
    }
    [[nodiscard]] bool busy() const { return !waiting_.empty(); }

    // The oldest requests, as one write.
    void write(std::size_t count) {
        std::vector<storage::LogRequest> taken;
        for (; count > 0 && !waiting_.empty(); --count) {
            taken.push_back(std::move(waiting_.front()));
            waiting_.pop_front();
        }
        store(taken);
        for (storage::LogRequest& request : taken) {
            if (!early_) request.done();
        }
    }
    // At a crash: the write under way may reach the disk although nobody is told. How many did not?
    std::size_t interrupt(Random& random) {
        if (busy() && random.chance(1, 2)) {
            std::vector<storage::LogRequest> taken;
            taken.push_back(std::move(waiting_.front()));
            waiting_.pop_front();
            store(taken);
        }
        const std::size_t lost = waiting_.size();
        waiting_.clear();
        return lost;
    }

  private:
    void store(std::vector<storage::LogRequest>& requests) {
        std::vector<storage::LogBatch> batches;
        for (storage::LogRequest& request : requests) {
            batches.push_back(std::move(request.batch));
        }
        ASSERT(store_.write(batches, storage::Durability::Synced).ok(), "memory does not fail");
    }

    storage::LogStore& store_;
    const bool early_;
    std::deque<storage::LogRequest> waiting_;
};

// What a seed makes likely.
struct Shape {
    uint32_t groups = 1;
    uint64_t crash_in = 0;   // one step in so many; 0: never
    uint64_t damage_in = 0;  // one crash in so many
    uint64_t flush_in = 20;
    uint64_t mark_in = 20;
    uint64_t pause_in = 0;  // one step in so many
    std::size_t entry_bytes = 1000;
};

class DiskSimulation {
  public:
    explicit DiskSimulation(const DiskSimulationOptions& options)
        : options_(options),
          random_(options.seed),
          shape_(draw_shape()),
          sink_(log_, options.mutant == Mutant::AcknowledgeBeforeWrite) {}

    DiskSimulationResult run() {
        begin_life();
        for (uint32_t step = 0; step < options_.steps && ok() && !stopped_; ++step) {
            result_.step = step;
            one_step();
        }
        if (ok() && !stopped_) finish();
        result_.violation = violation_;
        for (const auto& [group, history] : histories_) {
            result_.applied += history.acknowledged;
        }
        return result_;
    }

  private:
    Shape draw_shape() {
        Shape shape;
        shape.groups = 1 + static_cast<uint32_t>(random_.below(3));
        // One seed in ten has no faults.
        if (!random_.chance(1, 10)) shape.crash_in = 20 + random_.below(300);
        if (random_.chance(1, 3)) shape.damage_in = 2 + random_.below(5);
        shape.flush_in = 5 + random_.below(200);
        shape.mark_in = 5 + random_.below(200);
        shape.entry_bytes = 100 + random_.below(3000);
        if (options_.pauses) shape.pause_in = 20 + random_.below(200);
        return shape;
    }

    [[nodiscard]] bool ok() const { return violation_.empty(); }

    void note(const char* what, uint64_t number = 0) {
        const std::string line = std::string(what) + " " + std::to_string(number);
        result_.trace_hash = hash64(line, result_.trace_hash);
        if (options_.trace) options_.trace(std::to_string(result_.step) + " " + line);
    }
    void violate(const std::string& what) {
        if (violation_.empty()) violation_ = what;
    }

    void begin_life() {
        runner_.reset();
        observers_.clear();
        subjects_.clear();
        cluster::GroupRunnerOptions options;
        options.post_log_done = [this] { ++completions_; };
        completions_ = 0;
        runner_ = std::make_unique<cluster::GroupRunner>(
            cluster::GroupContext{log_, state_, clock_, nullptr, nullptr}, sink_, options);
        for (uint32_t i = 0; i < shape_.groups; ++i) {
            const GroupId id = cluster::group_of(ShardId(i));
            subjects_[id] = options_.subject(id);
            subjects_[id]->begin();
            observers_[id] = std::make_unique<Observer>(*subjects_[id], histories_[id], violation_,
                                                        options_.observe);
            cluster::GroupOptions group;
            group.id = id;
            group.entry_bytes = shape_.entry_bytes;
            const Result<Group*> added = runner_->add(group, *observers_[id]);
            ASSERT(added.ok(), "memory does not fail");
            judge_start(id, **added);
        }
        damaged_ = false;
    }

    void judge_start(GroupId id, Group& group) {
        note("start", group.applied().value());
        if (group.health() != GroupHealth::Sound) {
            stopped_ = true;
            if (damaged_) {
                ++result_.noticed;
            } else {
                violate("R5/R6: group " + std::to_string(id.value()) +
                        " does not start again: " + group.failure());
            }
            return;
        }
        if (group.log_bytes() > 0) ++result_.replays;
    }

    void one_step() {
        clock_.time += std::chrono::microseconds(1 + random_.below(500));
        if (shape_.pause_in != 0 && random_.chance(1, shape_.pause_in)) {
            clock_.time += std::chrono::milliseconds(random_.below(kPauseMax_ms));
        }
        if (shape_.crash_in != 0 && random_.chance(1, shape_.crash_in)) {
            crash();
            return;
        }
        switch (random_.below(6)) {
            case 0:
            case 1:
                propose();
                break;
            case 2:
            case 3:
                if (sink_.busy()) {
                    note("write");
                    sink_.write(1 + random_.below(3));
                }
                break;
            case 4:
                turn();
                break;
            default:
                keep_house();
                break;
        }
    }

    void turn() {
        for (; completions_ > 0; --completions_) {
            runner_->log_done();
        }
        runner_->turn();
    }

    void propose() {
        const GroupId id =
            cluster::group_of(ShardId(static_cast<uint32_t>(random_.below(shape_.groups))));
        Group& group = *runner_->find(id);
        if (!group.leading()) return;
        note("propose", propose(group, *subjects_[id], 1 + random_.below(10)));
    }

    // How many commands of a subject were proposed.
    uint64_t propose(Group& group, Subject& subject, uint64_t max) {
        uint64_t count = 0;
        for (; count < max; ++count) {
            const auto command = subject.next_command(random_, group.time());
            if (!command) break;
            ASSERT(group.propose(*command).ok(), "a leader with room takes every command");
        }
        if (std::string complaint = subject.complaint(); !complaint.empty()) violate(complaint);
        return count;
    }

    void keep_house() {
        if (random_.chance(1, shape_.mark_in) && !sink_.busy()) {
            ASSERT(log_.write_durable_mark().ok(), "memory does not fail");
            note("mark");
            marked_ = true;
        }
        if (!random_.chance(1, shape_.flush_in)) return;
        std::map<GroupId, LogIndex> synced;
        runner_->for_each(
            [&](Group& group) { synced.emplace(group.id(), group.synced_candidate()); });
        // Life goes on while the flush is under way.
        const uint64_t turns = random_.below(3);
        for (uint64_t i = 0; i < turns; ++i) {
            turn();
        }
        if (options_.mutant != Mutant::CutBeforeFlush) {
            ASSERT(state_.flush().ok(), "memory does not fail");
        }
        ++result_.flushes;
        note("flush");
        if (shape_.crash_in != 0 && random_.chance(1, 8)) {
            crash();
            return;
        }
        for (const auto& [id, index] : synced) {
            runner_->state_synced(id, index);
            ++result_.cuts;
        }
    }

    void crash() {
        ++result_.crashes;
        const std::size_t lost = sink_.interrupt(random_);
        result_.writes_lost += lost;
        runner_.reset();
        log_.crash(random_);
        state_.crash(random_);
        note("crash", lost);
        if (options_.mutant == Mutant::ForgetMarkedWrites && marked_) {
            log_.forget_writes(2 + random_.below(20));
        } else if (shape_.damage_in != 0 && random_.chance(1, shape_.damage_in)) {
            damaged_ = true;
            ++result_.damages;
            if (random_.chance(1, 2)) {
                log_.flip_bit(random_);
            } else {
                state_.flip_bit(random_);
            }
            note("damage");
        }
        begin_life();
    }

    // Heals everything and lets it come to rest: what is promised must all be there.
    void finish() {
        come_to_rest();
        for (const auto& [id, subject] : subjects_)
            subject->close();
        // Long enough for every delay, then until nobody has anything left to do.
        for (int idle = 0, i = 0; idle < kIdleRounds && i < kClosingRoundsMax && ok(); ++i) {
            uint64_t proposed = 0;
            runner_->for_each([&](Group& group) {
                if (group.leading()) proposed += propose(group, *subjects_[group.id()], 8);
            });
            idle = proposed == 0 ? idle + 1 : 0;
            clock_.time += std::chrono::milliseconds(100);
            come_to_rest();
        }
        for (const auto& [id, subject] : subjects_) {
            subject->judge();
            if (std::string complaint = subject->complaint(); !complaint.empty()) {
                violate(complaint);
            }
        }
        check_rest();
    }

    void come_to_rest() {
        for (int i = 0; i < 2000; ++i) {
            while (sink_.busy())
                sink_.write(8);
            turn();
            if (!sink_.busy() && completions_ == 0 && !runner_->turn()) break;
        }
    }

    // The whole history once more, from nothing.
    void replay(GroupId id) {
        const std::unique_ptr<Subject> fresh = options_.subject(id);
        storage::MemoryStateStore store;
        if (!fresh->machine().load(store, LogIndex(0), ClusterTime(0))) return;
        for (const auto& [index, entry] : histories_[id].entries) {
            cluster::CommandBatch commands;
            for (const std::string& command : entry.commands)
                commands.add(command);
            const SharedBytes data = commands.seal(entry.time);
            storage::StateBatch batch;
            const cluster::CommandEntry again{entry.id, entry.time,
                                              cluster::CommandReader(data.text())};
            const Status applied = fresh->machine().apply(again, batch);
            ASSERT(applied.ok() && store.write(batch).ok(), "it was applied before");
            ++result_.entries_replayed;
        }
        if (fresh->digest() != subjects_[id]->digest()) {
            violate("R4: a replay of the log leads to another state");
        }
    }

    void check_rest() {
        runner_->for_each([&](Group& group) {
            const History& history = histories_[group.id()];
            // A damaged record that was not needed yet is found when it is.
            if (group.health() != GroupHealth::Sound) {
                if (result_.damages == 0) violate("R9: a group stopped without a fault");
                return;
            }
            if (!group.leading()) violate("R9: a lone voter does not lead");
            if (options_.observe && group.applied().value() < history.acknowledged) {
                violate("R5: what was acknowledged is gone");
            }
            if (group.in_flight_bytes() != 0) violate("R9: a proposal is never applied");
            if (options_.observe) replay(group.id());
        });
        note("end");
    }

    const DiskSimulationOptions options_;
    Random random_;
    const Shape shape_;
    VirtualClock clock_;
    storage::MemoryLogStore log_;
    storage::MemoryStateStore state_;
    SlowLog sink_;
    std::map<GroupId, History> histories_;
    std::map<GroupId, std::unique_ptr<Subject>> subjects_;
    std::map<GroupId, std::unique_ptr<Observer>> observers_;
    std::unique_ptr<cluster::GroupRunner> runner_;
    uint64_t completions_ = 0;
    bool damaged_ = false;
    bool marked_ = false;
    bool stopped_ = false;
    std::string violation_;
    DiskSimulationResult result_;
};

}  // namespace

std::unique_ptr<Subject> make_toy_subject(GroupId /*group*/) {
    return std::make_unique<ToySubject>();
}

DiskSimulationResult simulate_disk(const DiskSimulationOptions& options) {
    return DiskSimulation(options).run();
}

}  // namespace quorate::sim
