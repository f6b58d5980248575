#include "storage/log_store.h"

namespace quorate::storage {

void LogBatch::append(GroupId group, EntryId id, uint8_t kind, SharedBytes data) {
    ++entries_;
    bytes_ += data.size();
    changes_.emplace_back(LogAppend{group, id, kind, std::move(data)});
}

void LogBatch::truncate(GroupId group, LogIndex from) {
    changes_.emplace_back(LogTruncate{group, from});
}

void LogBatch::cut(GroupId group, EntryId base, std::string configuration) {
    changes_.emplace_back(LogCut{group, base, std::move(configuration)});
}

void LogBatch::hard_state(GroupId group, const HardState& state) {
    changes_.emplace_back(LogHardState{group, state});
}

void LogBatch::meta(GroupId group, GroupMeta meta) {
    changes_.emplace_back(LogMeta{group, std::move(meta)});
}

void LogBatch::remove(GroupId group) {
    changes_.emplace_back(LogRemove{group});
}

void LogBatch::clear() {
    changes_.clear();
    entries_ = 0;
    bytes_ = 0;
}

}  // namespace quorate::storage
