// What nodes without a cluster say to each other, and what each of them keeps on disk.
//
// *Thread*: any; values. *Errors*: decoding gives Corrupt for anything but what was encoded; sizes
// are bounded, so a stranger's bytes cost little. *Spec*: rules "Bootstrap".
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/topics/destination.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace quorate::cluster {

inline constexpr std::size_t kFoundersMax = 64;
inline constexpr std::size_t kKnownMax = 64;             // addresses that a Standing passes on
inline constexpr std::size_t kBootstrapTextMax = 1'024;  // of a name or an address

// A disk that belongs to no cluster yet. The id is chosen at random when the disk is first used.
struct Candidate {
    uint64_t id = 0;
    std::string name;
    std::string address;  // host:port of its links
    bool operator==(const Candidate&) const = default;
};

struct ProposalId {
    uint64_t proposer = 0;  // a candidate's id
    uint64_t number = 0;    // its first is 1
    auto operator<=>(const ProposalId&) const = default;
};

// The cluster that the proposer would form; members get NodeId 1, 2, ... in this order.
struct Proposal {
    ProposalId id;
    uint64_t cluster_id = 0;  // not 0
    std::vector<Candidate> members;
    ShardLayout layout;
    uint32_t replication_factor = 3;
};

// Where a node stands, as its disk holds it: in every request and every answer.
struct Standing {
    Candidate self;
    uint64_t cluster_id = 0;  // 0: empty disk
    uint32_t expect = 1;
    uint64_t proposed = 0;             // number of its own last proposal
    ProposalId accepted;               // 0, 0: none
    std::vector<std::string> known{};  // addresses of nodes without a cluster
};

struct BootstrapRequest {
    Standing from;
    std::optional<Proposal> proposal;  // to be accepted
};

// To be on stable storage before anything that follows from it leaves.
struct BootstrapRecord {
    uint64_t candidate = 0;
    uint64_t proposed = 0;
    // Kept when the cluster was formed: what its groups begin with.
    std::optional<Proposal> accepted;
    uint64_t cluster_id = 0;  // 0: none yet
    NodeId node;              // 0: none yet
};

[[nodiscard]] std::string encode(const Standing& standing);
[[nodiscard]] std::string encode(const BootstrapRequest& request);
[[nodiscard]] std::string encode(const BootstrapRecord& record);
[[nodiscard]] Result<Standing> decode_standing(std::string_view bytes);
[[nodiscard]] Result<BootstrapRequest> decode_bootstrap_request(std::string_view bytes);
[[nodiscard]] Result<BootstrapRecord> decode_bootstrap_record(std::string_view bytes);

}  // namespace quorate::cluster
