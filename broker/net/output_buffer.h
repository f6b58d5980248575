// Output that waits for its socket: a list of chunks taken from a pool of the loop, so that an idle
// connection owns no buffer and a busy one writes many messages with one system call.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <sys/uio.h>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"

namespace quorate::broker {

// A run of bytes in an OutputBuffer: its own storage behind it, or a part of shared bytes.
struct OutputChunk {
    OutputChunk* next = nullptr;
    const std::byte* data = nullptr;  // of its own storage or of `shared`
    std::size_t begin = 0;            // first byte not yet taken
    std::size_t end = 0;              // behind the last byte
    std::size_t capacity = 0;         // 0 for shared bytes: nothing can be appended
    std::size_t size_class = 0;       // of ChunkPool; kOversized: straight from the heap
    SharedBytes shared;

    [[nodiscard]] std::byte* storage() { return reinterpret_cast<std::byte*>(this + 1); }
};

// Chunks of three sizes, kept for reuse up to a bound; what is above it goes back to the heap.
// The sizes are odd multiples of cache lines apart, so that the first lines of a thousand small
// chunks do not fall into the same few cache sets (a fan-out touches exactly those).
//
// Thread: one loop. Owner: EventLoop, outlives its connections. Errors: none; out of memory aborts.
class ChunkPool {
  public:
    static constexpr std::size_t kClasses = 3;
    static constexpr std::size_t kOversized = kClasses;
    static constexpr std::array<std::size_t, kClasses> kChunkBytes = {1'792, 7'168, 28'672};

    // Keeps at most `keep_bytes_max` of unused chunks.
    explicit ChunkPool(std::size_t keep_bytes_max) : keep_bytes_max_(keep_bytes_max) {}
    ~ChunkPool();
    ChunkPool(const ChunkPool&) = delete;
    ChunkPool& operator=(const ChunkPool&) = delete;

    // A chunk with room for `size` bytes, at least of class `size_class`. Requires: < kClasses.
    [[nodiscard]] OutputChunk* take(std::size_t size, std::size_t size_class);
    // An empty chunk that refers to `bytes`.
    [[nodiscard]] OutputChunk* take_shared(SharedBytes bytes);
    void give_back(OutputChunk* chunk);
    // Returns unused chunks beyond `bytes` to the heap: called when the loop is idle.
    void trim(std::size_t bytes);

    // Bytes of all chunks in use, and of those kept for reuse.
    [[nodiscard]] std::size_t bytes_in_use() const { return bytes_in_use_; }
    [[nodiscard]] std::size_t bytes_kept() const { return bytes_kept_; }

  private:
    std::array<OutputChunk*, kClasses> free_{};
    std::size_t keep_bytes_max_;
    std::size_t bytes_in_use_ = 0;
    std::size_t bytes_kept_ = 0;
};

// Bytes on their way out, in order.
//
// Thread: one loop. Owner: a connection or a stage. Not bounded by itself: whoever appends looks at
// size() (the front-end's limit of output per connection).
class OutputBuffer {
  public:
    explicit OutputBuffer(ChunkPool& pool) : pool_(&pool) {}
    ~OutputBuffer() { clear(); }
    OutputBuffer(const OutputBuffer&) = delete;
    OutputBuffer& operator=(const OutputBuffer&) = delete;

    // Room for `size` contiguous bytes, valid until the next call of any method but commit().
    [[nodiscard]] std::byte* prepare(std::size_t size) {
        if (tail_ != nullptr && tail_->capacity - tail_->end >= size && tail_->capacity != 0)
            return tail_->storage() + tail_->end;
        return prepare_in_new_chunk(size);
    }
    // Appends the first `size` bytes of what prepare() returned. Requires: size <= prepared.
    void commit(std::size_t size) {
        if (size == 0) return;
        DASSERT(tail_ != nullptr && tail_->end + size <= tail_->capacity, "commit beyond prepare");
        tail_->end += size;
        size_ += size;
    }
    void append(ByteView bytes);
    // Appends a reference: no copy, the bytes are held until they are written. For large payloads;
    // below some 4 KiB append() is cheaper.
    void append_shared(SharedBytes bytes);
    // Moves everything from `other` behind what is here, without a copy. Same pool required.
    void splice(OutputBuffer& other);

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }

    // The first pieces, at most into.size(): for sendmsg(). Returns how many were filled.
    [[nodiscard]] std::size_t pieces(std::span<iovec> into) const;
    // The first piece. Empty when the buffer is.
    [[nodiscard]] ByteView front() const;
    // Drops the first `size` bytes. Requires: size <= size().
    void consume(std::size_t size);
    void clear();

  private:
    [[nodiscard]] std::byte* prepare_in_new_chunk(std::size_t size);
    void link(OutputChunk* chunk);

    ChunkPool* pool_;
    OutputChunk* head_ = nullptr;
    OutputChunk* tail_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace quorate::broker
