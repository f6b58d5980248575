// The order in which whoever accepts or writes a PUBLISH looks at the world:
//
//   read() the bytes ─► loaded() the table ─► check() both leases ─► act on that table
//
// A pause anywhere in between is harmless in this order, since a publish that was read before it
// was read before any SUBACK that the pause let become possible. In any other order it is not: a
// table loaded before the read may lack a subscription that was acknowledged before the publish was
// sent.
//
// A table that stays pinned over several reads is loaded by each of them (`loaded` again) only if
// nothing counts as shown while somebody has an older copy pinned, and the leases are checked after
// the last read.
//
// Pure. Thread: the loop's or worker's that acts; a gate each. Owner: the same.
// Errors: check() refuses. Spec: rules.
#pragma once

#include <cstdint>
#include <optional>

#include "cluster/lease/lease.h"
#include "cluster/mutants.h"

namespace quorate::cluster {

class ActGate {
  public:
    // Bytes were taken from a socket, a link or a mailbox: what was loaded before does not count.
    void read() {
        if (!mutated(RuleMutant::TableBeforeRead)) version_.reset();
    }
    void loaded(uint64_t version) { version_ = version; }
    // The version to act on, or nothing: not now. `meta` and `wildcards` are the ends of the two
    // leases, `now` the clock, read for this call.
    [[nodiscard]] std::optional<uint64_t> check(BootTime meta, BootTime wildcards,
                                                BootTime now) const {
        if (now >= meta || now >= wildcards) return std::nullopt;
        return version_;
    }

  private:
    std::optional<uint64_t> version_;
};

}  // namespace quorate::cluster
