// QoS 0 messages kept for durable sessions whose client is away (mqtt.queue_qos0).
//
// They live in the memory of the shard's leader and nowhere else: QoS 0 is owed to nobody, so
// nothing is committed for it, and a restart or another leader loses them. What a session has here
// goes out before newer QoS 0 messages when its client comes back.
//
// Thread: the shard's worker. Owner: ShardRunner. Errors: none. Bounded: messages of a session and
// bytes of the shard; a full queue drops its oldest, a session without one the new message. Each
// drop is counted.
// Spec: MQTT 5 §4.1, §3.1.2.11.2 (Session State), [MQTT-4.1.0-1] speaks of QoS 1 and 2 only.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

class KeptQos0 {
  public:
    struct Limits {
        uint32_t messages_max = 1000;      // of a session
        uint64_t bytes_max = 4ULL << 20U;  // of all sessions of the shard
    };
    struct Message {
        SharedBytes flat;
        bool retain = false;
        std::vector<uint32_t> subscription_ids;
        ClusterTime expires_at;  // 0: never
    };

    explicit KeptQos0(const Limits& limits) : limits_(limits) {}

    void keep(SessionId session, Message message);
    // Newer messages must wait behind what is kept.
    [[nodiscard]] bool holds(SessionId session) const { return queues_.contains(session); }
    // Everything of the session, oldest first; it has nothing here afterwards.
    [[nodiscard]] std::deque<Message> take(SessionId session);
    void ended(SessionId session) { (void)take(session); }
    void clear();

    [[nodiscard]] uint64_t messages() const { return messages_; }
    [[nodiscard]] uint64_t bytes() const { return bytes_; }
    // Since the start; what had expired when it was taken is its taker's to count.
    [[nodiscard]] uint64_t dropped() const { return dropped_; }
    [[nodiscard]] uint64_t expired() const { return expired_; }
    void count_expired() { ++expired_; }

  private:
    using Queue = std::deque<Message>;

    [[nodiscard]] static uint64_t cost(const Message& message);
    void drop_oldest(Queue& queue);

    Limits limits_;
    std::map<SessionId, Queue> queues_;  // none is empty
    uint64_t messages_ = 0;
    uint64_t bytes_ = 0;
    uint64_t dropped_ = 0;
    uint64_t expired_ = 0;
};

}  // namespace quorate::cluster
