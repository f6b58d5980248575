// The simulator's disk layer: log, groups and their state machines of one node in one thread, in
// virtual time, through crashes of a disk that keeps, loses and damages what it likes of what was
// not synced.
//
// Production code from GroupRunner down to the stored records; only disk, clock and clients are
// simulated. Everything follows from the seed. The invariants are watched by an observer at the
// state machine's border:
//   R4  the same index always leads to the same state, in every life of the process
//   R5  what was applied was durable: no later life knows less
//   R6  a log that lost what it had promised is noticed, and its replica takes no part
//   R9  without faults everything that is proposed is applied
// At the end the whole history is replayed into an empty state machine, which must come to the same
// state. What the clients of a state machine may see is watched by its Subject.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/group/state_machine.h"
#include "proto/base/environment.h"
#include "proto/base/ids.h"

namespace quorate::sim {

// A state machine and whoever makes commands for it: the toy, or a real shard.
class Subject {
  public:
    virtual ~Subject() = default;
    [[nodiscard]] virtual cluster::StateMachine& machine() = 0;
    // The process that it is part of begins; not called for the one that replays.
    virtual void begin() {}
    // A command that makes sense now, or nothing. Called while this replica leads; the command is
    // proposed.
    [[nodiscard]] virtual std::optional<std::string> next_command(Random& random,
                                                                  ClusterTime now) = 0;
    // From now on commands only end what was begun, until there are none.
    virtual void close() {}
    // Closed and at rest: what was owed must have happened.
    virtual void judge() {}
    // What its clients saw and must never see; empty: nothing.
    [[nodiscard]] virtual std::string complaint() const { return {}; }
    // Of the whole replicated state, equal on equal states.
    [[nodiscard]] virtual uint64_t digest() const = 0;
};
// Makes what a fresh process would have: nothing in memory.
using SubjectFactory = std::function<std::unique_ptr<Subject>(GroupId group)>;

[[nodiscard]] std::unique_ptr<Subject> make_toy_subject(GroupId group);

// Deliberate mistakes, to see that the observer notices them.
enum class Mutant : uint8_t {
    None,
    AcknowledgeBeforeWrite,  // the log completes a request before the disk has it
    CutBeforeFlush,          // the log is cut below what was applied but not flushed
    ForgetMarkedWrites,      // the disk lies: writes behind the durable mark vanish
};

struct DiskSimulationOptions {
    uint64_t seed = 1;
    uint32_t steps = 3000;
    Mutant mutant = Mutant::None;
    SubjectFactory subject = make_toy_subject;
    // False: only the subjects' own complaints count, to see that these suffice.
    bool observe = true;
    // Now and then seconds pass at once: for machines with expiries.
    bool pauses = false;
    // A line per event.
    std::function<void(const std::string&)> trace;
};

struct DiskSimulationResult {
    std::string violation;    // empty: all invariants held
    uint32_t step = 0;        // when it was noticed
    uint64_t trace_hash = 0;  // equal for equal runs
    // How often what matters really happened.
    uint64_t crashes = 0;
    uint64_t writes_lost = 0;
    uint64_t flushes = 0;
    uint64_t cuts = 0;
    uint64_t replays = 0;  // lives that began with entries to replay
    uint64_t damages = 0;  // bits flipped
    uint64_t noticed = 0;  // of them, and of lies, by a group that stopped
    uint64_t applied = 0;
    uint64_t entries_replayed = 0;  // at the end
};

[[nodiscard]] DiskSimulationResult simulate_disk(const DiskSimulationOptions& options);

}  // namespace quorate::sim
