// The leader's end of the table leases of one group (`meta`, `wildcards`): who may act on which
// entries, and from when on an entry counts as made.
//
//   request ─► waits for a quorum round begun after it came ─► granted, if what it shows reaches
//              everything counted as made and everything that is a second old
//   made    =  the highest entry that every node has shown whose lease may still run
//
// A new leader counts every entry up to its own first one as made when it grants, and takes each
// node for a holder until a whole lease has passed or the node has told it what it shows.
//
// *suspended*: answers but lags, so it gets no lease; `made` waits for it only until its last one
// has run out. *silent*: nothing heard for a whole lease; `meta` then ends its incarnation.
//
// Pure. Thread: the group's worker. Owner: the runner of the group. Errors: none; requests of
// strangers and of incarnations that ended change nothing. Bounded by the members of the group.
// Spec: rules R-10; Raft §6.4 (the quorum round).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "cluster/lease/lease.h"

namespace quorate::cluster {

class TableGranter {
  public:
    explicit TableGranter(const LeaseTimes& times = {}) : times_(times) {}

    // This replica leads; `first` is the first entry of its term. Requires: `members` names every
    // node of every configuration that may be in force, and nobody was taken out of one before
    // may_leave() said so.
    void begin(LogIndex first, std::span<const NodeId> members, BootTime now);
    void end();
    void add_member(NodeId node, BootTime now);
    // No lease for it any more; it may be taken out of the configuration when its last has run out.
    void leave(NodeId node);
    [[nodiscard]] bool may_leave(NodeId node, BootTime now) const;
    // `meta` says so; the lease it may have still counts.
    void down(Incarnation incarnation);

    // Entries up to `index` are committed and applied here: every holder has to show them.
    void committed(LogIndex index, BootTime now);
    void request(const LeaseRequest& request, BootTime now, std::vector<LeaseAnswer>& out);

    // Requests wait for a quorum round: begin one (Raft's read-index), and give its id.
    [[nodiscard]] bool wants_round() const;
    void round_begun(uint64_t id);
    void round_confirmed(uint64_t id, BootTime now, std::vector<LeaseAnswer>& out);
    // It was given up; its requests wait for the next.
    void round_failed(uint64_t id);

    // Every entry up to it is made. Never falls while this replica leads.
    [[nodiscard]] LogIndex made(BootTime now);

    struct Report {
        NodeId node;
        Incarnation incarnation;  // 0: never heard
        LogIndex shown;
        bool holds = false;  // its lease may still run
        bool suspended = false;
        bool silent = false;
    };
    [[nodiscard]] std::vector<Report> report(BootTime now);

  private:
    struct Waiting {
        uint64_t id = 0;
        BootTime came{0};
    };
    struct Member {
        Incarnation incarnation;
        Incarnation first_up;  // earlier ones are down
        LogIndex shown;
        BootTime owed_until{0};
        BootTime heard{0};
        std::optional<Waiting> waiting;   // for a round to begin
        std::optional<Waiting> in_round;  // for the one under way to end
        bool leaving = false;
    };
    // What became committed in the same stretch of time, for the age of what is pending.
    struct Pending {
        LogIndex index;
        BootTime since{0};
    };

    void age(BootTime now);
    [[nodiscard]] bool shows_enough(const Member& member) const;

    LeaseTimes times_;
    bool leading_ = false;
    LogIndex first_;
    LogIndex committed_;
    LogIndex made_;
    LogIndex overdue_;  // entries up to it have been pending for lag_max
    std::deque<Pending> pending_;
    std::map<NodeId, Member> members_;
    std::optional<uint64_t> round_;
};

}  // namespace quorate::cluster
