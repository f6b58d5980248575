// The half of a LogStore that is the same on every medium: what each group's log looks like, the
// chained hash, and the translation of LogBatches into puts and removals of framed records.
//
// *Thread*: its store's; not synchronised. *Owner*: a LogStore.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/result.h"
#include "storage/log_store.h"

namespace quorate::storage {

enum class LogOp : uint8_t { Put, Remove, RemoveRange };

// One change of the underlying ordered map. The value of an entry is `value` followed by `data`.
struct LogOperation {
    LogOp op = LogOp::Put;
    std::string key;
    std::string value;  // of a range: the key after its last
    SharedBytes data;
};

// Reads of the underlying map that a translation or a load needs.
class LogRecords {
  public:
    // False ends the scan.
    using Callback = std::function<bool(std::string_view key, std::string_view value)>;
    virtual ~LogRecords() = default;
    [[nodiscard]] virtual Result<bool> get(std::string_view key, std::string& value) const = 0;
    [[nodiscard]] virtual Status scan(std::string_view from, std::string_view to,
                                      const Callback& callback) const = 0;
};

// How far a log is known to be on disk. See LogStore::write_durable_mark.
struct DurableMark {
    GroupId group;
    LogIndex last;
    uint64_t chain = 0;  // up to `last`
    // How often the log had been shortened by then; each removal of the group counts as 2^32, so
    // that a mark of an earlier life says nothing of a later one.
    uint64_t truncations = 0;
    Term term;
    LogIndex commit;
    bool operator==(const DurableMark&) const = default;
};

class LogTable {
  public:
    // Reads a group whole and remembers where it ends. `mark`: what the second file says of it.
    [[nodiscard]] Result<GroupLog> load(GroupId group, const LogRecords& records,
                                        const std::optional<DurableMark>& mark);

    // Appends to `out` what the batch means, and moves the ends of the groups.
    [[nodiscard]] Status translate(const LogBatch& batch, const LogRecords& records,
                                   std::vector<LogOperation>& out);

    // Where all groups stand now.
    [[nodiscard]] std::vector<DurableMark> marks() const;

    // The generation of each loaded group.
    [[nodiscard]] std::map<GroupId, Generation> generations() const;

    // Groups that were removed, and not made again: no mark of theirs is to be kept.
    [[nodiscard]] std::set<GroupId> gone() const;

    void clear() {
        tails_.clear();
        gone_.clear();
    }

  private:
    struct Tail {
        GroupMeta meta;
        HardState hard_state;
        EntryId last;
        uint64_t chain = 0;
        uint64_t truncations = 0;
    };
    [[nodiscard]] Status translate(const LogAppend& change, std::vector<LogOperation>& out);
    [[nodiscard]] Status translate(const LogTruncate& change, const LogRecords& records,
                                   std::vector<LogOperation>& out);
    [[nodiscard]] Status translate(const LogCut& change, const LogRecords& records,
                                   std::vector<LogOperation>& out);
    [[nodiscard]] Status translate(const LogHardState& change, std::vector<LogOperation>& out);
    [[nodiscard]] Status translate(const LogMeta& change, std::vector<LogOperation>& out);
    [[nodiscard]] Status translate(const LogRemove& change, const LogRecords& records,
                                   std::vector<LogOperation>& out);

    std::map<GroupId, Tail> tails_;
    std::map<GroupId, uint64_t> gone_;  // removed: with which count the next life begins
};

// Entries in [from, to) out of the records of a group: the shared body of LogStore::read.
[[nodiscard]] Status read_entries(const LogRecords& records, GroupId group, LogIndex from,
                                  LogIndex to, std::size_t bytes_max,
                                  const LogStore::EntryCallback& callback);

// The shared body of LogStore::meta.
[[nodiscard]] Result<GroupMeta> group_meta(const LogRecords& records, GroupId group);

// Groups with a meta record, ascending: the shared body of LogStore::groups.
[[nodiscard]] Result<std::vector<GroupId>> group_list(const LogRecords& records);

}  // namespace quorate::storage
