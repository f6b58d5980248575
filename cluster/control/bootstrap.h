// How a node comes into its cluster: it forms one with others, joins one, or goes on in its own.
//
//   disk of a cluster ─────────────────────────────────► Resume (or Found again, if it had founded)
//   empty ──a seed is a member──────────────────────────► Join
//   empty ──all seeds empty, enough of us──► propose / accept ──unanimous──► Found
//
// The candidate of the lowest id proposes (cluster id, set) when every seed has answered that it is
// empty and `expect` nodes are seen. A node accepts a proposal only while it has accepted no other,
// only one that names it and all of its own seeds, and tells of it when that is durable. All have
// accepted: the cluster is formed. Only the proposer decides that, or withdraws; whoever accepted
// waits for it. Two sets of nodes that share a seed would both need that seed's acceptance, so no
// two of them are formed, whatever is lost, late or restarted. DNS only finds nodes: every address
// a seed's name stands for has to answer, and a name that stands for none counts as silent.
//
// What no rule can know: a majority of the disks was lost. The operator then names the cluster that
// is given up, in `abandoned`; its members count for nothing any more. The same frees a node whose
// proposer has lost its disk before it decided: `waits_for` names that cluster.
//
// How it is driven: `start`, then `tick` every `ask_every`; each call fills Actions. `persist` is
// written and synced, then `persisted` called; requests go out as calls, their answers come back
// through `answered`; the peers' calls go into `requested`, whose result is the answer. `resolved`
// tells what a seed's name stands for, again and again while the node has no cluster. After Join
// the driver asks the member for a node id (JoinNode, with the candidate's id as token, so that a
// restart gets the same one) and calls `joined`.
//
// Pure; time is an argument, randomness injected. Thread: one at a time. Owner: the node's start.
// Errors: Refuse carries a text for the operator; what peers say can only delay.
// Spec: rules "Bootstrap"; design §6 (Join, drain, leave); reliability 3.6.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "cluster/control/bootstrap_messages.h"
#include "proto/base/environment.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

struct BootstrapOptions {
    std::string name;
    std::string address;             // own, as others reach it
    std::vector<std::string> seeds;  // names or addresses, as configured
    uint32_t expect = 1;             // nodes that must see each other; at most kFoundersMax
    uint64_t abandoned = 0;          // a cluster that is given up; 0: none
    ShardLayout layout;              // of the cluster, if this node proposes it
    uint32_t replication_factor = 3;
    std::chrono::nanoseconds ask_every = std::chrono::milliseconds(200);
    std::chrono::nanoseconds fresh = std::chrono::seconds(3);  // how long an answer counts
    // A proposal that some members do not accept for so long is withdrawn.
    std::chrono::nanoseconds patience = std::chrono::seconds(10);
};

struct AskNode {
    std::string address;
    BootstrapRequest request;
};
// The groups of the founding set begin: `proposal.members` as nodes 1 to n, this node is `self`.
// Given again at every start until the driver finds the cluster formed in `meta`.
struct Found {
    Proposal proposal;
    NodeId self;
};
// Ask this member for a node id; repeated until `joined`.
struct Join {
    uint64_t cluster_id = 0;
    std::string address;
};
struct Resume {
    uint64_t cluster_id = 0;
    NodeId node;
};
// The process ends.
struct Refuse {
    std::string why;
};
using BootstrapOutcome = std::variant<std::monostate, Found, Join, Resume, Refuse>;

struct BootstrapActions {
    std::optional<BootstrapRecord> persist;
    std::vector<AskNode> asks;
    BootstrapOutcome outcome;
};

class Bootstrap {
  public:
    using Time = std::chrono::nanoseconds;

    // `record` as it is on disk; nothing on an empty one.
    Bootstrap(BootstrapOptions options, std::optional<BootstrapRecord> record,
              uint64_t random_seed);

    void start(Time now, BootstrapActions& out);
    void tick(Time now, BootstrapActions& out);
    // What the name of a seed stands for now. Without a call it stands for itself.
    void resolved(const std::string& seed, std::vector<std::string> addresses);
    // The last record handed out is on stable storage.
    void persisted(Time now, BootstrapActions& out);
    [[nodiscard]] Standing requested(const BootstrapRequest& request, Time now,
                                     BootstrapActions& out);
    // The answer of who listens at `address`.
    void answered(const std::string& address, const Standing& standing, Time now,
                  BootstrapActions& out);
    void joined(uint64_t cluster_id, NodeId node, BootstrapActions& out);

    // What it waits for, for the log and readiness.
    [[nodiscard]] const std::string& waits_for() const { return waits_for_; }
    [[nodiscard]] bool in_cluster() const { return durable_.cluster_id != 0; }

  private:
    struct Peer {
        std::optional<Standing> standing;
        Time at{};  // of the standing; else since when it is asked in vain
    };
    using Members = std::map<uint64_t, Candidate>;

    // bootstrap.cpp: asking, answering, seeds.
    void ask(Time now, BootstrapActions& out);
    void persist(BootstrapRecord record, BootstrapActions& out);
    void arrive(BootstrapActions& out);
    void refuse(std::string why, BootstrapActions& out);
    [[nodiscard]] Standing standing() const;
    void note_address(const std::string& address, Time now);
    void drop_silent(Time now);
    [[nodiscard]] const Standing* fresh(const std::string& address, Time now) const;
    [[nodiscard]] std::vector<std::string> seed_addresses() const;
    [[nodiscard]] bool given_up(const Standing& standing) const;
    // All have answered and are empty: who they are.
    [[nodiscard]] bool seeds_empty(Time now, Members& members);
    // One is of a cluster: this node joins it, or ends.
    [[nodiscard]] bool follow_seeds(Time now, BootstrapActions& out);
    // False, so that a check can end with it.
    [[nodiscard]] bool wait_for(std::string what);

    // bootstrap_proposals.cpp
    [[nodiscard]] bool gather(Time now, Members& members);
    void consider(Time now, BootstrapActions& out);
    void propose(const Members& members, BootstrapActions& out);
    [[nodiscard]] bool acceptable(const BootstrapRequest& request, Time now);
    void follow_proposal(const Standing& standing, BootstrapActions& out);
    void watch_own(const std::string& address, const Standing& standing, BootstrapActions& out);
    [[nodiscard]] bool own_open() const;
    [[nodiscard]] bool unanimous() const;
    void withdraw(BootstrapActions& out);
    void found(uint64_t cluster_id, BootstrapActions& out);

    BootstrapOptions options_;
    Random random_;
    BootstrapRecord durable_;
    std::optional<BootstrapRecord> writing_;  // handed out, not durable yet
    std::map<std::string, std::vector<std::string>> resolved_;
    std::map<std::string, Peer> peers_;  // by address
    std::set<uint64_t> accepted_by_;     // of the own open proposal
    Time open_since_{};
    Time last_ask_{};
    bool ended_ = false;
    std::string waits_for_;
    std::string conflict_;  // somebody claims this node's address
};

}  // namespace quorate::cluster
