// A queue in one block of memory that grows by doubling, gives memory back when it empties, and
// costs nothing while it was never used: a session has one and most sessions wait for nothing.
//
// Thread, owner: of the object that holds it. Errors: none.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "proto/base/assert.h"

namespace quorate::cluster {

// Requires of T: default constructible and movable; a moved-from or default T holds nothing.
template <typename T>
class Ring {
  public:
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    // Requires: i < size().
    [[nodiscard]] T& operator[](std::size_t i) {
        DASSERT(i < size_, "index outside the ring");
        return slots_[(head_ + i) & (capacity_ - 1)];
    }
    [[nodiscard]] const T& operator[](std::size_t i) const {
        return const_cast<Ring&>(*this)[i];  // the same arithmetic, and it changes nothing
    }
    void push_back(T value) {
        if (size_ == capacity_) grow();
        slots_[(head_ + size_) & (capacity_ - 1)] = std::move(value);
        ++size_;
    }
    // Requires: !empty().
    void pop_front() {
        slots_[head_] = T{};
        head_ = (head_ + 1) & (capacity_ - 1);
        if (--size_ == 0 && capacity_ > kKept) clear();
    }
    void clear() {
        slots_.reset();
        capacity_ = head_ = size_ = 0;
    }

  private:
    static constexpr std::size_t kKept = 32;

    void grow() {
        const std::size_t capacity = capacity_ == 0 ? 4 : capacity_ * 2;
        auto slots = std::make_unique<T[]>(capacity);
        for (std::size_t i = 0; i < size_; ++i)
            slots[i] = std::move((*this)[i]);
        slots_ = std::move(slots);
        capacity_ = capacity;
        head_ = 0;
    }

    std::unique_ptr<T[]> slots_;
    std::size_t capacity_ = 0;  // a power of two
    std::size_t head_ = 0;
    std::size_t size_ = 0;
};

}  // namespace quorate::cluster
