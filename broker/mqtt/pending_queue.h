// Messages of QoS 1 and 2 for an expiry-0 session whose window is closed: first in, first out.
//
// Records lie one behind the other in chunks, so that a message costs its own bytes and some 30
// more and no allocation of its own. What its caller shares between many queues is held, not
// copied. *Thread*: the loop's. *Owner*: Channel, which enforces the limits of count and bytes.
// *Errors*: none; records are written and read here alone.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "broker/mqtt/limits.h"
#include "proto/base/bytes.h"
#include "proto/mqtt/message.h"

namespace quorate::broker {

struct Offer;

class PendingQueue {
  public:
    struct Entry {
        mqtt::MessageView message;  // without expiry; qos and retain as for this client
        uint64_t ticket = 0;
        LoopTime taken_at{};
        std::optional<uint32_t> expiry_s;  // counted from taken_at
        std::vector<uint32_t> subscription_ids;
    };

    // How many bytes push() will add.
    [[nodiscard]] static std::size_t cost(const Offer& offer);
    void push(LoopTime now, const Offer& offer);
    // Reads the oldest; `out.message` is valid until pop(). Requires: not empty.
    void front(Entry& out) const;
    // Requires: not empty.
    void pop();

    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] std::size_t size() const { return count_; }
    // Bytes of the messages, shared ones included.
    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    [[nodiscard]] std::size_t heap_bytes() const;

  private:
    static constexpr std::size_t kChunkBytes = 4096;

    std::deque<std::string> chunks_;  // records; each has room for kChunkBytes or one larger record
    std::deque<SharedBytes> shared_;  // of the records that say so, in their order
    std::string spare_;               // an emptied chunk, for the next one
    std::size_t head_ = 0;            // of the first record in the first chunk
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace quorate::broker
