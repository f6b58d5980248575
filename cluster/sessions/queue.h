// The queue of one durable session: numbers, window, mark, acknowledgements, limits.
//
//   first_unacked                    mark()            next
//        │ settled entries inside: out  │                 │
//        ▼ of order, dropped, expired   ▼                 ▼
//   ─────[■ □ ■ ■ □ ■ ... may have been sent ...│ never sent ...]
//
// Numbers rise by one from 1 and are never reused; packet id = 1 + (number mod 65,535), so ids are
// unique inside any window of up to 65,535 numbers. While a client is connected everything below
// first_unacked + Receive Maximum may have been sent; what an earlier connection may have received
// ends at `mark`. Only memory: the holder writes entries and the cursor record.
//
// Thread: the shard's worker. Owner: Session.
// Errors: none; what does not apply is answered false.
// Spec: rules R-6; MQTT 5 §2.2.1, §3.3.4, §4.3, §4.4, §4.9.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "cluster/sessions/message_store.h"
#include "cluster/sessions/ring.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/mqtt/types.h"

namespace quorate::cluster {

enum class QueuedState : uint8_t { Open, PubrecKnown, Settled };

struct QueuedMessage {
    BodyId body;                            // 0: the message stands in the record
    SharedBytes record;                     // as stored; empty when it left the tail cache
    ClusterTime expires_at;                 // 0: never
    uint32_t bytes = 0;                     // of the message
    uint16_t share = 0;                     // which shared subscription it came by; 0: none
    mqtt::QoS qos = mqtt::QoS::AtMostOnce;  // of the delivery
    QueuedState state = QueuedState::Settled;
};

[[nodiscard]] constexpr PacketId packet_id_of(MessageNumber number) {
    return PacketId(static_cast<uint16_t>(1 + number.value() % 65'535));
}

class SessionQueue {
  public:
    // The number of its first message.
    explicit SessionQueue(MessageNumber first = MessageNumber(1))
        : first_(first), freed_to_(first), drop_hint_(first) {}

    [[nodiscard]] MessageNumber first_unacked() const { return first_; }
    [[nodiscard]] MessageNumber next() const {
        return MessageNumber(first_.value() + ring_.size());
    }
    // Up to here an earlier connection may have received messages (DUP).
    [[nodiscard]] MessageNumber mark() const { return mark_; }
    // Up to here any connection may have.
    [[nodiscard]] MessageNumber sent_mark() const;
    // Numbers from first_unacked to next, settled ones included. It is what memory depends on, so
    // no more is pushed at kSpanMax: the holder drops the newest instead.
    [[nodiscard]] uint64_t span() const { return ring_.size(); }
    static constexpr uint64_t kSpanMax = 1ULL << 24U;
    [[nodiscard]] uint64_t messages() const { return messages_; }
    [[nodiscard]] uint64_t bytes() const { return bytes_; }
    [[nodiscard]] bool attached() const { return receive_maximum_ != 0; }

    // Attachment.
    // Requires: receive_maximum > 0.
    void attach(uint16_t receive_maximum);
    // The holder said how far it wrote: the mark is the higher of that and what it was before.
    void detach(MessageNumber highest_written);
    // Nobody said: all that may have been sent counts as sent.
    void detach_unknown();

    // Messages.
    MessageNumber push(QueuedMessage message);
    // An open entry; none below first_unacked, from next on, or when settled.
    [[nodiscard]] QueuedMessage* find(MessageNumber number);
    [[nodiscard]] const QueuedMessage* find(MessageNumber number) const;
    // PUBREC below 0x80 of a QoS 2 message. False: not such a message, or known already.
    bool pubrec(MessageNumber number);
    // Takes the entry out; the caller owns its body reference. Requires: find(number).
    QueuedMessage settle(MessageNumber number);
    // Moves first_unacked over what is settled. Call after settling, before writing.
    void advance();

    // Whether policy may drop the entry: never sent, or QoS 1 and nobody is connected.
    [[nodiscard]] bool droppable(MessageNumber number, const QueuedMessage& message) const;
    // The oldest droppable entry.
    [[nodiscard]] std::optional<MessageNumber> oldest_droppable();
    // Droppable entries that have expired, oldest first, at most `max`.
    [[nodiscard]] std::vector<MessageNumber> expired(ClusterTime now, std::size_t max) const;
    // The earliest expiry of an open entry, or 0.
    [[nodiscard]] ClusterTime next_expiry() const;

    // Calls visit(number, message) for open entries from `from` on, until it answers false.
    template <typename Visit>
    void for_each(MessageNumber from, Visit&& visit) const;

    // Storage: what the holder must remove from the store.
    // Settled entries before first_unacked are removed by ranges, others one by one.
    [[nodiscard]] std::vector<MessageNumber> take_holes();
    // [from, to) once enough has gathered, or when `now` says so; nothing otherwise. The same for
    // every replica, whenever each was loaded. Call after take_holes().
    [[nodiscard]] std::optional<std::pair<MessageNumber, MessageNumber>> take_freed(bool now);

    // Record.
    void write(RecordWriter& out) const;
    [[nodiscard]] bool read(RecordReader& in);
    // During load: puts back an entry found in the store. False: number out of place.
    [[nodiscard]] bool restore(MessageNumber number, QueuedMessage message);
    void finish_restore();

  private:
    static constexpr uint64_t kFreeMessages = 256;
    static constexpr uint64_t kFreeBytes = 256U << 10U;

    [[nodiscard]] std::size_t index_of(MessageNumber number) const {
        return static_cast<std::size_t>(number.value() - first_.value());
    }

    MessageNumber first_;
    MessageNumber mark_;
    MessageNumber freed_to_;        // keys below are gone from the store
    uint64_t freed_bytes_ = 0;      // of keys that are there between it and first_
    MessageNumber drop_hint_;       // nothing droppable below, for the current attachment
    uint16_t receive_maximum_ = 0;  // 0: nobody is connected
    uint64_t messages_ = 0;
    uint64_t bytes_ = 0;
    uint64_t pubrec_known_ = 0;
    MessageNumber last_pubrec_;  // no entry above is in that state
    Ring<QueuedMessage> ring_;   // from first_ on; settled entries in between are holes
    std::vector<std::pair<MessageNumber, uint32_t>> holes_;        // and the bytes of each
    std::vector<std::pair<MessageNumber, uint32_t>> pubrec_runs_;  // read, until finish_restore()
};

template <typename Visit>
void SessionQueue::for_each(MessageNumber from, Visit&& visit) const {
    const uint64_t begin = from > first_ ? from.value() - first_.value() : 0;
    for (uint64_t i = begin; i < ring_.size(); ++i) {
        const QueuedMessage& message = ring_[i];
        if (message.state == QueuedState::Settled) continue;
        if (!visit(MessageNumber(first_.value() + i), message)) return;
    }
}

}  // namespace quorate::cluster
