#include "tests/sim/search/member.h"

#include <algorithm>

#include <fmt/format.h>

#include "proto/base/assert.h"
#include "proto/base/hash.h"

namespace quorate::sim {
namespace {

// The only ticks are heartbeats: an election is a step of the search.
constexpr uint32_t kNever = 1U << 30U;

uint64_t print_of_write(const MemberWrite& write, const Renaming& names) {
    uint64_t hash = mix(write.truncate_from ? write.truncate_from->value() : 0,
                        write.restored ? write.restored->last.index.value() : 0);
    for (const raft::Entry& entry : write.entries) {
        hash = mix(hash, print_of(entry));
    }
    if (write.hard) {
        hash = mix(mix(hash, write.hard->term.value()), names[write.hard->voted_for.value()]);
        hash = mix(hash, write.hard->commit.value());
    }
    // What they say follows from what is written and the role; whom they are for does not.
    for (const raft::Message& message : write.messages_after) {
        hash = mix(hash, make_flight(message, {&names, 1})->prints[0]);
    }
    return hash;
}

}  // namespace

const raft::Entry* MemberDisk::at(LogIndex index) const {
    if (index <= base.index || index > last()) return nullptr;
    return &entries[index.value() - base.index.value() - 1];
}

bool MemberDisk::holds(EntryId id) const {
    if (id.index <= base.index) return true;
    const raft::Entry* entry = at(id.index);
    return entry != nullptr && entry->id == id;
}

raft::LogStart MemberDisk::start() const {
    raft::LogStart start;
    start.base = base;
    start.last = entries.empty() ? base : entries.back().id;
    start.committed = hard.commit;
    start.applied = flushed.index;
    start.configuration = configuration;
    for (const raft::Entry& entry : entries) {
        if (start.term_starts.empty() || start.term_starts.back().term != entry.id.term) {
            start.term_starts.push_back(entry.id);
        }
        if (entry.kind == raft::EntryKind::Configuration) {
            start.configurations.push_back(
                {entry.id.index, raft::decode_configuration(entry.data.text()).value()});
        }
    }
    return start;
}

Finding MemberDisk::make_durable(const MemberWrite& write) {
    if (write.restored) {
        base = flushed = write.restored->last;
        configuration = write.restored->configuration;
        entries.clear();
    }
    if (write.truncate_from) {
        std::erase_if(entries,
                      [&](const auto& entry) { return entry.id.index >= *write.truncate_from; });
    }
    for (const raft::Entry& entry : write.entries) {
        if (entry.id.index != last().next()) return "entries are written with a gap";
        entries.push_back(entry);
    }
    if (!write.hard) return {};
    const raft::HardState before = hard;
    hard = *write.hard;
    const bool other_vote = hard.term == before.term && before.voted_for.value() != 0 &&
                            hard.voted_for != before.voted_for;
    if (hard.term >= before.term && !other_vote) return {};
    return fmt::format("R6: from the vote for {} in term {} a disk goes to {} in term {}",
                       before.voted_for.value(), before.term.value(), hard.voted_for.value(),
                       hard.term.value());
}

Result<std::vector<raft::Entry>> MemberReader::read(LogIndex from, LogIndex to,
                                                    std::size_t /*bytes_max*/) const {
    std::vector<raft::Entry> out;
    for (LogIndex index = from; index < to; ++index) {
        const raft::Entry* entry = disk->at(index);
        if (entry == nullptr) return Error{ErrorCode::Corrupt, "an entry that is not on the disk"};
        out.push_back(*entry);
    }
    return out;
}

void Member::start(uint32_t at, const SearchScope& scope, const MemberReader& reader) {
    raft::RaftOptions options;
    options.self = ReplicaId(at + 1);
    options.election_ticks = kNever;
    options.heartbeat_ticks = 1;
    options.append_entries_max = scope.append_entries;
    applied = disk.flushed;
    writes.clear();
    node.emplace(options, disk.hard, disk.start(), reader);
    node->set_known({ReplicaId(1), ReplicaId(2), ReplicaId(3)});
}

raft::ConfigurationEntry Member::configuration(LogIndex upto) const {
    raft::ConfigurationEntry found{disk.base.index, disk.configuration};
    LogIndex end(UINT64_MAX);  // nothing from here on is in the log any more
    const auto look = [&](const raft::Entry& entry) {
        const bool counts = entry.kind == raft::EntryKind::Configuration;
        if (!counts || entry.id.index > upto || entry.id.index >= end) return false;
        found = {entry.id.index, raft::decode_configuration(entry.data.text()).value()};
        return true;
    };
    for (auto write = writes.rbegin(); write != writes.rend(); ++write) {
        for (auto entry = write->entries.rbegin(); entry != write->entries.rend(); ++entry) {
            if (look(*entry)) return found;
        }
        if (write->truncate_from) end = std::min(end, *write->truncate_from);
        if (!write->entries.empty()) end = std::min(end, write->entries.front().id.index);
        if (write->restored) return {write->restored->last.index, write->restored->configuration};
    }
    for (auto entry = disk.entries.rbegin(); entry != disk.entries.rend(); ++entry) {
        if (look(*entry)) return found;
    }
    return found;
}

void Member::print(std::span<const Renaming> renamings, bool with_disk) {
    for (std::size_t i = 0; i < renamings.size(); ++i) {
        const Renaming& names = renamings[i];
        uint64_t hash = node->fingerprint(names);
        if (with_disk) {
            hash = mix(mix(hash, disk.hard.commit.value()), disk.flushed.index.value());
            hash = mix(hash, disk.base.index.value());
        }
        if (!writes.empty()) {
            hash = mix(mix(hash, disk.hard.term.value()), names[disk.hard.voted_for.value()]);
            for (const raft::Entry& entry : disk.entries) {
                hash = mix(hash, print_of(entry));
            }
            for (const MemberWrite& write : writes) {
                hash = mix(hash, print_of_write(write, names));
            }
        }
        prints[i] = mix(hash, names[node->self().value()]);
    }
}

}  // namespace quorate::sim
