// R4 in production: every so many entries the leader proposes what it has written up to a common
// entry, as a hash, and every replica compares that with its own when it applies the proposal.
//
// The hash is a running one, over all changes of all batches without the prefix of the generation,
// so it costs no reading of the state; it travels with the applied index, also in snapshots. Equal
// hashes mean that the same changes were made in the same order. Which replica is wrong nobody can
// tell: those that differ from their leader stop.
#include <cinttypes>
#include <cstdio>

#include "cluster/group/group.h"

namespace quorate::cluster {

// `entry` is applied; what it changed was added to the batch since.
void Group::note_written(const raft::Entry& entry, const storage::StateBatch& batch,
                         storage::StateBatch::Mark since) {
    digest_ = batch.digest(since, digest_);
    if (entry.id.index.value() % options_.state_check_every == 0) {
        checkpoint_ = StateDigest{entry.id.index, digest_};
    }
}

bool Group::check_due() const {
    if (!leading_ || checkpoint_.index <= check_proposed_) return false;
    // Alone it would ask itself.
    const raft::Configuration& now = raft_->configuration();
    return now.voters.size() + now.learners.size() > 1 || now.joint();
}

void Group::propose_check() {
    check_proposed_ = checkpoint_.index;
    raft_->propose(encode_state_check(checkpoint_)).ignore_because("the next one will do");
}

Status Group::check_state(const StateDigest& leaders) {
    // Overtaken by the next one on its way: that will be compared.
    if (leaders.index != checkpoint_.index) return {};
    if (leaders.digest == checkpoint_.digest) {
        if (counters_ != nullptr) ++counters_->state_checks;
        return {};
    }
    if (counters_ != nullptr) ++counters_->states_differ;
    char digests[64];
    std::snprintf(digests, sizeof(digests), "%016" PRIx64 ", the leader's %016" PRIx64,
                  checkpoint_.digest, leaders.digest);
    return Error{ErrorCode::Corrupt, "the state as of entry " +
                                         std::to_string(leaders.index.value()) +
                                         " differs from the leader's: its hash is " + digests};
}

}  // namespace quorate::cluster
