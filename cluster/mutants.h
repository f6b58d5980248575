// Deliberate mistakes, one rule taken out at a time: a test of a rule counts only when it fails
// with its mutant (reliability.md 2.7, and the last section of the rules).
//
// In the product `mutated` is constant false and costs nothing. With QUORATE_MUTANTS the mutant
// that `rule_mutant` names is in force: only libraries of tests are compiled so.
//
// Thread: one; the test's.
#pragma once

#include <cstdint>

namespace quorate::cluster {

enum class RuleMutant : uint8_t {
    None,
    NoTermFence,           // whoever listens accepts older terms of a source
    NoIncarnationFence,    // a node that is down may go on
    StaleRepeatSucceeds,   // a repeat of what was refused as stale is answered as applied
    AnswerUnconfirmed,     // the owner answers without confirming its leadership
    OldConfirmation,       // a confirmation begun before the publish was read counts
    AnswerIncomplete,      // the owner answers before every destination has the message
    PrevUnchecked,         // the owner's end takes any number of an attempt
    OldAttemptAnswers,     // answers to an earlier attempt settle what was sent again
    RetainedTwice,         // the shard writes a retained value again
    GapApplied,            // a number beyond the next is applied
    DuplicateApplied,      // a number is applied again
    SubackEarly,           // the second subscriber of a filter does not wait for the route
    RouteTakenForMade,     // a new leader takes what is wanted for made
    OlderRouteApplied,     // an older change of a route is applied over a newer one
    UnsubscribeIgnored,    // what a route leads to is not matched again
    OutboxForgotten,       // what an earlier leader had to hand over is not handed over
    ReceivedIdDropped,     // identifiers of QoS 2 are dropped by time (14)
    ReceivedIdKept,        // PUBREL does not free the identifier
    RepeatsKept,           // the repeat filter is not pruned by (H, list)
    RepeatsIgnored,        // what comes again is taken again
    DropBelowMark,         // drop_oldest takes what may have been sent
    DetachedRefused,       // Detached of a holder for whom somebody waits is refused
    AttachAtOnce,          // a newcomer does not wait until the holder has let go
    IngestIntoLivePrefix,  // what is received is written over the state in use
    KeepReplicaId,         // a replica that lost what it promised goes on under its name
    CreditUnbounded,       // a loop publishes without credit
    LeaseFromGrant,        // a lease counts from when its grant was read (13)
    GrantUnconfirmed,      // a lease is granted without a quorum round
    LaggardGranted,        // who does not show pending entries still gets leases
    BehindMadeGranted,     // who has not shown what is made gets a lease
    NewLeaderMakesAtOnce,  // a new leader does not count the leases of the one before
    TableBeforeRead,       // the table was loaded before the bytes were read
    LanesNotLoaded,        // numbers of lanes are lost in a snapshot (20)
    HeardNotLoaded,        // heard terms are lost in a snapshot
    RepeatsNotLoaded,      // the repeat filter is lost in a snapshot (20)
    MarkNotLoaded,         // the mark of a queue is lost in a snapshot
    PubrecNotLoaded,       // which messages the client has said PUBREC to is lost
};

#ifdef QUORATE_MUTANTS
inline RuleMutant rule_mutant = RuleMutant::None;
[[nodiscard]] inline bool mutated(RuleMutant mutant) {
    return rule_mutant == mutant;
}
#else
[[nodiscard]] constexpr bool mutated(RuleMutant /*mutant*/) {
    return false;
}
#endif

}  // namespace quorate::cluster
