// What waits to be sent to one peer in one class: bounded, and already in the form of batches.
//
// An item is encoded where it is offered, behind the last one, so that the link thread only hands
// whole batches on. Batches that were sent give their memory back for the next ones.
//
// *Thread*: offer() any; everything else the link thread. *Owner*: the peer's entry, which lives as
// long as the host, so that an offer never meets a queue that is gone.
// *When full*: the newest item is refused and counted; nothing waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "cluster/link/wire/batch.h"
#include "cluster/link/wire/peer.h"
#include "proto/base/bytes.h"

namespace quorate::link {

// Taken: it will be sent, or is lost with the stream. Full: the queue is at its limit. Down: there
// is no stream to this peer, or not the one that was named. TooLarge: above kItemBytesMax, or
// empty.
enum class Offer : uint8_t { Taken, Full, Down, TooLarge };

struct QueueLimits {
    std::size_t bytes = 0;  // one larger item is taken when the queue is empty
    uint32_t items = 0;
    uint32_t batch_items = kBatchItemsMax;  // of one message; at most kBatchItemsMax
};

class SendQueue {
  public:
    explicit SendQueue(QueueLimits limits) : limits_(limits) {}

    struct Outcome {
        Offer offer = Offer::Down;
        bool wake = false;  // the link thread waits for this item: wake it
    };
    // `epoch` 0: whichever stream is open.
    [[nodiscard]] Outcome offer(StreamEpoch epoch, ByteView first, ByteView second);

    // A stream is up: what is offered from now on belongs to it.
    void open(StreamEpoch epoch);
    // It is gone: drops what waits and refuses until the next open(). Returns the items dropped.
    uint32_t close();
    // Swaps the oldest batch into `batch`, whose memory is kept for later ones, and returns its
    // number of items. 0: nothing waits, and the next offer asks for a wake-up.
    [[nodiscard]] uint32_t take(std::string& batch);
    [[nodiscard]] bool empty() const;
    [[nodiscard]] std::size_t bytes() const;

    struct Figures {
        std::size_t bytes = 0;  // waiting now
        uint64_t full = 0;      // items refused since the last call
    };
    [[nodiscard]] Figures figures();

  private:
    struct Batch {
        std::string bytes;
        uint32_t items = 0;
    };
    std::string spare();

    const QueueLimits limits_;
    mutable std::mutex mutex_;  // guards the rest
    StreamEpoch epoch_;         // 0: closed
    std::deque<Batch> batches_;
    std::vector<std::string> spares_;
    std::size_t bytes_ = 0;
    uint32_t items_ = 0;
    uint64_t full_ = 0;
    bool waiting_ = false;
};

}  // namespace quorate::link
