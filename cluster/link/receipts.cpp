#include "cluster/link/receipts.h"

#include <memory>
#include <utility>

#include "proto/base/assert.h"

namespace quorate::link {

namespace {

// The count of holders that both classes keep by hand: style rules out shared_ptr here because a
// batch is counted per message and per thread, and one allocation has to do.
template <typename Counted>
Counted* hold(Counted* counted) noexcept {
    if (counted != nullptr) counted->holders.fetch_add(1, std::memory_order_relaxed);
    return counted;
}

template <typename Counted>
void release(Counted* counted) noexcept {
    if (counted != nullptr && counted->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::unique_ptr<Counted>{counted}.reset();
    }
}

}  // namespace

struct ReceiptAccount::Book {
    Book(LoopDoor to, std::size_t bytes) : door(std::move(to)), wake_bytes(bytes) {}
    std::atomic<uint32_t> holders{1};
    std::atomic<uint64_t> taken_bytes{0};
    const LoopDoor door;
    const std::size_t wake_bytes;
};

ReceiptAccount::ReceiptAccount(LoopDoor door, std::size_t wake_bytes)
    : book_(std::make_unique<Book>(std::move(door), wake_bytes).release()) {
    ASSERT(wake_bytes > 0, "receipts come in steps");
}
ReceiptAccount::ReceiptAccount(const ReceiptAccount& other) noexcept : book_(hold(other.book_)) {}
ReceiptAccount::ReceiptAccount(ReceiptAccount&& other) noexcept
    : book_(std::exchange(other.book_, nullptr)) {}
ReceiptAccount& ReceiptAccount::operator=(ReceiptAccount other) noexcept {
    std::swap(book_, other.book_);
    return *this;
}
ReceiptAccount::~ReceiptAccount() {
    release(book_);
}

void ReceiptAccount::let_go(std::size_t bytes) const {
    if (book_ == nullptr) return;
    const uint64_t before = book_->taken_bytes.fetch_add(bytes);
    if (before / book_->wake_bytes != (before + bytes) / book_->wake_bytes) book_->door.wake();
}

uint64_t ReceiptAccount::taken_bytes() const {
    return book_->taken_bytes.load();
}

struct ReceivedBatch::Block {
    Block(std::string data, uint32_t count, ReceiptAccount to)
        : bytes(std::move(data)), items(count), account(std::move(to)) {}
    ~Block() { account.let_go(bytes.size()); }
    std::atomic<uint32_t> holders{1};
    const std::string bytes;
    const uint32_t items;
    const ReceiptAccount account;
};

ReceivedBatch::ReceivedBatch(std::string bytes, uint32_t items, ReceiptAccount account)
    : block_(std::make_unique<Block>(std::move(bytes), items, std::move(account)).release()) {}
ReceivedBatch::ReceivedBatch(const ReceivedBatch& other) noexcept : block_(hold(other.block_)) {}
ReceivedBatch::ReceivedBatch(ReceivedBatch&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)) {}
ReceivedBatch& ReceivedBatch::operator=(ReceivedBatch other) noexcept {
    std::swap(block_, other.block_);
    return *this;
}
ReceivedBatch::~ReceivedBatch() {
    release(block_);
}

BatchReader ReceivedBatch::items() const {
    return BatchReader(block_ == nullptr ? std::string_view() : std::string_view(block_->bytes));
}
uint32_t ReceivedBatch::count() const {
    return block_ == nullptr ? 0 : block_->items;
}
std::size_t ReceivedBatch::bytes() const {
    return block_ == nullptr ? 0 : block_->bytes.size();
}

}  // namespace quorate::link
