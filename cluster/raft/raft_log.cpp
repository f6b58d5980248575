#include "cluster/raft/raft_log.h"

#include <algorithm>

#include "cluster/raft/mutants.h"
#include "proto/base/assert.h"

namespace quorate::raft {
namespace {

LogIndex before(LogIndex index) {
    return LogIndex(index.value() - 1);
}

}  // namespace

RaftLog::RaftLog(const LogStart& start, const LogReader& reader, std::size_t memory_bytes_max)
    : reader_(reader),
      memory_bytes_max_(memory_bytes_max),
      base_(start.base),
      last_(start.last),
      stable_(start.last.index),
      committed_(
          std::clamp(start.committed, start.applied, std::max(start.applied, start.last.index))),
      handed_out_(start.applied),
      applied_(start.applied),
      term_starts_(start.term_starts) {
    ASSERT(base_.index <= applied_ && applied_ <= last_.index, "a log that starts torn apart");
}

std::optional<Term> RaftLog::term_at(LogIndex index) const {
    if (index == base_.index) return base_.term;
    if (index < base_.index || index > last_.index) return std::nullopt;
    const auto after = std::upper_bound(
        term_starts_.begin(), term_starts_.end(), index,
        [](LogIndex wanted, const EntryId& start) { return wanted < start.index; });
    ASSERT(after != term_starts_.begin(), "an entry that belongs to no term");
    return std::prev(after)->term;
}

bool RaftLog::up_to_date(EntryId other) const {
    if (other.term != last_.term) return other.term > last_.term;
    return other.index >= last_.index;
}

EntryId RaftLog::conflict_hint(LogIndex index, Term term) const {
    index = std::min(index, last_.index);
    while (index > base_.index) {
        const Term at = *term_at(index);
        if (at <= term) return EntryId{index, at};
        // Skip the whole run of this term at once.
        const auto after = std::upper_bound(
            term_starts_.begin(), term_starts_.end(), index,
            [](LogIndex wanted, const EntryId& start) { return wanted < start.index; });
        index = before(std::prev(after)->index);
    }
    return base_;
}

LogIndex RaftLog::first_in_memory() const {
    return LogIndex(last_.index.value() + 1 - memory_.size());
}

void RaftLog::append(Entry entry) {
    ASSERT(entry.id.index == last_.index.next(), "an entry that leaves a gap");
    ASSERT(entry.id.term >= last_.term, "terms fall along a log");
    if (term_starts_.empty() || term_starts_.back().term != entry.id.term) {
        term_starts_.push_back(entry.id);
    }
    last_ = entry.id;
    memory_bytes_ += entry.data.size();
    memory_.push_back(std::move(entry));
}

void RaftLog::truncate(LogIndex from) {
    ASSERT(from > committed_, "what is committed is never truncated");
    ASSERT(from <= last_.index.next(), "a truncation above the log");
    while (!memory_.empty() && memory_.back().id.index >= from) {
        memory_bytes_ -= memory_.back().data.size();
        memory_.pop_back();
    }
    const LogIndex last = before(from);
    const Term term = *term_at(last);
    while (!term_starts_.empty() && term_starts_.back().index >= from) {
        term_starts_.pop_back();
    }
    last_ = EntryId{last, term};
    stable_ = std::min(stable_, last);
}

void RaftLog::commit_to(LogIndex index) {
    ASSERT(index <= last_.index, "a commit beyond the log");
    committed_ = std::max(committed_, index);
}

void RaftLog::stable_to(LogIndex index) {
    ASSERT(index <= last_.index, "more is stable than there is");
    stable_ = std::max(stable_, index);
}

void RaftLog::applied_to(LogIndex index) {
    ASSERT(index <= handed_out_, "applied what was never handed out");
    applied_ = std::max(applied_, index);
    shrink_memory();
}

void RaftLog::shrink_memory() {
    while (memory_bytes_ > memory_bytes_max_ && !memory_.empty() &&
           memory_.front().id.index <= applied_ && memory_.front().id.index <= stable_) {
        memory_bytes_ -= memory_.front().data.size();
        memory_.pop_front();
    }
}

void RaftLog::cut_to(EntryId id) {
    if (id.index <= base_.index) return;
    ASSERT(id.index <= applied_ && matches(id), "a cut above what is applied");
    base_ = id;
    while (!memory_.empty() && memory_.front().id.index <= id.index) {
        memory_bytes_ -= memory_.front().data.size();
        memory_.pop_front();
    }
    // Keep the run that reaches over the cut, with its begin moved behind it.
    const auto after = std::upper_bound(
        term_starts_.begin(), term_starts_.end(), id.index,
        [](LogIndex wanted, const EntryId& start) { return wanted < start.index; });
    const bool run_goes_on =
        last_.index > id.index && (after == term_starts_.end() || after->index > id.index.next());
    term_starts_.erase(term_starts_.begin(), after);
    if (run_goes_on) {
        term_starts_.insert(term_starts_.begin(), EntryId{id.index.next(), id.term});
    }
}

void RaftLog::restore(EntryId base) {
    ASSERT(base.index > committed_, "a snapshot of what is committed already");
    base_ = base;
    last_ = base;
    stable_ = base.index;
    committed_ = base.index;
    handed_out_ = base.index;
    applied_ = base.index;
    term_starts_.clear();
    memory_.clear();
    memory_bytes_ = 0;
}

bool RaftLog::has_committed() const {
    return handed_out_ < may_apply();
}

LogIndex RaftLog::may_apply() const {
    if (mutated(Mutant::ApplyBeforeDurable)) return committed_;
    return std::min(committed_, stable_);
}

Result<std::vector<Entry>> RaftLog::take_committed(std::size_t bytes_max) {
    const LogIndex end = may_apply();
    if (handed_out_ >= end) return std::vector<Entry>();
    Result<std::vector<Entry>> entries = slice(handed_out_.next(), end, bytes_max);
    if (entries) handed_out_ = entries->back().id.index;
    return entries;
}

Result<std::vector<Entry>> RaftLog::slice(LogIndex from, LogIndex to, std::size_t bytes_max) const {
    ASSERT(base_.index < from && from <= to && to <= last_.index, "a slice outside the log");
    const LogIndex memory_begin = first_in_memory();
    if (from < memory_begin) {
        Result<std::vector<Entry>> entries =
            reader_.read(from, std::min(to.next(), memory_begin), bytes_max);
        if (!entries) return entries;
        // The disk could answer with something else than what this log consists of.
        LogIndex expected = from;
        for (const Entry& entry : *entries) {
            if (entry.id.index != expected || term_at(entry.id.index) != entry.id.term) {
                return Error{ErrorCode::Corrupt, "the log on disk differs from the one in use"};
            }
            ++expected;
        }
        if (entries->empty()) return Error{ErrorCode::Corrupt, "the log on disk ends early"};
        return entries;
    }
    std::vector<Entry> entries;
    std::size_t bytes = 0;
    for (std::size_t i = from.value() - memory_begin.value(); i < memory_.size(); ++i) {
        const Entry& entry = memory_[i];
        if (entry.id.index > to) break;
        if (!entries.empty() && bytes + entry.data.size() > bytes_max) break;
        bytes += entry.data.size();
        entries.push_back(entry);
    }
    return entries;
}

}  // namespace quorate::raft
