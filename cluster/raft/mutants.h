// Known bugs that can be switched on one at a time in builds for tests, so that a check that does
// not catch them is known to be worth nothing.
//
// In the library of the server `mutated` is the constant false. The library quorate_raft_mutants is
// the same code with QUORATE_MUTANTS defined; a test sets `active_mutant` before it makes nodes.
// *Thread*: one at a time. *Owner*: the test.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace quorate::raft {

enum class Mutant : uint8_t {
    None,
    AcknowledgeBeforeDurable,     // §3.8: AppendEntriesReply leaves before its write is done
    VoteNotPersisted,             // §3.8: a restart forgets the vote
    CommitOldTermByCounting,      // §3.6.2
    ChangeBeforeOwnTerm,          // §4.1: before an entry of the own term is committed
    ChangeWhileInFlight,          // §4.1: a second change before the first is committed
    ChangeKeptOnTruncation,       // §4.1: a truncated configuration stays in force
    UncommittedChangeInSnapshot,  // §5.1: the newest configuration instead of the one at the cut
    SnapshotIndexOffByOne,        // §5.1: the snapshot claims one entry more than it holds
    ReadIdReused,                 // §6.4: a later read takes the id of an earlier one
    StaleCompletion,              // §10.2.1: a write of replaced entries makes new ones stable
    ApplyBeforeDurable,           // an entry is applied before the own disk holds it
    OwnVoteBeforeDurable,         // §3.8: a candidate counts itself at once
    OwnCopyBeforeDurable,         // §10.2.1: a leader counts what its disk does not hold yet
    VoteForShorterLog,            // §3.6.1
    VoteTwice,                    // §3.4: in one term
    JointByNewHalf,               // §4.3: the majority of the old voters is not asked
    LearnerCounts,                // §4.2.1: a learner's copy counts
    CampaignOnUncommittedChange,  // about the campaigner itself
    TransferToLaggard,            // §3.10: TimeoutNow before the target holds everything
    ReadBeforeOwnTerm,            // §6.4: before an entry of the own term is committed
    ReadWithoutQuorum,            // §6.4: nobody is asked
    CommitBeyondMatch,            // §3.5: a heartbeat names more than its receiver holds
    SnapshotKeepsConflictingSuffix,  // §5.1: entries above a snapshot that they do not continue
    StrangersHeard,                  // who is in no configuration counts
};

inline constexpr std::array<std::string_view, 25> kMutantNames = {
    "None",
    "AcknowledgeBeforeDurable",
    "VoteNotPersisted",
    "CommitOldTermByCounting",
    "ChangeBeforeOwnTerm",
    "ChangeWhileInFlight",
    "ChangeKeptOnTruncation",
    "UncommittedChangeInSnapshot",
    "SnapshotIndexOffByOne",
    "ReadIdReused",
    "StaleCompletion",
    "ApplyBeforeDurable",
    "OwnVoteBeforeDurable",
    "OwnCopyBeforeDurable",
    "VoteForShorterLog",
    "VoteTwice",
    "JointByNewHalf",
    "LearnerCounts",
    "CampaignOnUncommittedChange",
    "TransferToLaggard",
    "ReadBeforeOwnTerm",
    "ReadWithoutQuorum",
    "CommitBeyondMatch",
    "SnapshotKeepsConflictingSuffix",
    "StrangersHeard",
};

#ifdef QUORATE_MUTANTS
inline Mutant active_mutant = Mutant::None;
[[nodiscard]] inline bool mutated(Mutant mutant) {
    return mutant == active_mutant;
}
#else
[[nodiscard]] constexpr bool mutated(Mutant /*mutant*/) {
    return false;
}
#endif

}  // namespace quorate::raft
