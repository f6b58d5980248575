// What the Raft core of a group reads back from its log once it left memory.
#pragma once

#include <cstddef>
#include <vector>

#include "cluster/group/group.h"
#include "cluster/raft/raft_log.h"
#include "storage/log_store.h"

namespace quorate::cluster {

// *Thread*: the worker. *Owner*: the group. *Errors*: of the store; an unknown kind is Corrupt.
class Group::Reader final : public raft::LogReader {
  public:
    Reader(const storage::LogStore& log, GroupId group) : log_(log), group_(group) {}

    [[nodiscard]] Result<std::vector<raft::Entry>> read(LogIndex from, LogIndex to,
                                                        std::size_t bytes_max) const override {
        std::vector<raft::Entry> entries;
        bool known = true;
        const Status read =
            log_.read(group_, from, to, bytes_max, [&](const storage::StoredEntry& stored) {
                const auto kind = static_cast<raft::EntryKind>(stored.kind);
                known = kind == raft::EntryKind::Empty || kind == raft::EntryKind::Command ||
                        kind == raft::EntryKind::Configuration;
                if (known) {
                    entries.push_back(
                        raft::Entry{stored.id, kind, SharedBytes(as_bytes(stored.data))});
                }
                return known;
            });
        if (!read) return read.error();
        if (!known) return Error{ErrorCode::Corrupt, "an entry of unknown kind in the log"};
        return entries;
    }

  private:
    const storage::LogStore& log_;
    const GroupId group_;
};

}  // namespace quorate::cluster
