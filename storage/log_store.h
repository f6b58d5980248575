// The Raft logs of all groups of a node: entries, hard state and what a group needs to start again.
//
// Storage knows no Raft: it sees positions, opaque payloads and a number for their kind. One batch
// carries what many groups want to write; it becomes durable as a whole or not at all.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace quorate::storage {

// Raft §3.8: what a replica must not forget. `commit` is a hint: it saves replay, never safety.
struct HardState {
    Term term;
    ReplicaId voted_for;  // 0: nobody
    LogIndex commit;
    bool operator==(const HardState&) const = default;
};

// What a group is on this disk, apart from its entries.
struct GroupMeta {
    Generation generation;      // of its keys in the state store
    ReplicaId replica;          // who this copy is
    EntryId base;               // the log begins after this entry; (0, 0) when nothing was cut
    uint64_t base_chain = 0;    // chained hash up to and including `base`
    std::string configuration;  // of the Raft group as of `base`, opaque
    bool operator==(const GroupMeta&) const = default;
};

struct LogAppend {
    GroupId group;
    EntryId id;
    uint8_t kind = 0;
    SharedBytes data;
};
// Entries at `from` and above are void. Raft §3.5: only uncommitted ones.
struct LogTruncate {
    GroupId group;
    LogIndex from;
};
// The log begins after `base` from now on: what it says is in the state store, synced.
struct LogCut {
    GroupId group;
    EntryId base;
    std::string configuration;  // as of `base`; empty: that of the meta record still holds
};
struct LogHardState {
    GroupId group;
    HardState state;
};
struct LogMeta {
    GroupId group;
    GroupMeta meta;
};
// Nothing of the group is left, and what it had promised binds nobody: one may be made anew.
struct LogRemove {
    GroupId group;
};
using LogChange = std::variant<LogAppend, LogTruncate, LogCut, LogHardState, LogMeta, LogRemove>;

// Changes of any number of groups, in order. *Thread*: its holder's. Payloads are shared with the
// Raft core, not copied.
class LogBatch {
  public:
    void append(GroupId group, EntryId id, uint8_t kind, SharedBytes data);
    void truncate(GroupId group, LogIndex from);
    void cut(GroupId group, EntryId base, std::string configuration = {});
    void hard_state(GroupId group, const HardState& state);
    void meta(GroupId group, GroupMeta meta);
    void remove(GroupId group);

    [[nodiscard]] bool empty() const { return changes_.empty(); }
    [[nodiscard]] std::size_t entries() const { return entries_; }
    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    [[nodiscard]] const std::vector<LogChange>& changes() const { return changes_; }
    void clear();

  private:
    std::vector<LogChange> changes_;
    std::size_t entries_ = 0;
    std::size_t bytes_ = 0;  // of payloads
};

// Entries of this kind are handed out by `load`: they say who takes part in the group.
inline constexpr uint8_t kNotedKind = 2;
struct NotedEntry {
    EntryId id;
    std::string data;
};

// What `load` found. `amnesia` is empty for a sound log; otherwise it says in one sentence what the
// replica had promised and no longer has, and the replica must neither vote nor acknowledge.
struct GroupLog {
    bool exists = false;  // false: the group was never created on this disk, or was removed
    HardState hard_state;
    GroupMeta meta;
    EntryId last;                      // `meta.base` when there is no entry
    uint64_t last_chain = 0;           // chained hash up to `last`
    std::vector<EntryId> term_starts;  // the first entry of each run of equal terms, after the base
    std::vector<NotedEntry> noted;     // of kNotedKind, in order
    uint64_t bytes = 0;                // of payloads
    std::string amnesia;
};

struct StoredEntry {
    EntryId id;
    uint8_t kind = 0;
    uint64_t chain = 0;
    std::string_view data;  // until the callback returns
};

enum class Durability : uint8_t {
    Synced,    // on stable storage when write() returns
    Buffered,  // a power loss may cost it, and everything after it; a crash of the process may not
};

// *Thread*: `write` and `sync` from one thread at a time; all else from any, `load` not of a group
// that is being written to. *Owner*: the engine.
// *Errors*: Io from a write means that nobody knows what the disk holds: the process must end.
// Corrupt from `load` or `read`: that group stops and is rebuilt from other replicas; the message
// names group and index.
// *Spec*: Raft §3.8 (persisted state); the chained hash per entry checks Log Matching (§3.5).
class LogStore {
  public:
    // False ends the reading.
    using EntryCallback = std::function<bool(const StoredEntry&)>;

    virtual ~LogStore() = default;

    // One atomic write of all batches, in order.
    // Requires: every appended entry follows the last one of its group (or the truncation before
    // it); a cut names an entry that is in the log; the group's meta was written first.
    [[nodiscard]] virtual Status write(std::span<const LogBatch> batches,
                                       Durability durability) = 0;

    // How long the last write took before its sync. The thread that writes.
    [[nodiscard]] virtual std::chrono::nanoseconds last_append() const { return {}; }

    // What was written as Buffered is on stable storage when this returns.
    [[nodiscard]] virtual Status sync() = 0;

    // Groups with a meta record, ascending.
    [[nodiscard]] virtual Result<std::vector<GroupId>> groups() const = 0;

    // What the group's meta record says, without a look at the rest. NotFound; Corrupt.
    [[nodiscard]] virtual Result<GroupMeta> meta(GroupId group) const = 0;

    // Reads a group whole: checks every record, the chain and the durable mark. Requires before the
    // first write to a group that exists.
    [[nodiscard]] virtual Result<GroupLog> load(GroupId group) = 0;

    // Entries in [from, to), at least one, then until their payloads exceed `bytes_max`.
    // A missing or damaged entry is Corrupt.
    [[nodiscard]] virtual Status read(GroupId group, LogIndex from, LogIndex to,
                                      std::size_t bytes_max,
                                      const EntryCallback& callback) const = 0;

    // Notes in a second file how far each log is known to be durable, so that at the next start a
    // log that lost promised records is told from one whose last write never completed. Call it
    // now and then (a second apart) and at a clean stop; does nothing when nothing changed.
    [[nodiscard]] virtual Status write_durable_mark() = 0;
};

}  // namespace quorate::storage
