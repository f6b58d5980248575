// Which queue entries are still held in memory, oldest first, up to a number of bytes: an entry
// that is delivered soon after it was queued is never read from the store.
//
// Memory only: it decides nothing, so replicas may differ. Thread: the shard's worker.
// Owner: ShardState. Errors: none.
#pragma once

#include <cstdint>
#include <deque>

#include "cluster/sessions/session_table.h"
#include "proto/base/ids.h"

namespace quorate::cluster {

class TailCache {
  public:
    explicit TailCache(uint64_t bytes_max) : bytes_max_(bytes_max) {}

    // The entry's record was just put in memory. Drops the oldest records beyond the limit.
    void added(SessionId session, MessageNumber number, uint64_t record_bytes,
               SessionTable& sessions) {
        const uint64_t charge = record_bytes + kOverhead;
        items_.push_back({session, number, charge});
        bytes_ += charge;
        while (bytes_ > bytes_max_) {
            if (QueuedMessage* entry = find(items_.front(), sessions)) {
                entry->record = SharedBytes();
            }
            pop();
        }
    }
    // Forgets items whose entries are gone, from the oldest on, a few at a time.
    void trim(SessionTable& sessions) {
        for (int i = 0; i < kTrimSteps && !items_.empty(); ++i) {
            if (find(items_.front(), sessions) != nullptr) return;
            pop();
        }
    }
    [[nodiscard]] uint64_t bytes() const { return bytes_; }

  private:
    struct Item {
        SessionId session;
        MessageNumber number;
        uint64_t charge = 0;
    };
    static constexpr uint64_t kOverhead = 64;
    static constexpr int kTrimSteps = 8;

    static QueuedMessage* find(const Item& item, SessionTable& sessions) {
        Session* session = sessions.find(item.session);
        return session == nullptr || !session->durable ? nullptr
                                                       : session->durable->queue.find(item.number);
    }
    void pop() {
        bytes_ -= items_.front().charge;
        items_.pop_front();
    }

    uint64_t bytes_max_;
    uint64_t bytes_ = 0;
    std::deque<Item> items_;
};

}  // namespace quorate::cluster
