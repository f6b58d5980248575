// What a group replicates: the one interface between Raft and everything that is decided by
// commands (shards, wildcards, meta).
#pragma once

#include <cstdint>

#include "cluster/group/command_batch.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "storage/state_store.h"

namespace quorate::cluster {

// A committed entry. `time` never falls from one entry of a group to the next.
struct CommandEntry {
    EntryId id;
    ClusterTime time;
    CommandReader commands;  // a copy is cheap; views live until `applied` of this entry returns
};

// *Thread*: the group's worker; every call, in this order: `load`, then `apply`... `applied` per
// turn, with `on_leader` and `on_follower` in between. `load` again, with another store, when a
// snapshot has replaced the state of a follower: nothing of before may be left.
// *Owner*: whoever built it; it outlives the host.
// *Errors*: an error of `load` or `apply` stops this replica of the group, for ever in this
// process, and is reported. `apply` answers Corrupt for what no leader could have proposed.
class StateMachine {
  public:
    virtual ~StateMachine() = default;

    // Builds what it keeps in memory from `store`, which holds exactly the effects of entries up to
    // `applied` (0: nothing yet). Keys are this group's own and begin with the family byte. The
    // store stays valid until the host stops; the machine may keep the reference for later reads.
    [[nodiscard]] virtual Status load(storage::StateStore& store, LogIndex applied,
                                      ClusterTime time) = 0;

    // Deterministic: what it does depends on state and entry alone. Writes what must outlive a
    // restart into `batch`, reads nothing from the store (earlier entries of this turn are not
    // there yet). Nothing may leave before `applied`.
    [[nodiscard]] virtual Status apply(const CommandEntry& entry, storage::StateBatch& batch) = 0;

    // Once per turn, after the batch was written: now what was decided may be told to others.
    virtual void applied(LogIndex index) = 0;

    // This replica leads, and its own first entry of `term` is applied: it may propose,
    // answer reads, and drive what the state says is owed.
    virtual void on_leader(Term term) = 0;
    // It led in an earlier term and does not any more. Commands it proposed may still be applied.
    virtual void on_follower(Term term) = 0;

    // The replica was removed from this node: the store that `load` gave and the group are about to
    // go. Another may be loaded later.
    virtual void unloaded() {}
};

}  // namespace quorate::cluster
