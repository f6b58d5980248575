// Long, because what is written and what is read back are one format.
#include "storage/log_table.h"

#include "proto/base/assert.h"
#include "storage/keys.h"
#include "storage/records.h"

namespace quorate::storage {
namespace {

// No replica counts so far: a higher term or index was written by none, and could not be added to.
constexpr uint64_t kCountMax = uint64_t{1} << 62;

// What a removal adds to the count of truncations: see DurableMark.
constexpr uint64_t kLife = uint64_t{1} << 32;

std::string name_of(GroupId group) {
    return "group " + std::to_string(group.value());
}

Error corrupt(GroupId group, const std::string& what) {
    return Error{ErrorCode::Corrupt, name_of(group) + ": " + what};
}

// A put of a framed record.
LogOperation put(std::string key, const std::string& body) {
    LogOperation operation;
    append_frame(operation.value, key, body);
    operation.value += body;
    operation.key = std::move(key);
    return operation;
}

// The decoded body under a key; nothing when there is no such key.
template <typename T, typename Decode>
Result<std::optional<T>> read_record(const LogRecords& records, const std::string& key,
                                     Decode&& decode) {
    std::string stored;
    const Result<bool> found = records.get(key, stored);
    if (!found) return found.error();
    if (!*found) return std::optional<T>();
    const Result<std::string_view> body = open_frame(key, stored);
    if (!body) return body.error();
    Result<T> value = decode(*body);
    if (!value) return value.error();
    return std::optional<T>(std::move(*value));
}

Result<StoredEntry> open_entry(LogIndex index, std::string_view key, std::string_view stored) {
    const Result<std::string_view> body = open_frame(key, stored);
    if (!body) return body.error();
    return decode_entry(index, *body);
}

// Calls `visit(const StoredEntry&) -> bool` for the entries from `from` on, which must follow each
// other without a gap.
template <typename Visit>
Status visit_entries(const LogRecords& records, GroupId group, LogIndex from, LogIndex to,
                     Visit&& visit) {
    Status failure;
    LogIndex expected = from;
    const Status scanned =
        records.scan(entry_key(group, from), entry_key(group, to),
                     [&](std::string_view key, std::string_view stored) {
                         const std::optional<LogKey> parsed = parse_log_key(key);
                         if (!parsed || parsed->index != expected) {
                             failure = corrupt(group, "entry " + std::to_string(expected.value()) +
                                                          " is missing from the log");
                             return false;
                         }
                         const Result<StoredEntry> entry = open_entry(expected, key, stored);
                         if (!entry) {
                             failure = corrupt(group, "entry " + std::to_string(expected.value()) +
                                                          ": " + entry.error().message);
                             return false;
                         }
                         ++expected;
                         return visit(*entry);
                     });
    return scanned ? failure : scanned;
}

// What a log must still have according to its durable mark. Empty: everything is there.
std::string missing_promise(const GroupLog& log, uint64_t truncations, uint64_t chain_at_mark,
                            const DurableMark& mark) {
    const auto number = [](auto id) { return std::to_string(id.value()); };
    if (truncations / kLife > mark.truncations / kLife) return {};
    if (log.hard_state.term < mark.term) {
        return "the term is " + number(log.hard_state.term) + " but " + number(mark.term) +
               " was promised";
    }
    if (truncations < mark.truncations) return "a shortening of the log that was durable is lost";
    if (log.last.index < mark.commit) {
        return "the log ends at " + number(log.last.index) + " but " + number(mark.commit) +
               " was committed";
    }
    if (truncations > mark.truncations) return {};
    if (log.last.index < mark.last) {
        return "the log ends at " + number(log.last.index) + " but was durable up to " +
               number(mark.last);
    }
    if (mark.last >= log.meta.base.index && chain_at_mark != mark.chain) {
        return "the log up to " + number(mark.last) + " is not the one that was durable";
    }
    return {};
}

}  // namespace

Result<GroupLog> LogTable::load(GroupId group, const LogRecords& records,
                                const std::optional<DurableMark>& mark) {
    GroupLog log;
    const auto meta = read_record<GroupMeta>(records, log_key(group, LogRecord::Meta), decode_meta);
    if (!meta) return corrupt(group, meta.error().message);
    const auto truncations =
        read_record<uint64_t>(records, log_key(group, LogRecord::Truncations), decode_truncations);
    if (!truncations) return corrupt(group, truncations.error().message);
    const uint64_t shortened = truncations->value_or(0);
    if (!meta->has_value()) {
        if (shortened >= kLife) gone_[group] = shortened;
        if (mark && shortened / kLife <= mark->truncations / kLife) {
            log.amnesia = "the group was on this disk and is gone";
        }
        return log;
    }
    const auto hard =
        read_record<HardState>(records, log_key(group, LogRecord::HardState), decode_hard_state);
    if (!hard) return corrupt(group, hard.error().message);

    log.exists = true;
    log.meta = **meta;
    log.hard_state = hard->value_or(HardState{});
    if (log.hard_state.term.value() > kCountMax || log.meta.base.index.value() > kCountMax) {
        return corrupt(group, "a term or an index that no replica ever reached");
    }
    log.last = log.meta.base;
    log.last_chain = log.meta.base_chain;
    uint64_t chain_at_mark = log.meta.base_chain;
    std::string broken;
    const Status read = visit_entries(
        records, group, log.meta.base.index.next(), LogIndex(UINT64_MAX),
        [&](const StoredEntry& entry) {
            log.last_chain = chain_hash(log.last_chain, entry.id, entry.kind, entry.data);
            if (log.last_chain != entry.chain || entry.id.term < log.last.term) {
                broken = "entry " + std::to_string(entry.id.index.value()) +
                         " does not continue the one before it";
                return false;
            }
            if (log.term_starts.empty() || log.term_starts.back().term != entry.id.term) {
                log.term_starts.push_back(entry.id);
            }
            if (entry.kind == kNotedKind) {
                log.noted.push_back(NotedEntry{entry.id, std::string(entry.data)});
            }
            log.last = entry.id;
            log.bytes += entry.data.size();
            if (mark && mark->last == entry.id.index) chain_at_mark = entry.chain;
            return true;
        });
    if (!read) return read.error();
    if (!broken.empty()) return corrupt(group, broken);
    if (log.hard_state.term < log.last.term) {
        return corrupt(group, "the log is of a later term than the replica ever was in");
    }
    if (log.hard_state.commit > log.last.index) {
        log.amnesia = "entries up to " + std::to_string(log.hard_state.commit.value()) +
                      " were committed but the log ends at " +
                      std::to_string(log.last.index.value());
    } else if (mark) {
        log.amnesia = missing_promise(log, shortened, chain_at_mark, *mark);
    }
    tails_[group] = Tail{log.meta, log.hard_state, log.last, log.last_chain, shortened};
    return log;
}

Status LogTable::translate(const LogBatch& batch, const LogRecords& records,
                           std::vector<LogOperation>& out) {
    for (const LogChange& change : batch.changes()) {
        Status status = std::visit(
            [&](const auto& one) {
                using Change = std::decay_t<decltype(one)>;
                if constexpr (std::is_same_v<Change, LogTruncate> ||
                              std::is_same_v<Change, LogCut> || std::is_same_v<Change, LogRemove>) {
                    return translate(one, records, out);
                } else {
                    return translate(one, out);
                }
            },
            change);
        if (!status) return status;
    }
    return {};
}

Status LogTable::translate(const LogAppend& change, std::vector<LogOperation>& out) {
    const auto found = tails_.find(change.group);
    ASSERT(found != tails_.end(), "an entry of a group without meta record");
    Tail& tail = found->second;
    ASSERT(change.id.index == tail.last.index.next(), "an entry that does not follow its log");
    ASSERT(change.id.term >= tail.last.term, "terms fall along a log");
    tail.chain = chain_hash(tail.chain, change.id, change.kind, change.data.text());
    tail.last = change.id;

    LogOperation operation;
    operation.key = entry_key(change.group, change.id.index);
    const std::string head = encode_entry_head(change.id.term, change.kind, tail.chain);
    append_frame(operation.value, operation.key, head, change.data.text());
    operation.value += head;
    operation.data = change.data;
    out.push_back(std::move(operation));
    return {};
}

Status LogTable::translate(const LogTruncate& change, const LogRecords& records,
                           std::vector<LogOperation>& out) {
    Tail& tail = tails_.at(change.group);
    ASSERT(change.from > tail.meta.base.index, "a truncation below the log");
    if (change.from > tail.last.index) return {};
    const LogIndex keep(change.from.value() - 1);
    EntryId last = tail.meta.base;
    uint64_t chain = tail.meta.base_chain;
    if (keep > tail.meta.base.index) {
        // The new end may itself be in this write and not yet stored: then its chain is in `out`.
        const std::string key = entry_key(change.group, keep);
        std::string stored;
        for (const LogOperation& operation : out) {
            if (operation.key == key && operation.op == LogOp::Put) {
                stored = operation.value;
                stored.append(operation.data.text());
            }
        }
        if (stored.empty()) {
            const Result<bool> found = records.get(key, stored);
            if (!found) return found.error();
            if (!*found) return corrupt(change.group, "the entry to truncate to is missing");
        }
        const Result<StoredEntry> entry = open_entry(keep, key, stored);
        if (!entry) return entry.error();
        last = entry->id;
        chain = entry->chain;
    }
    LogOperation range;
    range.op = LogOp::RemoveRange;
    range.key = entry_key(change.group, change.from);
    range.value = entry_key(change.group, LogIndex(UINT64_MAX));
    out.push_back(std::move(range));
    tail.last = last;
    tail.chain = chain;
    ++tail.truncations;
    out.push_back(
        put(log_key(change.group, LogRecord::Truncations), encode_truncations(tail.truncations)));
    return {};
}

Status LogTable::translate(const LogCut& change, const LogRecords& records,
                           std::vector<LogOperation>& out) {
    Tail& tail = tails_.at(change.group);
    const EntryId old = tail.meta.base;
    if (change.base.index <= old.index) return {};
    ASSERT(change.base.index <= tail.last.index, "a cut above the log's end");
    const std::string key = entry_key(change.group, change.base.index);
    std::string stored;
    const Result<bool> found = records.get(key, stored);
    if (!found) return found.error();
    if (!*found) return {};
    const Result<StoredEntry> entry = open_entry(change.base.index, key, stored);
    // Not to cut is always safe; the damage stops this group alone, when it is next loaded.
    if (!entry) return {};
    ASSERT(entry->id == change.base, "a cut at an entry of another term");
    tail.meta.base = change.base;
    tail.meta.base_chain = entry->chain;
    if (!change.configuration.empty()) tail.meta.configuration = change.configuration;
    LogOperation range;
    range.op = LogOp::RemoveRange;
    range.key = entry_key(change.group, old.index.next());
    range.value = entry_key(change.group, change.base.index.next());
    out.push_back(std::move(range));
    out.push_back(put(log_key(change.group, LogRecord::Meta), encode_meta(tail.meta)));
    return {};
}

Status LogTable::translate(const LogHardState& change, std::vector<LogOperation>& out) {
    Tail& tail = tails_.at(change.group);
    ASSERT(change.state.term >= tail.hard_state.term, "the term of a replica went back");
    tail.hard_state = change.state;
    out.push_back(
        put(log_key(change.group, LogRecord::HardState), encode_hard_state(change.state)));
    return {};
}

Status LogTable::translate(const LogMeta& change, std::vector<LogOperation>& out) {
    const auto [found, created] = tails_.try_emplace(change.group);
    Tail& tail = found->second;
    if (const auto before = gone_.extract(change.group)) tail.truncations = before.mapped();
    const bool renamed = !created && change.meta.replica != tail.meta.replica;
    if (created || renamed) {
        // Another replica may have been here: nothing that it promised binds this one. What is left
        // of it may be unreadable.
        tail.hard_state = HardState{};
        out.push_back(
            put(log_key(change.group, LogRecord::HardState), encode_hard_state(tail.hard_state)));
    }
    if (created || renamed || change.meta.base != tail.meta.base) {
        // The state was replaced as a whole (a snapshot): no old entry continues it.
        LogOperation range;
        range.op = LogOp::RemoveRange;
        range.key = entry_key(change.group, LogIndex(0));
        range.value = entry_key(change.group, LogIndex(UINT64_MAX));
        out.push_back(std::move(range));
        if (!created) ++tail.truncations;
        out.push_back(put(log_key(change.group, LogRecord::Truncations),
                          encode_truncations(tail.truncations)));
        tail.last = change.meta.base;
        tail.chain = change.meta.base_chain;
    }
    tail.meta = change.meta;
    out.push_back(put(log_key(change.group, LogRecord::Meta), encode_meta(tail.meta)));
    return {};
}

// The count of truncations stays, as the only thing that tells a removed group from a lost one.
Status LogTable::translate(const LogRemove& change, const LogRecords& records,
                           std::vector<LogOperation>& out) {
    uint64_t truncations = 0;
    if (const auto tail = tails_.extract(change.group)) {
        truncations = tail.mapped().truncations;
    } else if (const auto gone = gone_.find(change.group); gone != gone_.end()) {
        truncations = gone->second;
    } else {
        const auto stored = read_record<uint64_t>(
            records, log_key(change.group, LogRecord::Truncations), decode_truncations);
        // A damaged one goes with the rest.
        if (!stored && stored.error().code != ErrorCode::Corrupt) return stored.error();
        if (stored) truncations = stored->value_or(0);
    }
    const uint64_t next = (truncations / kLife + 1) * kLife;
    gone_[change.group] = next;
    LogOperation range;
    range.op = LogOp::RemoveRange;
    range.key = entry_key(change.group, LogIndex(0));
    range.value = entry_key(change.group, LogIndex(UINT64_MAX));
    out.push_back(std::move(range));
    for (const LogRecord record : {LogRecord::HardState, LogRecord::Meta}) {
        LogOperation remove;
        remove.op = LogOp::Remove;
        remove.key = log_key(change.group, record);
        out.push_back(std::move(remove));
    }
    out.push_back(put(log_key(change.group, LogRecord::Truncations), encode_truncations(next)));
    return {};
}

std::set<GroupId> LogTable::gone() const {
    std::set<GroupId> groups;
    for (const auto& [group, truncations] : gone_) {
        groups.insert(group);
    }
    return groups;
}

std::vector<DurableMark> LogTable::marks() const {
    std::vector<DurableMark> marks;
    marks.reserve(tails_.size());
    for (const auto& [group, tail] : tails_) {
        marks.push_back(DurableMark{group, tail.last.index, tail.chain, tail.truncations,
                                    tail.hard_state.term, tail.hard_state.commit});
    }
    return marks;
}

std::map<GroupId, Generation> LogTable::generations() const {
    std::map<GroupId, Generation> generations;
    for (const auto& [group, tail] : tails_) {
        generations[group] = tail.meta.generation;
    }
    return generations;
}

Status read_entries(const LogRecords& records, GroupId group, LogIndex from, LogIndex to,
                    std::size_t bytes_max, const LogStore::EntryCallback& callback) {
    std::size_t bytes = 0;
    LogIndex next = from;
    const Status read = visit_entries(records, group, from, to, [&](const StoredEntry& entry) {
        if (next != from && bytes + entry.data.size() > bytes_max) {
            next = to;
            return false;
        }
        bytes += entry.data.size();
        ++next;
        if (callback(entry)) return true;
        next = to;
        return false;
    });
    if (!read) return read;
    if (next < to) {
        return corrupt(group, "entry " + std::to_string(next.value()) + " is missing from the log");
    }
    return {};
}

Result<GroupMeta> group_meta(const LogRecords& records, GroupId group) {
    auto meta = read_record<GroupMeta>(records, log_key(group, LogRecord::Meta), decode_meta);
    if (!meta) return corrupt(group, meta.error().message);
    if (!meta->has_value()) return Error{ErrorCode::NotFound, name_of(group) + " is not here"};
    return std::move(**meta);
}

Result<std::vector<GroupId>> group_list(const LogRecords& records) {
    std::vector<GroupId> groups;
    // Jumps from group to group: a scan of all entries would read the whole log.
    std::string from = log_key(GroupId(0), LogRecord::HardState);
    const std::string end = log_key(GroupId(UINT32_MAX), LogRecord::Entry);
    for (;;) {
        std::optional<GroupId> found;
        const Status scanned =
            records.scan(from, end, [&](std::string_view key, std::string_view /*value*/) {
                if (const std::optional<LogKey> parsed = parse_log_key(key)) found = parsed->group;
                return false;
            });
        if (!scanned) return scanned.error();
        if (!found) return groups;
        std::string stored;
        const Result<bool> named = records.get(log_key(*found, LogRecord::Meta), stored);
        if (!named) return named.error();
        if (*named) groups.push_back(*found);
        if (found->value() == UINT32_MAX) return groups;
        from = log_key(found->next(), LogRecord::HardState);
    }
}

}  // namespace quorate::storage
