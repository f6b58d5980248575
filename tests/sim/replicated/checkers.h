// Observers of a replicated shard: they see messages, writes, what is applied and what state that
// leads to, and know nothing of how a replica comes to it.
//
//   R1  at most one leader a term
//   R2  equal (index, term) means an equal prefix: the chained hash of each is written once
//   R3  what was applied anywhere in a term is in the log of every leader of a later one
//   R4  the same index leads to the same state everywhere, in every life
//   R5  a promise leaves when what it rests on is durable; nothing is applied that is not
//
// *Thread*: one. *Owner*: the simulation. *Errors*: the stage keeps the first violation.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "cluster/raft/messages.h"
#include "storage/log_store.h"
#include "tests/sim/replicated/stage.h"

namespace quorate::sim::replicated {

class Checkers {
  public:
    explicit Checkers(Stage& stage) : stage_(stage) {}

    // A replica gave this to its disk; later its disk has it; or it began again from its disk. What
    // a name was that the disk was given last is void when it is given another.
    void handed_out(uint32_t replica, const storage::LogBatch& batch);
    void durable(uint32_t replica, const storage::LogBatch& batch);
    void started(uint32_t replica);
    void sent(uint32_t replica, const raft::Message& message);
    // `term`: the replica's own, in which it knows the entry for committed at the latest.
    void applied(uint32_t replica, EntryId entry, Term term);
    // The state after `index`, as one number.
    void state(LogIndex index, uint64_t digest);
    // From now on it is outside, until it has begun anew: its disk was damaged.
    void lost(uint32_t replica);
    [[nodiscard]] bool is_lost(uint32_t replica) const { return durable_[replica].lost; }
    // Its disk is another one now, and empty.
    void replaced(uint32_t replica);
    // Its durable mark is of what is on the disk.
    void marked(uint32_t replica) { durable_[replica].mark_of_another = false; }
    // The mark is of an earlier name: after a crash the disk is taken for one that forgot.
    [[nodiscard]] bool mark_of_another(uint32_t replica) const {
        return durable_[replica].mark_of_another;
    }
    // Its state holds everything up to here.
    void reached(uint32_t replica, LogIndex index);

    // Under which its disk knows it; 0: none.
    [[nodiscard]] ReplicaId name(uint32_t replica) const { return durable_[replica].name; }
    // The newest committed configuration.
    [[nodiscard]] raft::Configuration committed_configuration() const;
    // It, and all that are above it in any log that is not lost: what may be in force.
    [[nodiscard]] std::vector<raft::Configuration> configurations() const;

  private:
    struct Link {
        Term term;
        uint64_t chain = 0;
    };
    // A log as hashes: of what it was given, or of what its disk has.
    struct Mirror {
        ReplicaId name;
        bool lost = false;
        bool mark_of_another = false;
        std::map<uint64_t, raft::Configuration> changes;  // by index; the first may be the base's
        uint64_t base = 0;
        uint64_t base_chain = 0;
        std::deque<Link> links;  // of base + 1, ...
        Term term;               // hard state
        ReplicaId vote;
        std::map<Term, uint64_t> replaced_from;  // the lowest that was truncated in a term

        void replaced(uint64_t from);
        // What was the log's at `index` in term `promised` gave way to a leader of a later term.
        [[nodiscard]] bool replaced_after(Term promised, uint64_t index) const;
        [[nodiscard]] uint64_t last() const { return base + links.size(); }
        [[nodiscard]] const Link* at(uint64_t index) const {
            return index > base && index <= last() ? &links[index - base - 1] : nullptr;
        }
    };
    void take(Mirror& mirror, const storage::LogBatch& batch, bool first);
    static void rename(Mirror& mirror, const storage::LogBatch& batch);
    void append(Mirror& mirror, const storage::LogAppend& entry, bool first);
    void begin_at(Mirror& mirror, const storage::GroupMeta& meta);
    void led(uint32_t replica, ReplicaId name, Term term);
    template <typename Visit>
    void visit_changes(const Visit& visit) const;
    void accepted(uint32_t replica, Term term, uint64_t index);

    Stage& stage_;
    std::array<Mirror, kReplicasMax> handed_;
    std::array<Mirror, kReplicasMax> durable_;
    std::map<Term, ReplicaId> leaders_;
    std::vector<std::vector<Link>> seen_;  // by index: in the log of anybody
    std::map<uint64_t, Link> applied_;     // what was committed
    std::map<Term, uint64_t> known_in_;    // the highest of them, by the term it was applied in
    std::map<uint64_t, uint64_t> states_;
    LogIndex committed_;
};

}  // namespace quorate::sim::replicated
