// Who takes part in a group, and how that changed along the log.
//
//     {voters} ──change of voters──> {voters, outgoing} ──committed──> {voters}
//                                     joint: a majority of each half
//
// A change is in force as soon as its entry is in the log, committed or not, and undone when that
// entry is truncated. *Thread*: values. *Spec*: Raft §4.1, §4.2.1 (learners), §4.3 (joint
// consensus).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/raft/mutants.h"
#include "proto/base/ids.h"

namespace quorate::raft {

// Each list is sorted and without repeats. A learner gets every entry and neither votes nor counts.
// While joint, a replica may be outgoing and a learner: it votes until the change is complete.
struct Configuration {
    std::vector<ReplicaId> voters;
    std::vector<ReplicaId> outgoing{};  // the voters before, while joint; else empty
    std::vector<ReplicaId> learners{};

    [[nodiscard]] bool joint() const { return !outgoing.empty(); }
    [[nodiscard]] bool contains(ReplicaId replica) const;
    // In either half.
    [[nodiscard]] bool votes(ReplicaId replica) const;
    // What this one becomes when its change is complete.
    [[nodiscard]] Configuration completed() const { return Configuration{voters, {}, learners}; }

    // Whether `holds(ReplicaId)` is true for a majority of each half.
    template <typename Holds>
    [[nodiscard]] bool quorum(const Holds& holds) const {
        if (!majority(voters, holds)) return false;
        return !joint() || majority(outgoing, holds) || mutated(Mutant::JointByNewHalf);
    }
    // Of one list; never of an empty one.
    template <typename Holds>
    [[nodiscard]] static bool majority(const std::vector<ReplicaId>& of, const Holds& holds) {
        const auto holding = std::count_if(of.begin(), of.end(), holds);
        return static_cast<std::size_t>(holding) > of.size() / 2;
    }

    // Calls `visit(ReplicaId)`, for a replica in two lists twice.
    template <typename Visit>
    void for_each(const Visit& visit) const {
        std::for_each(voters.begin(), voters.end(), visit);
        std::for_each(outgoing.begin(), outgoing.end(), visit);
        std::for_each(learners.begin(), learners.end(), visit);
    }

    // See RaftNode::fingerprint.
    [[nodiscard]] uint64_t fingerprint(std::span<const uint64_t> names) const;

    bool operator==(const Configuration&) const = default;
};

// Lists sorted and without repeats, nobody is 0, at least one voter, no voter is also a learner.
[[nodiscard]] bool valid(const Configuration& configuration);

// The stored form, also of configuration entries: opaque to the storage.
[[nodiscard]] std::string encode(const Configuration& configuration);
// Nothing for bytes that are not what `encode` makes of a valid configuration.
[[nodiscard]] std::optional<Configuration> decode_configuration(std::string_view bytes);

struct ConfigurationEntry {
    LogIndex index;
    Configuration configuration;
    bool operator==(const ConfigurationEntry&) const = default;
};

// The configuration at the log's base and those that were appended since.
// *Owner*: the RaftNode. Never empty; indexes rise.
class ConfigurationHistory {
  public:
    // Requires: indexes of `since` rise and are above `base`.
    ConfigurationHistory(LogIndex base, Configuration at_base,
                         std::vector<ConfigurationEntry> since);

    // In force: the newest in the log.
    [[nodiscard]] const Configuration& latest() const { return entries_.back().configuration; }
    [[nodiscard]] LogIndex latest_index() const { return entries_.back().index; }
    // As of a log that ends at `index`. Requires: index >= base.
    [[nodiscard]] const ConfigurationEntry& at(LogIndex index) const;
    [[nodiscard]] const std::vector<ConfigurationEntry>& entries() const { return entries_; }
    // Whether any of them knows this replica.
    [[nodiscard]] bool mentions(ReplicaId replica) const;

    // Requires: above latest_index().
    void append(LogIndex index, Configuration configuration);
    // Undoes what was appended at `from` and above. Requires: above the base.
    void truncate(LogIndex from);
    // The base moved up to `index`.
    void cut(LogIndex index);

  private:
    std::vector<ConfigurationEntry> entries_;  // the first is that of the base
};

}  // namespace quorate::raft
