#include "tests/unit/raft/raft_cluster.h"

#include <algorithm>
#include <utility>

#include "proto/base/assert.h"

namespace quorate::raft::test {
namespace {

std::string text(ReplicaId id) {
    return "replica " + std::to_string(id.value());
}

}  // namespace

RaftCluster::RaftCluster(uint32_t replicas, uint64_t seed) : random_(seed) {
    for (uint32_t i = 1; i <= replicas; ++i) {
        first_.voters.emplace_back(i);
    }
    for (const ReplicaId id : first_.voters) {
        replicas_.push_back(std::make_unique<Replica>(id, first_, random_.next()));
    }
}

Replica& RaftCluster::add_newcomer() {
    const ReplicaId id(replicas_.size() + 1);
    replicas_.push_back(std::make_unique<Replica>(id, first_, random_.next()));
    return *replicas_.back();
}

bool RaftCluster::change(const Configuration& target) {
    Replica* at = leader();
    if (at == nullptr || !at->node().change(target).ok()) return false;
    settle();
    return true;
}

Replica* RaftCluster::leader() {
    Replica* found = nullptr;
    for (const auto& replica : replicas_) {
        if (replica->node().role() != Role::Leader) continue;
        if (found == nullptr || replica->node().term() > found->node().term()) {
            found = replica.get();
        }
    }
    return found;
}

void RaftCluster::post(std::vector<Message>& messages) {
    // Nothing is remembered for ever: a network drops too.
    constexpr std::size_t kNetworkMax = 2000;
    for (Message& message : messages) {
        if (network_.size() < kNetworkMax) network_.push_back(std::move(message));
    }
    messages.clear();
}

void RaftCluster::deliver(const Message& message) {
    if (isolated_.contains(message.from) || isolated_.contains(message.to)) return;
    // A configuration that somebody made up may name replicas that are not there.
    if (message.to.value() > replicas_.size()) return;
    Replica& to = *replicas_[message.to.value() - 1];
    const uint64_t before = to.node().log().last().index.value();
    to.node().step(message);
    if (to.node().log().last().index.value() < before) ++truncations_;
    take(to);
}

void RaftCluster::take(Replica& replica) {
    std::vector<Message> out;
    replica.take(out);
    check_promises(replica, out);
    post(out);
    check(replica);
}

void RaftCluster::write_one(Replica& replica) {
    std::vector<Message> out;
    replica.write_one(out);
    check_promises(replica, out);
    post(out);
    take(replica);
}

void RaftCluster::settle() {
    bool busy = true;
    while (busy) {
        busy = false;
        for (const auto& replica : replicas_) {
            do {
                take(*replica);
            } while (replica->node().has_ready());
            while (replica->has_write()) {
                write_one(*replica);
                busy = true;
            }
        }
        while (!network_.empty()) {
            const Message message = std::move(network_.front());
            network_.pop_front();
            deliver(message);
            busy = true;
        }
    }
}

void RaftCluster::tick() {
    for (const auto& replica : replicas_) {
        replica->node().tick();
    }
    settle();
}

Replica& RaftCluster::elect() {
    for (int i = 0; i < 200; ++i) {
        tick();
        Replica* found = leader();
        if (found != nullptr && !isolated_.contains(found->id())) return *found;
    }
    QUORATE_FATAL("nobody was elected");
}

bool RaftCluster::propose(const std::string& command) {
    Replica* at = leader();
    return at != nullptr && at->node().propose(SharedBytes(as_bytes(command))).ok();
}

void RaftCluster::random_step(bool faults) {
    Replica& one = *replicas_[random_.below(replicas_.size())];
    if (faults && random_.chance(1, 150)) cut_somewhere(one);
    switch (random_.below(12)) {
        case 0:
            one.node().tick();
            take(one);
            break;
        case 1:
        case 2:
        case 3:
            write_one(one);
            break;
        case 4:
            if (one.node().role() == Role::Leader) {
                const std::string command = "c" + std::to_string(++proposals_);
                (void)one.node().propose(SharedBytes(as_bytes(command))).ok();
                take(one);
            }
            break;
        case 5:
            if (faults && random_.chance(1, 40)) {
                ++crashes_;
                one.restart(random_.next());
            }
            break;
        case 6:
            if (faults && random_.chance(1, 30)) {
                isolated_.clear();
                if (random_.chance(2, 3)) isolated_.insert(one.id());
            }
            break;
        default: {
            if (network_.empty()) break;
            const std::size_t at = faults ? random_.below(network_.size()) : 0;
            const bool doubled = faults && random_.chance(1, 20);
            const bool lost = faults && random_.chance(1, 10);
            if (!lost) {
                arrive(at, doubled);
            } else if (!doubled) {
                lose(at);
            }
            break;
        }
    }
}

// As far as the disk may, with or without regard for those that lag.
void RaftCluster::cut_somewhere(Replica& one) {
    if (one.restoring() || one.has_write()) return;
    const LogIndex limit = one.node().cut_limit(random_.chance(1, 2));
    if (limit > one.node().log().base().index) one.cut(limit);
}

void RaftCluster::inject(const Message& message) {
    const uint64_t to = message.to.value();
    if (to == 0 || to > replicas_.size()) return;
    deliver(message);
}

void RaftCluster::arrive(std::size_t at, bool doubled) {
    const Message message = network_[at];
    if (!doubled) lose(at);
    deliver(message);
}

void RaftCluster::lose(std::size_t at) {
    network_.erase(network_.begin() + static_cast<std::ptrdiff_t>(at));
}

uint64_t RaftCluster::restores() const {
    uint64_t count = 0;
    for (const auto& replica : replicas_) {
        count += replica->restores();
    }
    return count;
}

void RaftCluster::violate(const std::string& what) {
    if (violation_.empty()) violation_ = what;
}

// R5: whatever promises something leaves when the disk holds what it rests on.
void RaftCluster::check_promises(Replica& replica, const std::vector<Message>& messages) {
    const Disk& disk = replica.disk();
    for (const Message& message : messages) {
        if (const auto* vote = std::get_if<RequestVoteReply>(&message.body)) {
            if (!vote->granted || vote->pre) continue;
            if (disk.state.term < message.term ||
                (disk.state.term == message.term && disk.state.voted_for != message.to)) {
                violate("R5: a vote left before it was durable at " + text(replica.id()));
            }
        }
        if (const auto* reply = std::get_if<AppendEntriesReply>(&message.body)) {
            const LogIndex durable =
                disk.entries.empty() ? disk.base.index : disk.entries.back().id.index;
            // A later write may already have shortened it again, in a later term.
            if (reply->accepted && reply->index > durable && disk.state.term == message.term) {
                violate("R5: an acceptance left before it was durable at " + text(replica.id()));
            }
        }
    }
}

void RaftCluster::check(Replica& replica) {
    RaftNode& node = replica.node();
    // R1: at most one leader a term.
    if (node.role() == Role::Leader) {
        const auto [known, first] = leaders_.emplace(node.term(), replica.id());
        if (known->second != replica.id()) {
            violate("R1: two leaders in term " + std::to_string(node.term().value()));
        }
        // R3: a new leader has everything that was ever committed.
        if (first && !committed_.empty()) {
            const auto& [index, entry] = *committed_.rbegin();
            if (node.log().term_at(LogIndex(index)) != entry.first &&
                node.log().base().index.value() < index) {
                violate("R3: a leader lacks committed entry " + std::to_string(index));
            }
        }
    }
    // R4 (and with it R2 for what is committed): everybody applies the same at the same index, and
    // nothing that is not durable at home.
    std::size_t& from = checked_[replica.id()];
    for (; from < replica.applied().size(); ++from) {
        const Entry& entry = replica.applied()[from];
        if (entry.id.index.value() != from + 1) violate("R4: applied out of order");
        const auto [known, first] = committed_.emplace(
            entry.id.index.value(), std::pair(entry.id.term, std::string(entry.data.text())));
        if (known->second.first != entry.id.term || known->second.second != entry.data.text()) {
            violate("R4: two commands at index " + std::to_string(entry.id.index.value()));
        }
        const auto& disk = replica.disk().entries;
        const bool durable = entry.id.index <= replica.disk().base.index ||
                             std::any_of(disk.begin(), disk.end(), [&](const Entry& stored) {
                                 return stored.id == entry.id;
                             });
        if (!durable && !replica.restoring())
            violate("R5: applied what the own disk does not hold");
    }
}

}  // namespace quorate::raft::test
