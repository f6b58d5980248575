#include "cluster/raft/configuration.h"

#include <functional>
#include <utility>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"

namespace quorate::raft {
namespace {

// Version 1 holds voters alone, version 2 all three lists. A configuration without outgoing voters
// and learners is always written as version 1, so that equal configurations have equal bytes.
constexpr uint8_t kVotersOnly = 1;
constexpr uint8_t kAllLists = 2;

using Ids = std::vector<ReplicaId>;

bool has(const Ids& ids, ReplicaId replica) {
    return std::binary_search(ids.begin(), ids.end(), replica);
}

bool ordered(const Ids& ids) {
    const bool rising =
        std::adjacent_find(ids.begin(), ids.end(), std::greater_equal<>()) == ids.end();
    return rising && (ids.empty() || ids.front().value() != 0);
}

void write_ids(RecordWriter& writer, const Ids& ids) {
    writer.u32(static_cast<uint32_t>(ids.size()));
    for (const ReplicaId id : ids) {
        writer.id(id);
    }
}

bool read_ids(RecordReader& reader, Ids& ids) {
    const uint32_t count = reader.u32();
    if (reader.failed() || reader.rest().size() / sizeof(uint64_t) < count) return false;
    ids.reserve(count);
    for (uint32_t i = 0; i < count; ++i) {
        ids.push_back(reader.id<ReplicaId>());
    }
    return true;
}

}  // namespace

bool Configuration::contains(ReplicaId replica) const {
    return votes(replica) || has(learners, replica);
}

bool Configuration::votes(ReplicaId replica) const {
    return has(voters, replica) || has(outgoing, replica);
}

bool valid(const Configuration& configuration) {
    const auto& [voters, outgoing, learners] = configuration;
    if (voters.empty() || !ordered(voters) || !ordered(outgoing) || !ordered(learners)) {
        return false;
    }
    const Ids& all = voters;
    return std::none_of(learners.begin(), learners.end(),
                        [&all](ReplicaId learner) { return has(all, learner); });
}

std::string encode(const Configuration& configuration) {
    std::string bytes;
    RecordWriter writer(bytes);
    const bool simple = configuration.outgoing.empty() && configuration.learners.empty();
    writer.u8(simple ? kVotersOnly : kAllLists);
    write_ids(writer, configuration.voters);
    if (simple) return bytes;
    write_ids(writer, configuration.outgoing);
    write_ids(writer, configuration.learners);
    return bytes;
}

std::optional<Configuration> decode_configuration(std::string_view bytes) {
    RecordReader reader(bytes);
    const uint8_t version = reader.u8();
    if (version != kVotersOnly && version != kAllLists) return std::nullopt;
    Configuration configuration;
    if (!read_ids(reader, configuration.voters)) return std::nullopt;
    if (version == kAllLists) {
        if (!read_ids(reader, configuration.outgoing)) return std::nullopt;
        if (!read_ids(reader, configuration.learners)) return std::nullopt;
        if (configuration.outgoing.empty() && configuration.learners.empty()) return std::nullopt;
    }
    if (!reader.finished() || !valid(configuration)) return std::nullopt;
    return configuration;
}

ConfigurationHistory::ConfigurationHistory(LogIndex base, Configuration at_base,
                                           std::vector<ConfigurationEntry> since) {
    entries_.push_back(ConfigurationEntry{base, std::move(at_base)});
    for (ConfigurationEntry& entry : since) {
        append(entry.index, std::move(entry.configuration));
    }
}

const ConfigurationEntry& ConfigurationHistory::at(LogIndex index) const {
    auto found = entries_.rbegin();
    while (found->index > index) {
        ++found;
        ASSERT(found != entries_.rend(), "a configuration from before the log");
    }
    return *found;
}

bool ConfigurationHistory::mentions(ReplicaId replica) const {
    return std::any_of(entries_.begin(), entries_.end(), [replica](const auto& entry) {
        return entry.configuration.contains(replica);
    });
}

void ConfigurationHistory::append(LogIndex index, Configuration configuration) {
    if (mutated(Mutant::ChangeKeptOnTruncation) && index <= latest_index()) truncate(index);
    ASSERT(index > latest_index(), "configurations follow each other");
    entries_.push_back(ConfigurationEntry{index, std::move(configuration)});
}

void ConfigurationHistory::truncate(LogIndex from) {
    while (entries_.back().index >= from) {
        ASSERT(entries_.size() > 1, "a truncation below the log");
        entries_.pop_back();
    }
}

void ConfigurationHistory::cut(LogIndex index) {
    while (entries_.size() > 1 && entries_[1].index <= index) {
        entries_.erase(entries_.begin());
    }
    entries_.front().index = std::max(entries_.front().index, index);
}

}  // namespace quorate::raft
