// Deliberate mistakes of this folder, one at a time: a check counts only when it catches them.
//
// In the product `mutated` is constant false. The library quorate_control_mutants is the same code
// with QUORATE_CONTROL_MUTANTS defined; a test sets `control_mutant`. Thread: one; the test's.
#pragma once

#include <cstdint>

namespace quorate::cluster {

enum class ControlMutant : uint8_t {
    None,
    AnswerBeforePersist,  // bootstrap: an acceptance is told before it is durable
    AcceptTwice,          // bootstrap: a second proposal is accepted
    FormByMajority,       // bootstrap: a cluster is formed without unanimity
    SilentSeedIgnored,    // bootstrap: a seed that does not answer is taken for none
    SeedLeftOut,          // bootstrap: a set need not hold the seeds of its members
    ReleaseUnheard,       // bootstrap: a proposal is given up because its proposer is silent
    ChangeUnreported,     // reconciler: the next change begins before `meta` knows of the last
    PromoteLaggard,       // reconciler: a learner votes before it has caught up
    LeaseIgnored,         // reconciler: a node leaves a table's group with a lease
    DeleteConfigured,     // keeper: a copy that the group is configured with is deleted
};

#ifdef QUORATE_CONTROL_MUTANTS
inline ControlMutant control_mutant = ControlMutant::None;
[[nodiscard]] inline bool mutated(ControlMutant mutant) {
    return control_mutant == mutant;
}
#else
[[nodiscard]] constexpr bool mutated(ControlMutant /*mutant*/) {
    return false;
}
#endif

}  // namespace quorate::cluster
