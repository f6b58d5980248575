// The producer's end of a lane: numbers commands to one group and resends what is unanswered.
//
// The group applies a number once and refuses gaps, so after a change of leader the producer simply
// sends everything again from the first unanswered command.
//
// Pure. Thread: its owner's. Owner: a loop's port or a worker's router; one object per lane.
// Errors: submit() refuses when the window is full; the caller holds the work back.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "cluster/router/remote/leaders.h"
#include "cluster/router/traffic.h"
#include "cluster/shard/command.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

struct LaneWindow {
    uint32_t commands_max = 4096;
    uint64_t bytes_max = 64ULL << 20;  // one command may be larger when it is alone
};

class LaneClient {
  public:
    LaneClient(GroupId group, Lane lane, LaneWindow window = {})
        : group_(group), lane_(lane), window_(window) {}

    // Numbers, keeps and stages the command. False when the window is full; nothing happened.
    template <typename Body>
    [[nodiscard]] bool submit(uint64_t token, std::optional<SourceFence> fence, const Body& body,
                              CommandParcel& out) {
        if (full()) return false;
        std::string bytes;
        encode_command(bytes, {lane_, next_, token, fence}, body);
        keep(token, std::move(bytes), out);
        return true;
    }

    // The command `number` was applied (or its number consumed): its token, or nothing when it was
    // answered before. Requires of the caller: not for AnswerCode::Gap or Fenced.
    std::optional<uint64_t> answered(CommandNumber number);

    // Nobody waits for the unanswered command with this token any more: from the next resend on an
    // empty one goes under its number, since a gap would stop the lane. It may still be
    // applied, if it was sent. False: no such command.
    bool give_up(uint64_t token);

    // Stages every unanswered command again, in order.
    void resend(CommandParcel& out) const;

    // The group's leader is at `place` now. True when that is not where the unanswered commands
    // were sent, so that they have to be sent there.
    [[nodiscard]] bool moved(const Leaders::Place& place) {
        if (place == sent_to_ || place.node == NodeId()) return false;
        sent_to_ = place;
        return unanswered() > 0;
    }

    [[nodiscard]] bool full() const;
    [[nodiscard]] std::size_t unanswered() const { return pending_.size() - answered_in_pending_; }
    // Of commands that are not known to be applied.
    [[nodiscard]] uint64_t bytes() const { return bytes_; }
    [[nodiscard]] const Lane& lane() const { return lane_; }

  private:
    struct Pending {
        uint64_t token = 0;
        bool answered = false;
        bool given_up = false;
        std::string bytes;
    };
    void keep(uint64_t token, std::string bytes, CommandParcel& out);
    void stage(const std::string& bytes, CommandParcel& out) const;

    GroupId group_;
    Leaders::Place sent_to_;
    Lane lane_;
    LaneWindow window_;
    CommandNumber next_{1};
    CommandNumber first_{1};  // of pending_
    std::deque<Pending> pending_;
    std::size_t answered_in_pending_ = 0;  // behind an earlier one that still waits
    uint64_t bytes_ = 0;                   // of what is not known to be applied
    CommandNumber applied_{0};             // every number up to it is applied
};

}  // namespace quorate::cluster
