// A bounded queue into one thread: many producers, one consumer, one wake-up per batch.
//
// Thread: `try_push` and `push_reserved` from any thread; `take` only from the consumer.
// Owner: the consumer. The wake function must be callable from any thread and may coalesce
// (uv_async_send, eventfd, condition variable).
// When full: `try_push` refuses and the producer decides (drop, refuse, stop reading): a post never
// blocks. `push_reserved` is for answers, whose place the asker has accounted for before asking,
// and for consequences bounded by another window; it cannot fail. Order: what one thread pushed
// before another learned of it comes out first (a mutex orders all).
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace quorate {

template <typename T>
class Mailbox {
  public:
    Mailbox(std::size_t capacity, std::function<void()> wake)
        : capacity_(capacity), wake_(std::move(wake)) {}
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;

    // False, and `item` untouched, when full.
    [[nodiscard]] bool try_push(T& item) {
        bool first = false;
        {
            const std::lock_guard lock(mutex_);
            if (items_.size() >= capacity_) return false;
            first = items_.empty();
            items_.push_back(std::move(item));
        }
        if (first) wake_();
        return true;
    }

    void push_reserved(T item) {
        bool first = false;
        {
            const std::lock_guard lock(mutex_);
            first = items_.empty();
            items_.push_back(std::move(item));
        }
        if (first) wake_();
    }

    // Swaps everything that waits into `out`, which must be empty: one lock per batch, and the
    // two vectors' memory is reused in turn.
    void take(std::vector<T>& out) {
        const std::lock_guard lock(mutex_);
        items_.swap(out);
    }

    [[nodiscard]] std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return items_.size();
    }
    [[nodiscard]] std::size_t capacity() const { return capacity_; }

  private:
    const std::size_t capacity_;
    const std::function<void()> wake_;
    mutable std::mutex mutex_;
    std::vector<T> items_;
};

}  // namespace quorate
