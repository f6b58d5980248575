// What is due when, in cluster time. Order is total (time, kind, id), so that every replica handles
// the same timers in the same bounded step.
//
// Thread: the shard's worker. Owner: ShardState. Errors: none.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <set>

#include "proto/base/ids.h"

namespace quorate::cluster {

enum class TimerKind : uint8_t {
    Will = 0,        // before Expiry: both may fall on the same moment
    Expiry = 1,      // of a session
    Takeover = 2,    // a waiting Attach gives up
    QueuePurge = 3,  // of expired messages
    GroupPurge = 4,  // id is the number of a shared group, of the others a session
};

struct Timer {
    ClusterTime at;
    TimerKind kind = TimerKind::Will;
    uint64_t id = 0;
    auto operator<=>(const Timer&) const = default;
};

class Timers {
  public:
    // Moves the timer that `armed` remembers; time 0 only disarms it.
    void set(ClusterTime& armed, ClusterTime at, TimerKind kind, uint64_t id) {
        if (armed == at) return;
        if (armed.value() != 0) timers_.erase({armed, kind, id});
        armed = at;
        if (at.value() != 0) timers_.insert({at, kind, id});
    }
    // For load(): `at` was read from a record.
    void restore(ClusterTime at, TimerKind kind, uint64_t id) {
        if (at.value() != 0) timers_.insert({at, kind, id});
    }
    [[nodiscard]] std::optional<ClusterTime> next() const {
        if (timers_.empty()) return std::nullopt;
        return timers_.begin()->at;
    }
    // The first timer that is due; it stays armed until its owner sets it anew.
    [[nodiscard]] std::optional<Timer> due(ClusterTime now) const {
        if (timers_.empty() || timers_.begin()->at > now) return std::nullopt;
        return *timers_.begin();
    }

  private:
    std::set<Timer> timers_;
};

}  // namespace quorate::cluster
