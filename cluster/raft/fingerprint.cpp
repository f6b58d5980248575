// One number for all of a replica that decides what it does next, for a search through every state
// of a small group (tests/sim/search).
//
// Left out is what such a search abstracts from: clocks, check-quorum and windows that never fill
// (ticks, random draws, activity, bytes in flight), reads, numbers of writes, and payloads (an
// entry is index and term). Also what follows from the rest once everything was handed out.
#include <initializer_list>

#include "cluster/raft/raft_node.h"

namespace quorate::raft {
namespace {

uint64_t mixed(std::initializer_list<uint64_t> values) {
    uint64_t hash = 0x9E3779B97F4A7C15ULL;
    for (const uint64_t value : values) {
        hash = (hash ^ value) * 0xBF58476D1CE4E5B9ULL;
        hash ^= hash >> 31U;
    }
    return hash;
}

uint64_t name_of(std::span<const uint64_t> names, ReplicaId replica) {
    return replica.value() < names.size() ? names[replica.value()] : replica.value();
}

uint64_t print_of(const RaftLog& log) {
    uint64_t hash = mixed({log.base().index.value(), log.base().term.value(), log.stable().value(),
                           log.committed().value(), log.applied().value()});
    for (LogIndex index = log.base().index.next(); index <= log.last().index; ++index) {
        hash = mixed({hash, log.term_at(index)->value()});
    }
    return hash;
}

}  // namespace

// The order of the lists is that of the ids, so it may be no part of it.
uint64_t Configuration::fingerprint(std::span<const uint64_t> names) const {
    uint64_t sum = 0;
    for (const ReplicaId voter : voters) {
        sum += mixed({1, name_of(names, voter)});
    }
    for (const ReplicaId voter : outgoing) {
        sum += mixed({2, name_of(names, voter)});
    }
    for (const ReplicaId learner : learners) {
        sum += mixed({3, name_of(names, learner)});
    }
    return sum;
}

uint64_t Progress::fingerprint() const {
    return mixed({static_cast<uint64_t>(state_), match_.value(), next_.value(), probe_sent_});
}

uint64_t SnapshotSender::fingerprint() const {
    uint64_t hash =
        mixed({transfer_.value(), snapshot_ ? snapshot_->last.index.value() : 0, read_,
               acknowledged_, acknowledged_when_heard_, asked_, all_read_, ask_end_, behind_});
    for (const Chunk& chunk : chunks_) {
        hash = mixed({hash, chunk.offset, chunk.done, chunk.sent});
    }
    return hash;
}

uint64_t SnapshotReceiver::fingerprint(std::span<const uint64_t> names) const {
    if (!current_) return 0;
    return mixed({name_of(names, current_->from), current_->term.value(),
                  current_->transfer.value(), current_->last.index.value(),
                  current_->last.term.value(), current_->offset, current_->done});
}

uint64_t RaftNode::fingerprint(std::span<const uint64_t> names) const {
    uint64_t hash = mixed({static_cast<uint64_t>(role_), term_.value(), name_of(names, voted_for_),
                           name_of(names, leader_), print_of(log_), receiver_.fingerprint(names)});
    for (const ConfigurationEntry& entry : configurations_.entries()) {
        hash = mixed({hash, entry.index.value(), entry.configuration.fingerprint(names)});
    }
    for (const Write& write : writes_) {
        hash =
            mixed({hash, write.last.value(), write.term.value(), name_of(names, write.voted_for)});
    }
    if (role_ == Role::Candidate || role_ == Role::PreCandidate) {
        for (const auto& [replica, granted] : votes_) {
            hash += mixed({name_of(names, replica), granted});
        }
    }
    if (role_ != Role::Leader) return hash;
    hash = mixed({hash, term_start_.value(), last_transfer_.value()});
    for (const auto& [replica, progress] : progress_) {
        hash += mixed({name_of(names, replica), progress.fingerprint()});
    }
    for (const auto& [replica, sender] : senders_) {
        hash += mixed({name_of(names, replica), sender.fingerprint(), 1});
    }
    if (transfer_) hash = mixed({hash, name_of(names, transfer_->to), transfer_->asked});
    return hash;
}

}  // namespace quorate::raft
