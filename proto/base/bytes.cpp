#include "proto/base/bytes.h"

#include <cstdlib>
#include <new>

#include "proto/base/assert.h"

namespace quorate {

struct SharedBytes::Block {
    std::atomic<uint32_t> holders;
    std::size_t size;
    [[nodiscard]] std::byte* data() { return reinterpret_cast<std::byte*>(this + 1); }
};

SharedBytes::Block* SharedBytes::allocate(std::size_t size) {
    void* memory = std::malloc(sizeof(Block) + size);
    ASSERT(memory != nullptr, "out of memory");
    auto* block = static_cast<Block*>(memory);
    std::construct_at(&block->holders, 1U);
    block->size = size;
    return block;
}

SharedBytes::SharedBytes(ByteView bytes) : SharedBytes(bytes, {}) {}

SharedBytes::SharedBytes(ByteView first, ByteView second)
    : block_(allocate(first.size() + second.size())) {
    if (!first.empty()) std::memcpy(block_->data(), first.data(), first.size());
    if (!second.empty()) std::memcpy(block_->data() + first.size(), second.data(), second.size());
}

ByteView SharedBytes::view() const {
    if (block_ == nullptr) return {};
    return {block_->data(), block_->size};
}

void SharedBytes::hold() noexcept {
    if (block_ != nullptr) block_->holders.fetch_add(1, std::memory_order_relaxed);
}

void SharedBytes::release() noexcept {
    if (block_ == nullptr) return;
    if (block_->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) std::free(block_);
    block_ = nullptr;
}

}  // namespace quorate
