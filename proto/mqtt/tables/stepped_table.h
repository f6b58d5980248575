// A hash table of small slots whose insertions all take about as long: extendible hashing.
//
// Slots stand in segments, each an open-addressing table of its own. The upper bits of a hash
// choose the segment by a directory, the lower ones the slot in it. A segment that is full is
// doubled while it is small; one of kSegmentSlots is split in two by the next bit of its hashes, so
// that a table of millions moves a few thousand slots at most for one insertion. Probing never
// leaves the segment; erasing moves slots up, so that no tombstones gather.
//
//   directory (2^depth)      segments
//   00.. ───────────────────► A (depth 2)
//   01.. ───────────────────► B (depth 2)
//   10.. ──┬────────────────► C (depth 1)
//   11.. ──┘
//
// *Thread*: one writer, or any number of readers. *Owner*: TextTable and FilterTrie. *Errors*:
// none. Requires of Slot: trivially copyable; a default one is free; free(); kEighthsMax, how full
// a segment may be. Hashes are seeded by the owner: clients cannot choose them equal, and if they
// could, segments would grow whole instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace quorate::mqtt {

template <typename Slot>
class SteppedTable {
    static_assert(std::is_trivially_copyable_v<Slot>);

  public:
    [[nodiscard]] bool empty() const { return directory_.empty(); }
    // Where `hash` begins to be looked for, to be prefetched. Requires: not empty().
    [[nodiscard]] const Slot* home(uint32_t hash) const {
        const Place& place = locate(hash);
        return place.slots + (hash & place.mask);
    }
    // The slot of this hash that is `same`, or null.
    template <typename Same>
    [[nodiscard]] const Slot* find(uint32_t hash, Same&& same) const {
        if (directory_.empty()) return nullptr;
        const Place& place = locate(hash);
        for (uint32_t i = hash & place.mask;; i = (i + 1) & place.mask) {
            const Slot& slot = place.slots[i];
            if (slot.free()) return nullptr;
            if (same(slot)) return &slot;
        }
    }
    template <typename Same>
    [[nodiscard]] Slot* find(uint32_t hash, Same&& same) {
        return const_cast<Slot*>(std::as_const(*this).find(hash, same));
    }
    // Requires: not there yet. `hash_of` tells the hash of any slot.
    template <typename HashOf>
    void add(uint32_t hash, const Slot& slot, HashOf&& hash_of) {
        if (directory_.empty()) open();
        while (full(segments_[locate(hash).segment]))
            grow(locate(hash).segment, hash_of);
        const Place& place = locate(hash);
        put(place.slots, place.mask, hash, slot);
        ++segments_[place.segment].used;
    }
    // Requires: `slot` was found by `hash`.
    template <typename HashOf>
    void erase(uint32_t hash, const Slot* slot, HashOf&& hash_of) {
        const Place& place = locate(hash);
        auto hole = static_cast<uint32_t>(slot - place.slots);
        for (uint32_t i = (hole + 1) & place.mask; !place.slots[i].free();
             i = (i + 1) & place.mask) {
            const uint32_t wanted = hash_of(place.slots[i]) & place.mask;
            if (((i - wanted) & place.mask) < ((i - hole) & place.mask)) continue;
            place.slots[hole] = place.slots[i];
            hole = i;
        }
        place.slots[hole] = Slot{};
        --segments_[place.segment].used;
    }
    [[nodiscard]] std::size_t memory_bytes() const {
        return slots_ * sizeof(Slot) + segments_.capacity() * sizeof(Segment) +
               directory_.capacity() * sizeof(Place);
    }

  private:
    static constexpr uint32_t kFirstSlots = 16;
    static constexpr uint32_t kSegmentSlots = 4096;
    static constexpr uint32_t kDepthMax = 20;  // of the directory: 2^20 segments

    struct Segment {
        std::unique_ptr<Slot[]> slots;
        uint32_t size = 0;
        uint32_t used = 0;
        uint32_t depth = 0;   // so many upper bits are the same in all its hashes
        uint32_t prefix = 0;  // these bits
    };
    struct Place {
        Slot* slots = nullptr;
        uint32_t mask = 0;
        uint32_t segment = 0;
    };

    [[nodiscard]] const Place& locate(uint32_t hash) const {
        return directory_.data()[(uint64_t{hash} << depth_) >> 32];
    }
    [[nodiscard]] static bool full(const Segment& segment) {
        return uint64_t{segment.used} * 8 >= uint64_t{segment.size} * Slot::kEighthsMax;
    }
    static void put(Slot* slots, uint32_t mask, uint32_t hash, const Slot& slot) {
        uint32_t i = hash & mask;
        while (!slots[i].free())
            i = (i + 1) & mask;
        slots[i] = slot;
    }
    void open() {
        directory_.emplace_back();
        segments_.emplace_back();
        give_slots(0, kFirstSlots);
    }
    // Replaces the segment's slots by free ones; returns the old ones.
    std::unique_ptr<Slot[]> give_slots(uint32_t index, uint32_t size) {
        Segment& segment = segments_[index];
        auto old = std::exchange(segment.slots, std::make_unique<Slot[]>(size));
        slots_ += size;
        slots_ -= segment.size;
        segment.size = size;
        segment.used = 0;
        const uint32_t spread = depth_ - segment.depth;
        for (uint32_t i = segment.prefix << spread; i < (segment.prefix + 1) << spread; ++i)
            directory_[i] = {segment.slots.get(), size - 1, index};
        return old;
    }
    template <typename HashOf>
    void grow(uint32_t index, HashOf& hash_of) {
        const uint32_t size = segments_[index].size;
        const bool split = size >= kSegmentSlots && segments_[index].depth < kDepthMax;
        if (split) {
            if (segments_[index].depth == depth_) double_directory();
            Segment other;
            other.depth = ++segments_[index].depth;
            segments_[index].prefix *= 2;
            other.prefix = segments_[index].prefix + 1;
            segments_.push_back(std::move(other));
            give_slots(static_cast<uint32_t>(segments_.size() - 1), size);
        }
        const auto old = give_slots(index, split ? size : size * 2);
        for (uint32_t i = 0; i < size; ++i) {
            if (old[i].free()) continue;
            const uint32_t hash = hash_of(old[i]);
            const Place& place = locate(hash);
            put(place.slots, place.mask, hash, old[i]);
            ++segments_[place.segment].used;
        }
    }
    void double_directory() {
        std::vector<Place> doubled;
        doubled.reserve(directory_.size() * 2);
        for (const Place& place : directory_) {
            doubled.push_back(place);
            doubled.push_back(place);
        }
        directory_.swap(doubled);
        ++depth_;
    }

    std::vector<Segment> segments_;
    std::vector<Place> directory_;
    uint32_t depth_ = 0;
    std::size_t slots_ = 0;  // of all segments
};

}  // namespace quorate::mqtt
