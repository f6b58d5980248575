#include "cluster/link/wire/batch.h"

#include "proto/base/assert.h"

namespace quorate::link {

namespace {

constexpr std::size_t kLengthBytesMax = 4;  // 28 bits: more than any message holds

}  // namespace

std::size_t encoded_bytes(std::size_t item_bytes) {
    std::size_t length_bytes = 1;
    for (std::size_t left = item_bytes >> 7U; left != 0; left >>= 7U)
        ++length_bytes;
    return length_bytes + item_bytes;
}

void append_item(std::string& batch, ByteView first, ByteView second) {
    std::size_t left = first.size() + second.size();
    ASSERT(left > 0 && left <= kItemBytesMax, "an item has a byte and fits into a message");
    char length[kLengthBytesMax];
    std::size_t used = 0;
    for (; left >= 0x80; left >>= 7U)
        length[used++] = static_cast<char>((left & 0x7FU) | 0x80U);
    length[used++] = static_cast<char>(left);
    batch.append(length, used);
    batch.append(as_text(first));
    batch.append(as_text(second));
}

std::optional<ByteView> BatchReader::next() {
    if (rest_.empty() || failed_) return std::nullopt;
    std::size_t size = 0;
    std::size_t used = 0;
    uint8_t byte = 0x80;
    while ((byte & 0x80U) != 0 && used < kLengthBytesMax && used < rest_.size()) {
        byte = static_cast<uint8_t>(rest_[used]);
        size |= static_cast<std::size_t>(byte & 0x7FU) << (7 * used);
        ++used;
    }
    // A length that goes on, a last byte of 0 (also that of an empty item), more than there is.
    if ((byte & 0x80U) != 0 || byte == 0 || size > rest_.size() - used) {
        failed_ = true;
        return std::nullopt;
    }
    const ByteView item = as_bytes(rest_.substr(used, size));
    rest_.remove_prefix(used + size);
    return item;
}

std::optional<uint32_t> count_items(std::string_view batch) {
    BatchReader reader(batch);
    uint32_t items = 0;
    while (reader.next())
        ++items;
    if (reader.failed() || items == 0) return std::nullopt;
    return items;
}

}  // namespace quorate::link
