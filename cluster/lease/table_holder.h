// A node's end of one table lease.
//
//   request(now) ──► leader ──► answer(Granted) :  valid until the *request's* stamp + 3 s - 10 %
//
// The stamp is taken before the request is sent, so a pause anywhere between (of this process, the
// link, the leader) only shortens the lease. Renewed every second, so that one lost request or a
// change of leader does not end it.
//
// Pure. Thread: its owner's, which publishes `until()` to the loops (they compare it with their own
// reading of the clock, see ActGate). Owner: the node, one for each table group.
// Errors: none; an answer that belongs to no remembered request changes nothing.
// Spec: rules R-10.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "cluster/lease/lease.h"

namespace quorate::cluster {

class TableHolder {
  public:
    explicit TableHolder(Incarnation self, const LeaseTimes& times = {})
        : self_(self), times_(times) {}

    // Every table that this node's loops read shows the entries up to `index`: published, and no
    // loop reads an older copy. Never falls.
    void shown(LogIndex index);
    // To be sent at once: a renewal is due, or more is shown than the leader was told.
    [[nodiscard]] std::optional<LeaseRequest> request(BootTime now);
    void answer(const LeaseAnswer& answer, BootTime now);

    // Requires: `now` was read after the bytes that are acted on, and after the table was loaded.
    [[nodiscard]] bool valid(BootTime now) const { return now < until_; }
    [[nodiscard]] BootTime until() const { return until_; }
    // Told so by the last answer: this node lags behind the table.
    [[nodiscard]] bool suspended() const { return suspended_; }
    // This incarnation is down: the process has to end.
    [[nodiscard]] bool fenced() const { return fenced_; }

  private:
    struct Asked {
        uint64_t id = 0;
        BootTime at{0};
    };
    // Answers to older requests come too late to matter.
    static constexpr std::size_t kRemembered = 16;

    Incarnation self_;
    LeaseTimes times_;
    LogIndex shown_;
    LogIndex told_;
    uint64_t last_id_ = 0;
    std::array<Asked, kRemembered> asked_{};
    BootTime until_{0};
    uint64_t answered_ = 0;
    bool suspended_ = false;
    bool fenced_ = false;
};

}  // namespace quorate::cluster
