// The words of a table lease: what the holder and the granter of a table say to each other.
//
// A lease is the right of a node to match with its copy of a replicated table (`meta`,
// `wildcards`). While a node holds it, no entry of the group counts as made that the node's loops
// do not read yet; when it runs out the node may not act, and nobody waits for it.
//
// Pure values. Thread: any. Spec: rules R-10 (Table lease).
#pragma once

#include <chrono>
#include <cstdint>

#include "proto/base/ids.h"

namespace quorate::cluster {

// CLOCK_BOOTTIME of one machine: never compared with another machine's.
using BootTime = std::chrono::nanoseconds;

struct LeaseTimes {
    // Longer than an election, so that losing the group's leader does not stop its holders.
    std::chrono::milliseconds lease{3000};
    // How far the rates of two clocks may differ. The one number here that safety rests on.
    uint32_t drift_percent = 10;
    // A holder that has not shown an entry for so long gets no lease until it has: it would block
    // every SUBACK for as long as it renews.
    std::chrono::milliseconds lag_max{1000};
    std::chrono::milliseconds renew{1000};

    // For how long a holder trusts a lease, from before it was asked for.
    [[nodiscard]] BootTime held() const { return BootTime(lease) / 100 * (100 - drift_percent); }
    // For how long its granter does, from after it was asked for.
    [[nodiscard]] BootTime owed() const { return BootTime(lease) / 100 * (100 + drift_percent); }
};

// From a node to the leader of the group; also what tells the leader which entries the node shows.
struct LeaseRequest {
    Incarnation holder;
    uint64_t id = 0;  // of the holder, ascending
    LogIndex shown;   // every table its loops read holds all entries up to it
};

enum class LeaseVerdict : uint8_t {
    Granted,
    Suspended,  // answers but lags: no lease, its leaders are handed over, its clients stay
    Fenced,     // this incarnation is down
};

struct LeaseAnswer {
    Incarnation holder;
    uint64_t id = 0;
    LeaseVerdict verdict = LeaseVerdict::Granted;
    bool operator==(const LeaseAnswer&) const = default;
};

}  // namespace quorate::cluster
