// The leader's end of delivery: sends queued messages of durable sessions to their connections.
//
// The connection's node pulls: Want{next number, credit, room}. The feed sends [next, next +
// credit), but never at or beyond `first unacknowledged + Receive Maximum` as committed, so that
// the state machine knows without further commands what may have been sent, and not more
// bytes than the connection's output has room for, but for the last message. It goes on sending as
// entries arrive, within the credit.
//
// Volatile: a new leader starts with none and the loops ask again.
//
// Thread: the shard's worker. Owner: the shard's runner. Errors: a damaged queue entry stops that
// session's deliveries and is logged with its key; it is never sent.
// Spec: R-6; MQTT 5 §4.9 (Flow Control).
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "cluster/router/traffic.h"
#include "cluster/router/worker_router.h"
#include "cluster/shard/shard_state.h"
#include "proto/base/ids.h"
#include "proto/base/log.h"

namespace quorate::cluster {

class SessionFeed {
  public:
    SessionFeed(ShardId shard, WorkerRouter& router, const Log& log)
        : shard_(shard), router_(router), log_(log) {}

    void want(const Want& want);
    // `session` has something new, or its window moved.
    void touch(SessionId session);
    void ended(SessionId session) { feeds_.erase(session); }
    // The committed window of some session moved: tries those that waited for it.
    void windows_moved();
    void clear() { feeds_.clear(), touched_.clear(), at_window_.clear(); }

    [[nodiscard]] bool idle() const { return touched_.empty(); }
    // Sends for all touched sessions; numbers of expired entries are added to `expired`, to be
    // settled by a command instead. Requires: the store holds what was applied.
    struct Expired {
        SessionId session;
        Epoch epoch;
        MessageNumber number;
    };
    void send(const ShardState& state, ClusterTime leader_now, std::vector<Expired>& expired);

  private:
    struct Feed {
        Epoch epoch;
        MessageNumber next;
        MessageNumber told;  // whatever is below was sent, or is settled and said to be
        uint32_t credit = 0;
        uint64_t sent = 0;     // bytes, as the connection counts them
        uint64_t allowed = 0;  // `sent` may pass it by one message
        bool touched = false;
        bool at_window = false;
    };
    // Entries of one session in one turn: others get their turn before more of it is read.
    static constexpr uint32_t kPageEntries = 256;
    static constexpr uint64_t kPageBytes = 1U << 20;

    void send_one(const ShardState& state, SessionId id, Feed& feed, ClusterTime leader_now,
                  std::vector<Expired>& expired);

    ShardId shard_;
    WorkerRouter& router_;
    Log log_;
    std::map<SessionId, Feed> feeds_;
    std::vector<SessionId> touched_;
    std::vector<SessionId> at_window_;
};

}  // namespace quorate::cluster
