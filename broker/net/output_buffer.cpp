#include "broker/net/output_buffer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace quorate::broker {

ChunkPool::~ChunkPool() {
    ASSERT(bytes_in_use_ == 0, "an output buffer outlives its pool");
    trim(0);
}

OutputChunk* ChunkPool::take(std::size_t size, std::size_t size_class) {
    while (size_class < kClasses && kChunkBytes[size_class] - sizeof(OutputChunk) < size)
        ++size_class;
    std::size_t bytes =
        size_class == kOversized ? sizeof(OutputChunk) + size : kChunkBytes[size_class];
    OutputChunk* chunk = nullptr;
    if (size_class < kClasses && free_[size_class] != nullptr) {
        chunk = free_[size_class];
        free_[size_class] = chunk->next;
        bytes_kept_ -= bytes;
        chunk->next = nullptr;
        chunk->begin = 0;
        chunk->end = 0;
    } else {
        void* memory = std::malloc(bytes);
        ASSERT(memory != nullptr, "out of memory");
        chunk = std::construct_at(static_cast<OutputChunk*>(memory));
        chunk->data = chunk->storage();
        chunk->capacity = bytes - sizeof(OutputChunk);
        chunk->size_class = size_class;
    }
    bytes_in_use_ += bytes;
    return chunk;
}

OutputChunk* ChunkPool::take_shared(SharedBytes bytes) {
    void* memory = std::malloc(sizeof(OutputChunk));
    ASSERT(memory != nullptr, "out of memory");
    OutputChunk* chunk = std::construct_at(static_cast<OutputChunk*>(memory));
    chunk->shared = std::move(bytes);
    chunk->data = chunk->shared.view().data();
    chunk->end = chunk->shared.size();
    chunk->size_class = kOversized;
    bytes_in_use_ += sizeof(OutputChunk);
    return chunk;
}

void ChunkPool::give_back(OutputChunk* chunk) {
    std::size_t bytes = sizeof(OutputChunk) + chunk->capacity;
    bytes_in_use_ -= bytes;
    if (chunk->size_class < kClasses && bytes_kept_ + bytes <= keep_bytes_max_) {
        chunk->next = free_[chunk->size_class];
        free_[chunk->size_class] = chunk;
        bytes_kept_ += bytes;
        return;
    }
    std::destroy_at(chunk);
    std::free(chunk);
}

void ChunkPool::trim(std::size_t bytes) {
    for (std::size_t size_class = kClasses; size_class-- > 0;) {
        while (bytes_kept_ > bytes && free_[size_class] != nullptr) {
            OutputChunk* chunk = free_[size_class];
            free_[size_class] = chunk->next;
            bytes_kept_ -= kChunkBytes[size_class];
            std::destroy_at(chunk);
            std::free(chunk);
        }
    }
}

std::byte* OutputBuffer::prepare_in_new_chunk(std::size_t size) {
    // A full chunk is followed by one of the next size: few large ones instead of many. Behind
    // bytes that somebody else holds, a small one does.
    std::size_t size_class = 0;
    if (tail_ != nullptr && tail_->size_class < ChunkPool::kClasses)
        size_class = std::min(tail_->size_class + 1, ChunkPool::kClasses - 1);
    OutputChunk* chunk = pool_->take(size, size_class);
    link(chunk);
    return chunk->storage();
}

void OutputBuffer::link(OutputChunk* chunk) {
    (tail_ == nullptr ? head_ : tail_->next) = chunk;
    tail_ = chunk;
}

void OutputBuffer::append(ByteView bytes) {
    if (bytes.empty()) return;
    std::memcpy(prepare(bytes.size()), bytes.data(), bytes.size());
    commit(bytes.size());
}

void OutputBuffer::append_shared(SharedBytes bytes) {
    if (bytes.empty()) return;
    size_ += bytes.size();
    link(pool_->take_shared(std::move(bytes)));
}

void OutputBuffer::splice(OutputBuffer& other) {
    ASSERT(pool_ == other.pool_, "chunks of another pool");
    if (other.head_ == nullptr) return;
    (tail_ == nullptr ? head_ : tail_->next) = other.head_;
    tail_ = other.tail_;
    size_ += other.size_;
    other.head_ = nullptr;
    other.tail_ = nullptr;
    other.size_ = 0;
}

std::size_t OutputBuffer::pieces(std::span<iovec> into) const {
    std::size_t count = 0;
    for (OutputChunk* chunk = head_; chunk != nullptr && count < into.size(); chunk = chunk->next) {
        if (chunk->begin == chunk->end) continue;
        // sendmsg() does not write through iov_base; its type is older than const.
        into[count].iov_base = const_cast<std::byte*>(chunk->data + chunk->begin);
        into[count].iov_len = chunk->end - chunk->begin;
        ++count;
    }
    return count;
}

ByteView OutputBuffer::front() const {
    for (const OutputChunk* chunk = head_; chunk != nullptr; chunk = chunk->next) {
        if (chunk->begin != chunk->end)
            return {chunk->data + chunk->begin, chunk->end - chunk->begin};
    }
    return {};
}

void OutputBuffer::consume(std::size_t size) {
    ASSERT(size <= size_, "more taken than there is");
    size_ -= size;
    while (head_ != nullptr) {
        std::size_t here = head_->end - head_->begin;
        if (size < here) {
            head_->begin += size;
            return;
        }
        size -= here;
        OutputChunk* done = head_;
        head_ = done->next;
        pool_->give_back(done);
    }
    tail_ = nullptr;
}

void OutputBuffer::clear() {
    while (head_ != nullptr) {
        OutputChunk* done = head_;
        head_ = done->next;
        pool_->give_back(done);
    }
    tail_ = nullptr;
    size_ = 0;
}

}  // namespace quorate::broker
