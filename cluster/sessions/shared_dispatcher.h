// Which member of a shared group gets a message: the leader's side, held in memory only.
//
// It knows the members, which of the durable ones are connected, and the credit each gave: how many
// messages more it takes. Connected members come first; of those that are away, one whose grant is
// QoS 0 would lose what it is given, so it gets that only when there is nobody else. What a member
// was given is none of its business. A new leader starts an empty one.
//
// Thread: the shard's worker. Owner: the router, one for each group led here.
// Errors: none; pick() answers nothing when no member has credit.
// Spec: MQTT 5 §4.8.2 [MQTT-4.8.2-3]; rules R-9 and "Shared groups".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cluster/topics/destination.h"
#include "proto/base/environment.h"

namespace quorate::cluster {

enum class SharedStrategy : uint8_t { RoundRobin, Random, HashClientId, HashTopic, Sticky };

// What strategies look at.
struct SharedMessage {
    uint64_t publisher = 0;   // hash of the publisher's client id
    uint64_t topic_hash = 0;  // hash64 of the topic
    mqtt::QoS qos = mqtt::QoS::AtLeastOnce;
};

class SharedDispatcher {
  public:
    // `seed` from replicated state (the group's number), so that a run can be repeated.
    SharedDispatcher(SharedStrategy strategy, uint64_t seed) : strategy_(strategy), random_(seed) {}

    // Members as the group has them now, in its order; credit of those that stay is kept.
    void set_members(std::span<const GroupMember> members);
    // Credit is what a member takes from now on, not an addition.
    void set_credit(const Destination& member, uint32_t credit);
    [[nodiscard]] uint32_t credit(const Destination& member) const;
    // A new member counts as connected, since it takes a connection to subscribe.
    void set_connected(const Destination& member, bool connected);
    void all_durable_away();
    [[nodiscard]] std::optional<mqtt::QoS> granted(const Destination& member) const;

    // Picks a member and uses one of its credits. Hash strategies and sticky prefer a member but
    // pass over one without credit: a slow member holds up no group.
    [[nodiscard]] std::optional<GroupMember> pick(const SharedMessage& message);
    // Gives a credit back: the pick came to nothing.
    void unpick(const Destination& member);

    [[nodiscard]] std::size_t members() const { return members_.size(); }

  private:
    struct Member {
        GroupMember member;
        uint32_t credit = 0;
        bool connected = true;
    };
    // How well a member can take a message, best first.
    enum class Rank : uint8_t { Connected, Keeps, Loses };
    [[nodiscard]] static Rank rank(const Member& member, const SharedMessage& message);
    [[nodiscard]] Member* find(const Destination& member);
    // The first of the best rank with credit from `start` on, going round. None of those that would
    // lose the message while others are only out of credit.
    [[nodiscard]] std::optional<std::size_t> from(std::size_t start,
                                                  const SharedMessage& message) const;
    [[nodiscard]] std::size_t preferred(const SharedMessage& message);

    SharedStrategy strategy_;
    Random random_;
    std::vector<Member> members_;
    std::size_t next_ = 0;                 // of round robin
    std::optional<Destination> favoured_;  // of sticky
};

}  // namespace quorate::cluster
