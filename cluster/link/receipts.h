// Received batches, and the account of which of them have been let go.
//
// The sender may have only so many bytes on their way that the receiver has not let go (the
// window). So what a slow receiver holds is bounded by the window of each stream, without anybody
// waiting: the sender's queue fills and refuses.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "cluster/link/completion.h"
#include "cluster/link/wire/batch.h"

namespace quorate::link {

// What one incoming stream has let go, counted by the batches that outlive it.
// *Thread*: any. *Owner*: counted; the stream and each of its batches hold it.
class ReceiptAccount {
  public:
    ReceiptAccount() = default;
    // A fresh account: it wakes the link thread each time a further `wake_bytes` have been let go.
    ReceiptAccount(LoopDoor door, std::size_t wake_bytes);
    ReceiptAccount(const ReceiptAccount& other) noexcept;
    ReceiptAccount(ReceiptAccount&& other) noexcept;
    ReceiptAccount& operator=(ReceiptAccount other) noexcept;
    ~ReceiptAccount();

    void let_go(std::size_t bytes) const;
    // Of the whole life of the stream. Requires: not default-constructed.
    [[nodiscard]] uint64_t taken_bytes() const;

  private:
    struct Book;
    Book* book_ = nullptr;
};

// An immutable batch of items from a peer. Copies share the bytes; when the last one is destroyed
// the sender gets its receipt. Hold it as long as the items are unread, and no longer.
// *Thread*: any, also after the host has stopped.
class ReceivedBatch {
  public:
    ReceivedBatch() = default;
    // Requires: count_items(bytes) == items.
    ReceivedBatch(std::string bytes, uint32_t items, ReceiptAccount account);
    ReceivedBatch(const ReceivedBatch& other) noexcept;
    ReceivedBatch(ReceivedBatch&& other) noexcept;
    ReceivedBatch& operator=(ReceivedBatch other) noexcept;
    ~ReceivedBatch();

    // The items in the order in which they were offered; views live as long as a copy of this.
    [[nodiscard]] BatchReader items() const;
    [[nodiscard]] uint32_t count() const;
    [[nodiscard]] std::size_t bytes() const;

  private:
    struct Block;
    Block* block_ = nullptr;
};

}  // namespace quorate::link
