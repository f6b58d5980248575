// How nodes with empty disks agree on one set: proposing, accepting, withdrawing.
#include <algorithm>
#include <utility>

#include "cluster/control/bootstrap.h"
#include "cluster/control/mutants.h"

namespace quorate::cluster {
namespace {

std::string called(const Candidate& candidate) {
    return candidate.name + " (" + candidate.address + ")";
}

// Ids, names and addresses are there once each. Otherwise who is in the way.
std::optional<std::string> clash(const std::vector<Candidate>& members) {
    for (auto one = members.begin(); one != members.end(); ++one) {
        for (auto other = std::next(one); other != members.end(); ++other) {
            if (one->id == other->id || one->name == other->name ||
                one->address == other->address) {
                return called(*one) + " and " + called(*other) +
                       " to get names and addresses of their own";
            }
        }
    }
    return std::nullopt;
}

const Candidate* member_of(const Proposal& proposal, uint64_t id) {
    const auto found = std::ranges::find(proposal.members, id, &Candidate::id);
    return found == proposal.members.end() ? nullptr : &*found;
}

}  // namespace

// The set this node would propose, or why not yet.
bool Bootstrap::gather(Time now, Members& members) {
    const Candidate self{durable_.candidate, options_.name, options_.address};
    members[self.id] = self;
    std::map<uint64_t, Candidate> others;
    for (const auto& [address, peer] : peers_) {
        const Standing* answer = fresh(address, now);
        if (answer == nullptr || answer->cluster_id != 0) continue;
        const bool needed = members.contains(answer->self.id);
        if (answer->expect != options_.expect) {
            if (!needed || answer->self.id == self.id) continue;
            return wait_for(called(answer->self) + ", whose bootstrap_expect is " +
                            std::to_string(answer->expect) + " and not " +
                            std::to_string(options_.expect));
        }
        if (answer->accepted.proposer != 0) {
            if (!needed) continue;
            return wait_for(called(answer->self) + ", which has accepted another proposal");
        }
        others[answer->self.id] = answer->self;
    }
    if (members.size() > options_.expect) {
        return wait_for("a bootstrap_expect that is not below the number of seeds and this node, " +
                        std::to_string(members.size()));
    }
    for (const auto& [id, candidate] : others) {
        if (members.size() < options_.expect) members[id] = candidate;
    }
    if (members.size() < options_.expect) {
        return wait_for(std::to_string(options_.expect) + " nodes with empty disks; " +
                        std::to_string(members.size()) + " are seen" + conflict_);
    }
    return true;
}

void Bootstrap::consider(Time now, BootstrapActions& out) {
    if (ended_ || writing_ || in_cluster() || durable_.candidate == 0) return;
    if (follow_seeds(now, out)) return;
    if (durable_.accepted) {
        const Candidate* proposer = member_of(*durable_.accepted, durable_.accepted->id.proposer);
        if (proposer == nullptr) return;
        (void)wait_for((own_open() ? "all members to accept the proposal of "
                                   : "the decision on the proposal of ") +
                       called(*proposer) + ", cluster " +
                       std::to_string(durable_.accepted->cluster_id));
        const bool unheard = !own_open() && fresh(proposer->address, now) == nullptr;
        if (!unheard || !mutated(ControlMutant::ReleaseUnheard)) return;
        BootstrapRecord record = durable_;
        record.accepted.reset();
        return persist(std::move(record), out);
    }
    Members members;
    if (!seeds_empty(now, members) || !gather(now, members)) return;
    if (members.begin()->first != durable_.candidate) {
        (void)wait_for("the proposal of " + called(members.begin()->second));
        return;
    }
    propose(members, out);
}

void Bootstrap::propose(const Members& members, BootstrapActions& out) {
    Proposal proposal;
    for (const auto& [id, candidate] : members)
        proposal.members.push_back(candidate);
    std::ranges::sort(proposal.members, {}, &Candidate::name);
    if (const auto in_the_way = clash(proposal.members)) {
        (void)wait_for(*in_the_way);
        return;
    }
    while (proposal.cluster_id == 0)
        proposal.cluster_id = random_.next();
    BootstrapRecord record = durable_;
    proposal.id = {record.candidate, ++record.proposed};
    proposal.layout = options_.layout;
    proposal.replication_factor = options_.replication_factor;
    record.accepted = std::move(proposal);
    persist(std::move(record), out);
}

bool Bootstrap::acceptable(const BootstrapRequest& request, Time now) {
    const Proposal& proposal = *request.proposal;
    const Candidate* proposer = member_of(proposal, request.from.self.id);
    const Candidate* self = member_of(proposal, durable_.candidate);
    const bool sound = proposal.id.proposer == request.from.self.id && proposal.id.number > 0 &&
                       proposal.cluster_id != 0 && proposal.layout.shards > 0 &&
                       proposal.replication_factor > 0 && proposer != nullptr && self != nullptr &&
                       !clash(proposal.members);
    if (!sound || *self != Candidate{durable_.candidate, options_.name, options_.address}) {
        return false;
    }
    Members seeds;
    if (proposal.members.size() != options_.expect || !seeds_empty(now, seeds)) return false;
    return std::ranges::all_of(
        seeds, [&](const auto& seed) { return member_of(proposal, seed.first) != nullptr; });
}

// What became of the proposal that this node has accepted, as far as this standing tells.
void Bootstrap::follow_proposal(const Standing& standing, BootstrapActions& out) {
    if (in_cluster() || !durable_.accepted) return;
    const Proposal& accepted = *durable_.accepted;
    if (standing.cluster_id == accepted.cluster_id) return found(accepted.cluster_id, out);
    const bool withdrawn =
        standing.self.id == accepted.id.proposer && standing.self.id != durable_.candidate &&
        standing.proposed >= accepted.id.number && standing.accepted != accepted.id;
    if (!withdrawn) return;
    BootstrapRecord record = durable_;
    record.accepted.reset();
    persist(std::move(record), out);
}

void Bootstrap::watch_own(const std::string& address, const Standing& standing,
                          BootstrapActions& out) {
    if (!own_open()) return;
    const Proposal& own = *durable_.accepted;
    if (standing.accepted == own.id && member_of(own, standing.self.id) != nullptr) {
        accepted_by_.insert(standing.self.id);
        if (unanimous()) found(own.cluster_id, out);
        return;
    }
    const auto at = std::ranges::find(own.members, address, &Candidate::address);
    if (at == own.members.end()) return;
    const bool replaced = at->id != standing.self.id;  // it has lost its disk
    const bool elsewhere = standing.cluster_id != 0;
    // Of two that hinder each other the higher one gives way at once.
    const bool lower = standing.accepted.proposer != 0 && standing.accepted != own.id &&
                       standing.accepted.proposer < durable_.candidate;
    if (replaced || elsewhere || lower) withdraw(out);
}

bool Bootstrap::unanimous() const {
    const std::size_t members = durable_.accepted->members.size();
    if (mutated(ControlMutant::FormByMajority)) return accepted_by_.size() > members / 2;
    return accepted_by_.size() == members;
}

// Nobody can have formed it: that is for this node alone to decide.
void Bootstrap::withdraw(BootstrapActions& out) {
    BootstrapRecord record = durable_;
    record.accepted.reset();
    persist(std::move(record), out);
}

void Bootstrap::found(uint64_t cluster_id, BootstrapActions& out) {
    BootstrapRecord record = durable_;
    const auto& members = record.accepted->members;
    const auto self = std::ranges::find(members, record.candidate, &Candidate::id);
    record.cluster_id = cluster_id;
    record.node = NodeId(static_cast<uint32_t>(self - members.begin()) + 1);
    persist(std::move(record), out);
}

}  // namespace quorate::cluster
