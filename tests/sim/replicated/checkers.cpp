#include "tests/sim/replicated/checkers.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "proto/base/hash.h"

namespace quorate::sim::replicated {
namespace {

std::string number(uint64_t value) {
    return std::to_string(value);
}

}  // namespace

void Checkers::append(Mirror& mirror, const storage::LogAppend& entry, bool first) {
    const uint64_t index = entry.id.index.value();
    if (index != mirror.last() + 1) {
        return stage_.violate("R2: entry " + number(index) + " follows " + number(mirror.last()));
    }
    const uint64_t before = mirror.links.empty() ? mirror.base_chain : mirror.links.back().chain;
    const uint64_t chain =
        hash64(entry.data.text(), before + (entry.id.term.value() << 8) + entry.kind);
    mirror.links.push_back({entry.id.term, chain});
    if (entry.kind == storage::kNotedKind) {
        const auto change = raft::decode_configuration(entry.data.text());
        if (!change) return stage_.violate("R7: a configuration that is none is appended");
        mirror.changes.insert_or_assign(index, *change);
    }
    if (!first) return;
    if (seen_.size() <= index) seen_.resize(index + 1);
    for (const Link& other : seen_[index]) {
        if (other.term != entry.id.term) continue;
        if (other.chain != chain) {
            stage_.violate("R2: two logs differ at or before entry " + number(index));
        }
        return;
    }
    seen_[index].push_back(mirror.links.back());
}

void Checkers::Mirror::replaced(uint64_t from) {
    const auto [lowest, first] = replaced_from.emplace(term, from);
    lowest->second = std::min(lowest->second, from);
}

bool Checkers::Mirror::replaced_after(Term promised, uint64_t index) const {
    const auto later = replaced_from.upper_bound(promised);
    return std::any_of(later, replaced_from.end(),
                       [index](const auto& lowest) { return lowest.second <= index; });
}

// The log of whoever took a snapshot: nothing of the old one continues it.
void Checkers::begin_at(Mirror& mirror, const storage::GroupMeta& meta) {
    const EntryId base = meta.base;
    const uint64_t index = base.index.value();
    mirror.replaced(index + 1);
    mirror.links.clear();
    mirror.base = index;
    mirror.changes.clear();
    if (const auto at_base = raft::decode_configuration(meta.configuration)) {
        mirror.changes.emplace(index, *at_base);
    }
    if (seen_.size() <= index) seen_.resize(index + 1);
    for (const Link& link : seen_[index]) {
        if (link.term != base.term) continue;
        mirror.base_chain = link.chain;
        return;
    }
    stage_.violate("R3: a snapshot of entry " + number(index) + ", which nobody wrote");
}

// A name that the disk did not have: nothing of before binds it (R6).
void Checkers::rename(Mirror& mirror, const storage::LogBatch& batch) {
    for (const storage::LogChange& change : batch.changes()) {
        const auto* meta = std::get_if<storage::LogMeta>(&change);
        if (meta == nullptr || meta->meta.replica == mirror.name) continue;
        const bool another = mirror.name.value() != 0;
        mirror = Mirror{};
        mirror.name = meta->meta.replica;
        mirror.mark_of_another = another;
        // A newcomer's is its own idea.
        const auto begins = raft::decode_configuration(meta->meta.configuration);
        if (begins && begins->contains(mirror.name)) mirror.changes.emplace(0, *begins);
    }
}

void Checkers::take(Mirror& mirror, const storage::LogBatch& batch, bool first) {
    rename(mirror, batch);
    if (mirror.lost) return;
    // The hard state is last in a batch, but its term is that in which the rest was decided.
    for (const storage::LogChange& change : batch.changes()) {
        if (const auto* hard = std::get_if<storage::LogHardState>(&change)) {
            mirror.term = hard->state.term;
            mirror.vote = hard->state.voted_for;
        }
    }
    for (const storage::LogChange& change : batch.changes()) {
        if (const auto* entry = std::get_if<storage::LogAppend>(&change)) {
            append(mirror, *entry, first);
        } else if (const auto* truncate = std::get_if<storage::LogTruncate>(&change)) {
            const uint64_t from = truncate->from.value();
            if (first && from <= mirror.last()) ++stage_.counts[Count::TailTruncated];
            if (from <= mirror.base) stage_.violate("R3: a log is truncated below its base");
            mirror.replaced(from);
            mirror.changes.erase(mirror.changes.lower_bound(from), mirror.changes.end());
            while (mirror.last() >= from && !mirror.links.empty())
                mirror.links.pop_back();
        } else if (const auto* cut = std::get_if<storage::LogCut>(&change)) {
            while (mirror.base < cut->base.index.value() && !mirror.links.empty()) {
                mirror.base_chain = mirror.links.front().chain;
                mirror.links.pop_front();
                ++mirror.base;
            }
        } else if (const auto* meta = std::get_if<storage::LogMeta>(&change)) {
            if (meta->meta.base.index.value() != mirror.base) begin_at(mirror, meta->meta);
        }
    }
}

void Checkers::handed_out(uint32_t replica, const storage::LogBatch& batch) {
    take(handed_[replica], batch, true);
}

void Checkers::durable(uint32_t replica, const storage::LogBatch& batch) {
    take(durable_[replica], batch, false);
}

void Checkers::lost(uint32_t replica) {
    handed_[replica].lost = true;
    durable_[replica].lost = true;
}

void Checkers::replaced(uint32_t replica) {
    handed_[replica] = Mirror{};
    durable_[replica] = Mirror{};
}

void Checkers::reached(uint32_t replica, LogIndex index) {
    if (!handed_[replica].lost) committed_ = std::max(committed_, index);
}

template <typename Visit>
void Checkers::visit_changes(const Visit& visit) const {
    for (const auto* mirrors : {&handed_, &durable_}) {
        for (const Mirror& mirror : *mirrors) {
            if (mirror.lost) continue;
            for (const auto& [index, configuration] : mirror.changes)
                visit(index, configuration);
        }
    }
}

raft::Configuration Checkers::committed_configuration() const {
    return configurations().front();
}

std::vector<raft::Configuration> Checkers::configurations() const {
    uint64_t newest = 0;
    std::vector<raft::Configuration> found(1);
    visit_changes([&](uint64_t index, const raft::Configuration& configuration) {
        if (index > committed_.value() || index < newest) return;
        newest = index;
        found.front() = configuration;
    });
    visit_changes([&](uint64_t index, const raft::Configuration& configuration) {
        if (index > committed_.value()) found.push_back(configuration);
    });
    return found;
}

void Checkers::started(uint32_t replica) {
    handed_[replica] = durable_[replica];
}

void Checkers::led(uint32_t replica, ReplicaId name, Term term) {
    const auto [known, first] = leaders_.emplace(term, name);
    if (known->second != name) {
        stage_.violate("R1: two leaders of term " + number(term.value()));
    }
    if (!first) return;
    ++stage_.counts[Count::Leaders];
    // Votes may come late: who leads an older term owes nothing to the newer ones.
    uint64_t newest = 0;
    for (const auto& [known_in, index] : known_in_) {
        if (known_in < term) newest = std::max(newest, index);
    }
    const Mirror& log = handed_[replica];
    if (newest == 0 || log.lost) return;
    if (log.last() < newest) return stage_.violate("R3: a leader lacks what was committed");
    const Link* held = log.at(newest);
    // A log that begins later holds it as a snapshot.
    if (held != nullptr && held->chain != applied_.at(newest).chain) {
        stage_.violate("R3: a leader holds something else than what was committed");
    }
    // Of its own term it may have one entry: the one that opens it.
    if (log.last() > newest + 1) ++stage_.counts[Count::LeaderWithTail];
}

void Checkers::sent(uint32_t replica, const raft::Message& message) {
    const Mirror& disk = durable_[replica];
    const auto* answer = std::get_if<raft::AppendEntriesReply>(&message.body);
    const auto* vote_of = std::get_if<raft::RequestVoteReply>(&message.body);
    const bool promises = (answer != nullptr && answer->accepted) ||
                          (vote_of != nullptr && vote_of->granted && !vote_of->pre);
    if (promises && disk.name != message.from) {
        return stage_.violate("R6: a promise under a name that the disk does not have");
    }
    if (disk.lost) return;
    if (std::holds_alternative<raft::AppendEntries>(message.body) ||
        std::holds_alternative<raft::Heartbeat>(message.body)) {
        led(replica, message.from, message.term);
    } else if (const auto* reply = std::get_if<raft::AppendEntriesReply>(&message.body)) {
        if (reply->accepted) accepted(replica, message.term, reply->index.value());
    } else if (const auto* vote = std::get_if<raft::RequestVoteReply>(&message.body)) {
        if (!vote->granted || vote->pre) return;
        if (disk.term < message.term || (disk.term == message.term && disk.vote != message.to)) {
            stage_.violate("R5: a vote leaves before it is durable");
        }
    }
}

// An acceptance may leave late, when a leader of a later term has replaced what was accepted; where
// both came between two writes, the entries themselves were never written. What is durable then is
// the replacement, and in one write with it or before it the later term. To everybody else that is
// a replica that wrote the entries, said so, went to the later term (with a vote, if it gave one,
// judged by a log that had them) and truncated, its answer being late on the wire: a power loss
// leaves the end of all that, or none of it and no answer. So it counts as kept; an acceptance of
// which nothing was replaced in a later term promises what the disk must hold.
void Checkers::accepted(uint32_t replica, Term term, uint64_t index) {
    const Mirror& disk = durable_[replica];
    if (disk.replaced_after(term, index)) return;
    if (disk.term < term || index > disk.last()) {
        return stage_.violate("R5: an acceptance leaves before the entries are durable");
    }
    // An old tail is long enough, too: it must be what the replica gave to its disk.
    const Mirror& log = handed_[replica];
    const Link* held = disk.at(index);
    const Link* given = log.at(index);
    if (held == nullptr || given == nullptr || log.replaced_after(term, index)) return;
    if (held->chain != given->chain) {
        stage_.violate("R5: an acceptance leaves while the disk holds other entries");
    }
}

void Checkers::applied(uint32_t replica, EntryId entry, Term term) {
    if (handed_[replica].lost) return;
    ++stage_.counts[Count::Entries];
    const uint64_t index = entry.index.value();
    if (durable_[replica].name != handed_[replica].name || index > durable_[replica].last()) {
        stage_.violate("R5: entry " + number(index) + " is applied and not durable");
    }
    const Link* held = handed_[replica].at(index);
    if (held == nullptr) return;  // it lies below the base already
    if (held->term != entry.term) {
        return stage_.violate("R2: entry " + number(index) + " is applied in another term");
    }
    const auto [known, first] = applied_.emplace(index, *held);
    if (known->second.chain != held->chain) {
        stage_.violate("R3: two commands are committed as entry " + number(index));
    }
    committed_ = std::max(committed_, entry.index);
    uint64_t& highest = known_in_[term];
    highest = std::max(highest, index);
}

void Checkers::state(LogIndex index, uint64_t digest) {
    const auto [known, first] = states_.emplace(index.value(), digest);
    if (known->second != digest) {
        stage_.violate("R4: entry " + number(index.value()) + " leads to another state");
    }
}

}  // namespace quorate::sim::replicated
