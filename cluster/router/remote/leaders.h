// Which node leads which group, as far as this node has heard: where lanes and publishes go.
//
// A hint, never a permission: who is asked knows whether it leads, and a wrong address costs a
// resend. Nodes announce what they lead, and not before they can serve, so that nothing is sent to
// a leader that would drop it. Of two announcements the higher term is right.
//
// Readers see one word per group that changes as a whole, and a count of all changes, so that a
// thread that looks once a turn finds out at the price of one load that it has nothing to resend.
//
// Thread: any; learning is rare and takes a lock. Owner: the Cluster. Errors: none; groups that do
// not exist are ignored. Bounded: one entry a group. Spec: R-2, R-3 (resend to the new leader).
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "proto/base/ids.h"

namespace quorate::cluster {

class Leaders {
  public:
    // Where a group's leader is, and how often that has changed: a producer that has sent under
    // another `change` has to send again.
    struct Place {
        NodeId node;  // 0: unknown
        uint32_t change = 0;
        bool operator==(const Place&) const = default;
    };

    // Of the groups with ids below `groups_end`.
    explicit Leaders(uint32_t groups_end) : places_(groups_end), terms_(groups_end) {}

    // `leader` leads `term`, or nobody is known to yet (0). True when that is news.
    bool learn(GroupId group, Term term, NodeId leader);
    // What was sent to the node may be lost: a link to it broke. Its groups count as changed.
    void again(NodeId node);
    // What the node led has no leader that could be asked, until somebody is heard of.
    void lost(NodeId node);

    [[nodiscard]] Place at(GroupId group) const;
    // In which the leader leads, as of the last news; 0: none.
    [[nodiscard]] Term term(GroupId group) const;
    // Rises with each change of any group.
    [[nodiscard]] uint64_t changes() const { return changes_.load(std::memory_order_acquire); }

  private:
    void set(std::size_t group, NodeId leader);
    void replace(NodeId node, NodeId by);

    std::vector<std::atomic<uint64_t>> places_;  // change << 32 | node
    std::atomic<uint64_t> changes_{0};
    std::mutex mutex_;                          // of those that learn
    std::vector<std::atomic<uint64_t>> terms_;  // written before the place
};

}  // namespace quorate::cluster
