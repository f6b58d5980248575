#include "cluster/control/bootstrap.h"

#include <algorithm>
#include <utility>

#include "cluster/control/mutants.h"
#include "proto/base/assert.h"

namespace quorate::cluster {
namespace {

// An address that nobody was ever heard at is forgotten, unless it is a seed's.
constexpr std::chrono::seconds kForgetAfter{30};

}  // namespace

Bootstrap::Bootstrap(BootstrapOptions options, std::optional<BootstrapRecord> record,
                     uint64_t random_seed)
    : options_(std::move(options)), random_(random_seed) {
    if (record) durable_ = std::move(*record);
}

void Bootstrap::start(Time now, BootstrapActions& out) {
    open_since_ = now;
    if (own_open()) accepted_by_ = {durable_.candidate};
    if (options_.expect == 0 || options_.expect > kFoundersMax) {
        return refuse("bootstrap_expect has to be 1 to " + std::to_string(kFoundersMax), out);
    }
    if (durable_.cluster_id != 0) {
        if (durable_.cluster_id == options_.abandoned) {
            return refuse(
                "this disk belongs to the cluster that is to be given up; to begin again start "
                "with an empty data directory",
                out);
        }
        arrive(out);
    } else if (durable_.candidate == 0) {
        BootstrapRecord record;
        while (record.candidate == 0)
            record.candidate = random_.next();
        persist(std::move(record), out);
    } else if (durable_.accepted && durable_.accepted->cluster_id == options_.abandoned) {
        BootstrapRecord record = durable_;
        record.accepted.reset();
        persist(std::move(record), out);
    }
    ask(now, out);
}

void Bootstrap::tick(Time now, BootstrapActions& out) {
    if (ended_ || now < last_ask_ + options_.ask_every) return;
    drop_silent(now);
    if (!in_cluster() && !writing_) {
        if (own_open() && open_since_ + options_.patience <= now) {
            withdraw(out);
        } else {
            consider(now, out);
        }
    }
    if (!ended_) ask(now, out);
}

void Bootstrap::ask(Time now, BootstrapActions& out) {
    last_ask_ = now;
    if (durable_.candidate == 0) return;
    std::set<std::string> addresses;
    for (const std::string& address : seed_addresses())
        addresses.insert(address);
    if (in_cluster()) {
        // Only to find out whether they are of the same cluster.
        std::erase_if(addresses, [this](const std::string& address) {
            const auto peer = peers_.find(address);
            return peer != peers_.end() && peer->second.standing;
        });
    } else {
        for (const auto& [address, peer] : peers_)
            addresses.insert(address);
        if (durable_.accepted) {
            for (const Candidate& member : durable_.accepted->members)
                addresses.insert(member.address);
        }
    }
    addresses.erase(options_.address);
    for (const std::string& address : addresses) {
        AskNode& each = out.asks.emplace_back(AskNode{address, {standing(), std::nullopt}});
        if (own_open() && !writing_) each.request.proposal = durable_.accepted;
    }
}

void Bootstrap::resolved(const std::string& seed, std::vector<std::string> addresses) {
    if (addresses.size() > kKnownMax) addresses.resize(kKnownMax);
    resolved_[seed] = std::move(addresses);
}

void Bootstrap::persist(BootstrapRecord record, BootstrapActions& out) {
    ASSERT(!writing_, "one record is written at a time");
    writing_ = std::move(record);
    out.persist = writing_;
}

void Bootstrap::persisted(Time now, BootstrapActions& out) {
    if (!writing_) return;
    durable_ = std::move(*writing_);
    writing_.reset();
    accepted_by_.clear();
    if (in_cluster()) return arrive(out);
    if (own_open()) {
        accepted_by_ = {durable_.candidate};
        open_since_ = now;
        if (unanimous()) return found(durable_.accepted->cluster_id, out);
    }
    consider(now, out);
    if (!writing_ && !ended_) ask(now, out);
}

// What the disk holds, and nothing else.
Standing Bootstrap::standing() const {
    const bool early = mutated(ControlMutant::AnswerBeforePersist) && writing_;
    const BootstrapRecord& record = early ? *writing_ : durable_;
    Standing out;
    out.self = {record.candidate, options_.name, options_.address};
    out.cluster_id = record.cluster_id;
    out.expect = options_.expect;
    out.proposed = record.proposed;
    if (record.accepted) out.accepted = record.accepted->id;
    if (record.cluster_id != 0) return out;
    for (const auto& [address, peer] : peers_) {
        const bool empty = peer.standing && peer.standing->cluster_id == 0;
        if (empty && out.known.size() < kKnownMax) out.known.push_back(address);
    }
    return out;
}

Standing Bootstrap::requested(const BootstrapRequest& request, Time now, BootstrapActions& out) {
    const Standing& from = request.from;
    const bool other = from.self.id != 0 && from.self.id != durable_.candidate;
    if (ended_ || in_cluster() || durable_.candidate == 0 || !other) return standing();
    if (from.self.address == options_.address) {
        conflict_ = "; " + from.self.name + " says that it has this node's address";
    }
    if (from.cluster_id == 0) note_address(from.self.address, now);
    if (!writing_) follow_proposal(from, out);
    const bool free = !durable_.accepted || mutated(ControlMutant::AcceptTwice);
    if (!writing_ && free && request.proposal && acceptable(request, now)) {
        BootstrapRecord record = durable_;
        record.accepted = request.proposal;
        persist(std::move(record), out);
    }
    return standing();
}

void Bootstrap::answered(const std::string& address, const Standing& standing, Time now,
                         BootstrapActions& out) {
    if (ended_ || standing.self.id == 0) return;
    if (peers_.size() < 2 * kKnownMax || peers_.contains(address)) {
        peers_[address] = Peer{standing, now};
    }
    if (in_cluster()) {
        const bool foreign = standing.cluster_id != 0 &&
                             standing.cluster_id != durable_.cluster_id && !given_up(standing);
        const auto seeds = seed_addresses();
        if (!foreign || std::ranges::find(seeds, address) == seeds.end()) return;
        return refuse("this disk belongs to cluster " + std::to_string(durable_.cluster_id) +
                          ", the seed " + address + " to cluster " +
                          std::to_string(standing.cluster_id),
                      out);
    }
    for (const std::string& known : standing.known)
        note_address(known, now);
    if (standing.cluster_id == 0) note_address(standing.self.address, now);
    if (!writing_) follow_proposal(standing, out);
    if (!writing_) watch_own(address, standing, out);
    if (!writing_) consider(now, out);
}

void Bootstrap::joined(uint64_t cluster_id, NodeId node, BootstrapActions& out) {
    if (writing_ || in_cluster() || durable_.accepted || cluster_id == 0) return;
    BootstrapRecord record = durable_;
    record.cluster_id = cluster_id;
    record.node = node;
    persist(std::move(record), out);
}

void Bootstrap::note_address(const std::string& address, Time now) {
    if (address.empty() || address == options_.address || address.size() > kBootstrapTextMax) {
        return;
    }
    if (peers_.size() < kKnownMax) peers_.try_emplace(address, Peer{std::nullopt, now});
}

void Bootstrap::drop_silent(Time now) {
    std::erase_if(peers_,
                  [now](const auto& entry) { return entry.second.at + kForgetAfter <= now; });
}

const Standing* Bootstrap::fresh(const std::string& address, Time now) const {
    const auto peer = peers_.find(address);
    if (peer == peers_.end() || !peer->second.standing) return nullptr;
    return now <= peer->second.at + options_.fresh ? &*peer->second.standing : nullptr;
}

std::vector<std::string> Bootstrap::seed_addresses() const {
    std::vector<std::string> out;
    for (const std::string& seed : options_.seeds) {
        const auto known = resolved_.find(seed);
        if (known == resolved_.end()) {
            out.push_back(seed);
        } else {
            out.insert(out.end(), known->second.begin(), known->second.end());
        }
    }
    return out;
}

bool Bootstrap::given_up(const Standing& standing) const {
    return standing.cluster_id != 0 && standing.cluster_id == options_.abandoned;
}

bool Bootstrap::own_open() const {
    return durable_.cluster_id == 0 && durable_.accepted &&
           durable_.accepted->id.proposer == durable_.candidate;
}

void Bootstrap::arrive(BootstrapActions& out) {
    waits_for_.clear();
    const bool founder = durable_.accepted && durable_.accepted->cluster_id == durable_.cluster_id;
    if (founder) {
        out.outcome = Found{*durable_.accepted, durable_.node};
    } else {
        out.outcome = Resume{durable_.cluster_id, durable_.node};
    }
}

void Bootstrap::refuse(std::string why, BootstrapActions& out) {
    ended_ = true;
    waits_for_ = why;
    out.outcome = Refuse{std::move(why)};
}

bool Bootstrap::seeds_empty(Time now, Members& members) {
    for (const std::string& seed : options_.seeds) {
        const auto known = resolved_.find(seed);
        const bool nowhere = known != resolved_.end() && known->second.empty();
        if (!nowhere || mutated(ControlMutant::SilentSeedIgnored)) continue;
        return wait_for("the seed " + seed + ", whose name has no address");
    }
    for (const std::string& address : seed_addresses()) {
        if (address == options_.address) continue;
        const Standing* answer = fresh(address, now);
        if (answer == nullptr) {
            if (mutated(ControlMutant::SilentSeedIgnored)) continue;
            return wait_for("the seed " + address + ", which does not answer");
        }
        if (given_up(*answer) || answer->self.id == durable_.candidate) continue;
        if (answer->cluster_id != 0) return wait_for("the cluster of the seed " + address);
        if (!mutated(ControlMutant::SeedLeftOut)) members[answer->self.id] = answer->self;
    }
    return true;
}

bool Bootstrap::follow_seeds(Time now, BootstrapActions& out) {
    std::string first;
    uint64_t cluster = 0;
    for (const std::string& address : seed_addresses()) {
        const Standing* answer = fresh(address, now);
        if (answer == nullptr || answer->cluster_id == 0 || given_up(*answer)) continue;
        if (cluster != 0 && cluster != answer->cluster_id) {
            refuse("the seeds " + first + " and " + address + " belong to two clusters", out);
            return true;
        }
        if (cluster == 0) first = address;
        cluster = answer->cluster_id;
    }
    if (cluster == 0) return false;
    if (own_open()) {
        withdraw(out);
    } else if (durable_.accepted) {
        (void)wait_for("the end of a proposal, before it can join the cluster of the seed " +
                       first);
    } else {
        (void)wait_for("its admission by the seed " + first);
        out.outcome = Join{cluster, first};
    }
    return true;
}

bool Bootstrap::wait_for(std::string what) {
    waits_for_ = std::move(what);
    return false;
}

}  // namespace quorate::cluster
