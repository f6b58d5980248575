#include "cluster/raft/progress.h"

#include <algorithm>
#include <utility>

namespace quorate::raft {

bool Progress::may_send(std::size_t window_bytes, std::size_t window_entries) const {
    switch (state_) {
        case State::Probe:
            return !probe_sent_;
        case State::Replicate:
            return flights_.empty() || (flight_bytes_ < window_bytes &&
                                        next_.value() - match_.value() - 1 < window_entries);
        case State::Snapshot:
            return false;
    }
    return false;
}

void Progress::sent(LogIndex last, std::size_t bytes) {
    switch (state_) {
        case State::Probe:
            probe_sent_ = true;
            break;
        case State::Replicate:
            if (last >= next_) {
                next_ = last.next();
                flights_.push_back(Flight{last, bytes});
                flight_bytes_ += bytes;
            }
            break;
        case State::Snapshot:
            break;
    }
}

bool Progress::accepted(LogIndex match, LogIndex base) {
    const bool moved = match > match_;
    match_ = std::max(match_, match);
    next_ = std::max(next_, match_.next());
    while (!flights_.empty() && flights_.front().last <= match_) {
        flight_bytes_ -= flights_.front().bytes;
        flights_.pop_front();
    }
    const bool met = state_ == State::Snapshot && match_ >= base;
    if (state_ == State::Probe || met) {
        state_ = State::Replicate;
        probe_sent_ = false;
        next_ = match_.next();
    }
    return moved;
}

bool Progress::rejected(LogIndex previous, LogIndex hint) {
    if (state_ == State::Replicate) {
        // Late answers to what was overtaken long ago say nothing new.
        if (previous <= match_) return false;
        probe();
        next_ = match_.next();
        return true;
    }
    if (state_ == State::Snapshot || previous.next() != next_) return false;
    const LogIndex next = std::max(match_.next(), std::min(previous, hint.next()));
    // Whoever rejects what it has accepted is asked again when it is heard, not at once: the two
    // would say the same to each other as fast as the network carries it.
    if (next >= next_) return false;
    next_ = next;
    probe_sent_ = false;
    return true;
}

bool Progress::heard() {
    probe_sent_ = false;
    return std::exchange(match_when_heard_, match_) == match_;
}

void Progress::need_snapshot() {
    probe();
    state_ = State::Snapshot;
}

void Progress::probe() {
    if (state_ == State::Snapshot) return;
    // While probing, `next` is the best guess there is: where a new leader's log ends, or what a
    // rejection hinted at. A follower that falls silent before its first answer has matched
    // nothing, and its `match` would send the leader back to entries it has long cut away.
    if (state_ == State::Replicate) next_ = match_.next();
    state_ = State::Probe;
    probe_sent_ = false;
    flights_.clear();
    flight_bytes_ = 0;
}

bool Progress::take_active() {
    was_active_ = std::exchange(active_, false);
    silent_rounds_ = was_active_ ? 0 : silent_rounds_ + 1;
    return was_active_;
}

}  // namespace quorate::raft
