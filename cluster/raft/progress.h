// What a leader knows of one follower's log, and how fast it may send to it.
//
//     Probe ──accepted──> Replicate        Probe: one message at a time, until logs are known to
//       ^ │                  │                    meet
//       │ └─cut away─> Snapshot <─cut away─┘     Replicate: pipelined, up to a window of bytes and
//       └──rejected, silent──┘                    entries
//                                           Snapshot: no entries until it has the leader's state
//
// *Thread*, *Owner*: the RaftNode. *Spec*: Raft §3.5 (next_index, match_index), §10.2.1.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "cluster/raft/messages.h"
#include "proto/base/ids.h"

namespace quorate::raft {

class Progress {
  public:
    enum class State : uint8_t { Probe, Replicate, Snapshot };

    explicit Progress(LogIndex next) : next_(next) {}

    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] LogIndex match() const { return match_; }
    [[nodiscard]] LogIndex next() const { return next_; }

    // Whether another AppendEntries may leave now.
    [[nodiscard]] bool may_send(std::size_t window_bytes,
                                std::size_t window_entries = SIZE_MAX) const;
    // Entries up to `last` left, with `bytes` of data. An empty probe has last == next - 1.
    void sent(LogIndex last, std::size_t bytes);
    // True when match moved. `base` is that of the leader's log: a follower that reaches it needs
    // no snapshot any more.
    bool accepted(LogIndex match, LogIndex base = LogIndex(0));
    // True when the rejection was news, and next went down to just above `hint` (or match).
    bool rejected(LogIndex previous, LogIndex hint);
    // A heartbeat was answered: an earlier probe may have been lost, so allow another. True when
    // match has not moved since the last answer, so that what is in flight is probably lost too.
    bool heard();
    // Nothing was heard for a whole election timeout, or the connection broke.
    void probe();
    // What it needs next was cut away.
    void need_snapshot();

    // Check-quorum: set by any message of the follower, cleared when looked at.
    void set_active() { active_ = true; }
    [[nodiscard]] bool take_active();
    // Rounds in a row that found it silent.
    [[nodiscard]] uint32_t silent_rounds() const { return silent_rounds_; }
    // Heard since the check-quorum before the last.
    [[nodiscard]] bool recently_active() const { return active_ || was_active_; }

    // The newest read that it has vouched for (§6.4).
    [[nodiscard]] ReadId read_echo() const { return read_echo_; }
    void echoed(ReadId read) { read_echo_ = std::max(read_echo_, read); }
    // As last heard; normal until then.
    [[nodiscard]] uint32_t priority() const { return priority_; }
    void set_priority(uint32_t priority) { priority_ = priority; }

    // See RaftNode::fingerprint.
    [[nodiscard]] uint64_t fingerprint() const;

  private:
    struct Flight {
        LogIndex last;
        std::size_t bytes = 0;
    };

    State state_ = State::Probe;
    LogIndex match_;
    LogIndex next_;
    bool probe_sent_ = false;
    bool active_ = true;
    bool was_active_ = true;
    uint32_t silent_rounds_ = 0;
    LogIndex match_when_heard_;
    ReadId read_echo_;
    uint32_t priority_ = kNormalPriority;
    std::deque<Flight> flights_;
    std::size_t flight_bytes_ = 0;
};

}  // namespace quorate::raft
