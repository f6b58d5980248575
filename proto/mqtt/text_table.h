// Gives each distinct text a small number: an open-addressing table over texts in slabs.
//
// No insertion takes long, however many texts there are: see proto/mqtt/tables. The table holds
// 8-byte slots (32 bits of hash, 32 bits of where); the text stands in a slab
// behind its number and length, so that a look-up touches one slot and one line of text. Cost: 14
// to 27 bytes a text besides the text itself, rounded up to 8. Numbers and slab space of erased
// texts are used again; slabs and slots are not given back before the table dies.
//
// *Thread*: one writer, or any number of readers. *Owner*: FilterTree and FilterTrie. *Errors*:
// none; more than 32 GiB of text is a bug of the caller, who bounds what clients may store.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "proto/mqtt/tables/paged_array.h"
#include "proto/mqtt/tables/stepped_table.h"

namespace quorate::mqtt {

class TextTable {
  public:
    static constexpr uint32_t kNone = UINT32_MAX;
    static constexpr std::size_t kTextBytesMax = 65'535;

    // `seed` makes collisions unguessable for clients; it never shows in numbers or order.
    explicit TextTable(uint64_t seed = 0) : seed_(seed) {}

    struct Inserted {
        uint32_t id = kNone;
        bool fresh = false;
    };

    // The number of `text`, or kNone.
    [[nodiscard]] uint32_t find(std::string_view text) const { return find(text, hash(text)); }
    // The same in steps, for who looks up several texts and lets the memory accesses overlap: first
    // all hashes, then prefetch_slot of each, prefetch_text of each, find of each.
    [[nodiscard]] uint32_t find(std::string_view text, uint32_t hash) const;
    [[nodiscard]] uint32_t hash(std::string_view text) const;
    void prefetch_slot(uint32_t hash) const;
    void prefetch_text(uint32_t hash) const;
    // The number of `text`, new if it was absent: the one freed last, else the next.
    // Requires: text.size() <= kTextBytesMax.
    Inserted insert(std::string_view text);
    // The number `text` had, or kNone if it was absent.
    uint32_t erase(std::string_view text);

    // Requires: `id` is in use.
    [[nodiscard]] std::string_view text(uint32_t id) const;
    [[nodiscard]] bool in_use(uint32_t id) const {
        return id < places_.size() && places_[id] != kNone;
    }
    // All numbers in use are below this.
    [[nodiscard]] uint32_t id_limit() const { return static_cast<uint32_t>(places_.size()); }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] uint64_t seed() const { return seed_; }
    [[nodiscard]] std::size_t memory_bytes() const;

  private:
    struct Slot {
        static constexpr uint32_t kEighthsMax = 7;
        uint32_t hash = 0;
        uint32_t place = kNone;  // in units of 8 bytes: slab number, then offset
        [[nodiscard]] bool free() const { return place == kNone; }
    };
    // Small pieces come in steps of 8 bytes up to 256, larger ones in powers of two.
    static constexpr std::size_t kClassCount = 32 + 9;

    [[nodiscard]] const Slot* find_slot(std::string_view text, uint32_t hash) const;
    [[nodiscard]] std::byte* at(uint32_t place) const;
    [[nodiscard]] std::string_view text_at(uint32_t place) const;
    uint32_t allocate(std::size_t bytes);
    void release(uint32_t place, std::size_t bytes);
    void recycle_tail();

    uint64_t seed_;
    std::size_t size_ = 0;
    SteppedTable<Slot> slots_;
    PagedArray<uint32_t> places_;  // by number; kNone when free
    std::vector<uint32_t> free_ids_;
    std::vector<std::unique_ptr<std::byte[]>> slabs_;
    std::size_t slab_size_ = 0;                        // of the last slab
    std::size_t slab_used_ = 0;                        // of the last slab
    std::size_t slab_bytes_ = 0;                       // of all slabs
    std::array<uint32_t, kClassCount> free_places_{};  // heads of chains; 0: none, else place + 1
};

}  // namespace quorate::mqtt
