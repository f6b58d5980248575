// The flat batch: items one behind the other, each as [length][bytes], the length a varint of seven
// bits a byte, lowest first, in as few bytes as it needs.
//
// It is built where an item is offered and read in place where it arrives, so that neither side has
// an object per item. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/base/bytes.h"

namespace quorate::link {

// The most that one gRPC message may have, and what is left of it for a single item.
inline constexpr std::size_t kMessageBytesMax = std::size_t{4} << 20U;
inline constexpr std::size_t kItemBytesMax = kMessageBytesMax - (std::size_t{64} << 10U);
// A batch is closed at either of these; one larger item goes alone. Latency stays even this way
// under a backlog.
inline constexpr std::size_t kBatchBytesMax = std::size_t{64} << 10U;
inline constexpr uint32_t kBatchItemsMax = 256;

// Appends one item, made of two parts that follow each other.
// Requires: together at least 1 and at most kItemBytesMax bytes.
void append_item(std::string& batch, ByteView first, ByteView second);
// What append_item adds for an item of so many bytes.
[[nodiscard]] std::size_t encoded_bytes(std::size_t item_bytes);

// Walks a batch. The views point into it.
class BatchReader {
  public:
    explicit BatchReader(std::string_view batch) : rest_(batch) {}

    // The next item; nullopt at the end, or where the bytes are no batch: then failed().
    [[nodiscard]] std::optional<ByteView> next();
    [[nodiscard]] bool failed() const { return failed_; }

  private:
    std::string_view rest_;
    bool failed_ = false;
};

// Number of items, if the bytes are a batch to their end: at least one item, none of them empty,
// lengths in their shortest form.
[[nodiscard]] std::optional<uint32_t> count_items(std::string_view batch);

}  // namespace quorate::link
