// Values by number, in pages of 2, 4, 8, ... up to 4,096: an address never changes, the smallest
// array is small, and growing copies nothing, however large it is.
//
// *Thread*: one writer, or any number of readers. *Owner*: FilterTree, FilterTrie and TextTable.
// *Errors*: none. Requires of Value: default constructible and movable.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace quorate::mqtt {

template <typename Value>
class PagedArray {
  public:
    // Requires: id < size().
    [[nodiscard]] Value& operator[](uint32_t id) {
        const uint64_t position = uint64_t{id} + kFirstPage;
        if (position >= kPaged) {
            return pages_.data()[kGrowingPages + ((position - kPaged) >> kLastBit)]
                                [position & (kLastPage - 1)];
        }
        const auto top = static_cast<uint32_t>(std::bit_width(position) - 1);
        return pages_.data()[top - kFirstBit][position - (uint64_t{1} << top)];
    }
    [[nodiscard]] const Value& operator[](uint32_t id) const {
        return const_cast<PagedArray&>(*this)[id];  // the same arithmetic, and it changes nothing
    }
    // Makes number `id` valid, with all numbers below it.
    void reach(uint32_t id) {
        while (capacity_ <= id) {
            const uint64_t page = pages_.size() < kGrowingPages
                                      ? uint64_t{kFirstPage} << pages_.size()
                                      : uint64_t{kLastPage};
            pages_.push_back(std::make_unique<Value[]>(page));
            capacity_ += page;
        }
        if (size_ <= id) size_ = uint64_t{id} + 1;
    }
    void push_back(Value value) {
        const auto id = static_cast<uint32_t>(size_);
        reach(id);
        (*this)[id] = std::move(value);
    }
    [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(size_); }
    // For a prefetch: the same as &(*this)[id].
    [[nodiscard]] const Value* address(uint32_t id) const { return &(*this)[id]; }
    [[nodiscard]] std::size_t memory_bytes() const {
        return capacity_ * sizeof(Value) + pages_.capacity() * sizeof(pages_[0]);
    }

  private:
    static constexpr uint32_t kFirstBit = 1;
    static constexpr uint32_t kLastBit = 12;
    static constexpr uint32_t kFirstPage = 1U << kFirstBit;
    static constexpr uint32_t kLastPage = 1U << kLastBit;
    static constexpr uint32_t kGrowingPages =
        kLastBit - kFirstBit + 1;                                // the last one is full size
    static constexpr uint64_t kPaged = uint64_t{kLastPage} * 2;  // position where equal pages begin

    std::vector<std::unique_ptr<Value[]>> pages_;
    uint64_t capacity_ = 0;
    uint64_t size_ = 0;
};

}  // namespace quorate::mqtt
