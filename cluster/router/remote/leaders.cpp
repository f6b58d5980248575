#include "cluster/router/remote/leaders.h"

namespace quorate::cluster {
namespace {

constexpr uint32_t node_in(uint64_t word) {
    return static_cast<uint32_t>(word);
}

constexpr uint32_t change_in(uint64_t word) {
    return static_cast<uint32_t>(word >> 32U);
}

}  // namespace

bool Leaders::learn(GroupId group, Term term, NodeId leader) {
    const std::size_t at = group.value();
    if (at >= places_.size()) return false;
    const std::lock_guard lock(mutex_);
    const NodeId known(node_in(places_[at].load(std::memory_order_relaxed)));
    const Term heard(terms_[at].load(std::memory_order_relaxed));
    if (term < heard) return false;
    // Within a term a leader becomes known once, and stays known until it is lost.
    if (term == heard && (leader == NodeId() || leader == known)) return false;
    // The same node in a later term may have lost what it was sent in between.
    const bool nothing = leader == NodeId() && known == NodeId();
    terms_[at].store(term.value(), std::memory_order_release);
    if (nothing) return false;
    set(at, leader);
    return true;
}

void Leaders::again(NodeId node) {
    replace(node, node);
}

void Leaders::lost(NodeId node) {
    replace(node, NodeId());
}

void Leaders::replace(NodeId node, NodeId by) {
    const std::lock_guard lock(mutex_);
    for (std::size_t at = 0; at < places_.size(); ++at) {
        const bool led = node_in(places_[at].load(std::memory_order_relaxed)) == node.value();
        if (led) set(at, by);
    }
}

Leaders::Place Leaders::at(GroupId group) const {
    if (group.value() >= places_.size()) return {};
    const uint64_t word = places_[group.value()].load(std::memory_order_acquire);
    return {NodeId(node_in(word)), change_in(word)};
}

Term Leaders::term(GroupId group) const {
    if (group.value() >= terms_.size()) return {};
    return Term(terms_[group.value()].load(std::memory_order_acquire));
}

void Leaders::set(std::size_t group, NodeId leader) {
    const uint64_t change = change_in(places_[group].load(std::memory_order_relaxed)) + 1ULL;
    places_[group].store(change << 32U | leader.value(), std::memory_order_release);
    changes_.fetch_add(1, std::memory_order_release);
}

}  // namespace quorate::cluster
