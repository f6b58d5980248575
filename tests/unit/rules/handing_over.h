// A session's shard with an outbox, another shard with a subscriber, and the leader's driver
// between them.
#pragma once

#include <string_view>
#include <vector>

#include "tests/unit/rules/network.h"

namespace quorate::cluster::rules {

inline constexpr ShardId kSessions{1};

struct HandingOver {
    ReplicatedShard sessions{kSessions, 8};
    ReplicatedShard other{ShardId(2), 8};
    LaneEnd clients{NodeId(1), kSessions};
    LaneEnd subscribers{NodeId(5), ShardId(2)};

    explicit HandingOver(int qos = 2) {
        (void)durable_subscriber(other, subscribers, "s", "t", qos);
    }
    std::vector<OutboxNumber> numbers;
    Wire hand_over(LaneEnd& lane) {
        Wire out;
        numbers.clear();
        for (const OutboxTarget& target : sessions.state().outbox_targets()) {
            const Status read = sessions.state().outbox_window(
                target, OutboxNumber(), 100, sessions.now, [&](const OutboxEntryView& entry) {
                    numbers.push_back(entry.source.number);
                    const std::string flat = message(entry.message.topic, entry.message.payload,
                                                     static_cast<int>(entry.message.qos));
                    const Wire wire = lane.send(Enqueue{flat, entry.source, {}},
                                                SourceFence{kSessions, sessions.term()}, 1);
                    out.insert(out.end(), wire.begin(), wire.end());
                });
            if (!read.ok()) return out;
        }
        return out;
    }
    void done() {
        for (const OutboxTarget& target : sessions.state().outbox_targets())
            (void)sessions.by_leader(OutboxDone{target, numbers});
    }
};

[[nodiscard]] inline OutboxPut put(const AttachResult& session, uint16_t id,
                                   std::string_view flat) {
    return OutboxPut{session.session, session.epoch, PacketId(id), flat};
}

}  // namespace quorate::cluster::rules
