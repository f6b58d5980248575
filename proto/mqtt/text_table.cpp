#include "proto/mqtt/text_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "proto/base/assert.h"

namespace quorate::mqtt {
namespace {

constexpr std::size_t kUnit = 8;
constexpr std::size_t kHeaderBytes = 6;  // number and length before the text
constexpr std::size_t kSlabBytesFirst = 1024;
constexpr std::size_t kSlabBytesMax = 128 * 1024;
constexpr uint32_t kUnitsPerSlab = kSlabBytesMax / kUnit;
constexpr std::size_t kSlabsMax = (std::size_t{1} << 32) / kUnitsPerSlab - 1;
constexpr std::size_t kSmallMax = 256;

// The size class that a request of `bytes` is served from, and the bytes of its pieces.
constexpr std::size_t class_of(std::size_t bytes) {
    if (bytes <= kSmallMax) return (bytes + kUnit - 1) / kUnit - 1;
    return 32 + static_cast<std::size_t>(std::bit_width(bytes - 1)) - 9;
}
constexpr std::size_t class_bytes(std::size_t index) {
    return index < 32 ? (index + 1) * kUnit : std::size_t{512} << (index - 32);
}
uint64_t load(const char* at, std::size_t size) {
    uint64_t word = 0;
    std::memcpy(&word, at, size);
    return word;
}

// The first and the last bytes of a text of at most 16 bytes, overlapping, as two words.
struct Words {
    uint64_t first;
    uint64_t last;
};
Words words_of(const char* at, std::size_t size) {
    if (size >= 8) return {load(at, 8), load(at + size - 8, 8)};
    if (size >= 4) return {load(at, 4), load(at + size - 4, 4)};
    if (size == 0) return {0, 0};
    const auto byte = [at](std::size_t i) { return uint64_t{static_cast<uint8_t>(at[i])}; };
    return {byte(0), (byte(size / 2) << 8) | byte(size - 1)};
}

__extension__ using Wide = unsigned __int128;

uint64_t fold(uint64_t a, uint64_t b) {
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Most texts are levels of a few bytes, where a call into a library and memcmp() would cost more
// than the hash and the comparison themselves.
bool same(const char* a, const char* b, std::size_t size) {
    if (size > 16) return std::memcmp(a, b, size) == 0;
    const Words left = words_of(a, size);
    const Words right = words_of(b, size);
    return ((left.first ^ right.first) | (left.last ^ right.last)) == 0;
}

static_assert(class_of(kHeaderBytes + TextTable::kTextBytesMax) < 41);

}  // namespace

std::byte* TextTable::at(uint32_t place) const {
    return slabs_.data()[place / kUnitsPerSlab].get() + std::size_t{place % kUnitsPerSlab} * kUnit;
}

std::string_view TextTable::text_at(uint32_t place) const {
    const std::byte* piece = at(place);
    uint16_t length = 0;
    std::memcpy(&length, piece + 4, sizeof(length));
    return {reinterpret_cast<const char*>(piece) + kHeaderBytes, length};
}

// The slot of the text, or null.
const TextTable::Slot* TextTable::find_slot(std::string_view text, uint32_t hash) const {
    return slots_.find(hash, [&](const Slot& slot) {
        if (slot.hash != hash) return false;
        const std::string_view known = text_at(slot.place);
        return known.size() == text.size() && same(known.data(), text.data(), text.size());
    });
}

uint32_t TextTable::hash(std::string_view text) const {
    constexpr uint64_t kFirst = 0xA0761D6478BD642FU;
    constexpr uint64_t kSecond = 0xE7037ED1A0B428DBU;
    const char* at = text.data();
    std::size_t left = text.size();
    uint64_t state = seed_ ^ fold(seed_ ^ kFirst, text.size() ^ kSecond);
    for (; left > 16; at += 16, left -= 16) {
        state = fold(load(at, 8) ^ kFirst, load(at + 8, 8) ^ state);
    }
    const Words words = words_of(at, left);
    const uint64_t mixed = fold(words.first ^ kSecond, words.last ^ state);
    return static_cast<uint32_t>(fold(mixed ^ kFirst, state ^ kSecond) >> 7);
}

void TextTable::prefetch_slot(uint32_t hash) const {
    if (!slots_.empty()) __builtin_prefetch(slots_.home(hash));
}

void TextTable::prefetch_text(uint32_t hash) const {
    if (slots_.empty()) return;
    const Slot* slot = slots_.home(hash);
    if (!slot->free()) __builtin_prefetch(at(slot->place));
}

uint32_t TextTable::find(std::string_view text, uint32_t hash) const {
    const Slot* slot = find_slot(text, hash);
    if (slot == nullptr) return kNone;
    uint32_t id = 0;
    std::memcpy(&id, at(slot->place), sizeof(id));
    return id;
}

TextTable::Inserted TextTable::insert(std::string_view text) {
    ASSERT(text.size() <= kTextBytesMax, "a text has at most 65,535 bytes");
    const uint32_t text_hash = hash(text);
    uint32_t id = find(text, text_hash);
    if (id != kNone) return {id, false};
    if (free_ids_.empty()) {
        id = static_cast<uint32_t>(places_.size());
        places_.push_back(kNone);
    } else {
        id = free_ids_.back();
        free_ids_.pop_back();
    }
    const uint32_t place = allocate(kHeaderBytes + text.size());
    std::byte* piece = at(place);
    const auto length = static_cast<uint16_t>(text.size());
    std::memcpy(piece, &id, sizeof(id));
    std::memcpy(piece + 4, &length, sizeof(length));
    if (!text.empty()) std::memcpy(piece + kHeaderBytes, text.data(), text.size());
    slots_.add(text_hash, {text_hash, place}, [](const Slot& slot) { return slot.hash; });
    places_[id] = place;
    ++size_;
    return {id, true};
}

uint32_t TextTable::erase(std::string_view text) {
    const uint32_t text_hash = hash(text);
    const Slot* slot = find_slot(text, text_hash);
    if (slot == nullptr) return kNone;
    const uint32_t place = slot->place;
    uint32_t id = 0;
    std::memcpy(&id, at(place), sizeof(id));
    release(place, kHeaderBytes + text.size());
    slots_.erase(text_hash, slot, [](const Slot& other) { return other.hash; });
    places_[id] = kNone;
    free_ids_.push_back(id);
    --size_;
    return id;
}

std::string_view TextTable::text(uint32_t id) const {
    ASSERT(in_use(id), "no text has this number");
    return text_at(places_[id]);
}

std::size_t TextTable::memory_bytes() const {
    return slots_.memory_bytes() + places_.memory_bytes() +
           free_ids_.capacity() * sizeof(uint32_t) + slabs_.capacity() * sizeof(slabs_[0]) +
           slab_bytes_;
}

uint32_t TextTable::allocate(std::size_t bytes) {
    const std::size_t index = class_of(bytes);
    if (free_places_[index] != 0) {
        const uint32_t place = free_places_[index] - 1;
        std::memcpy(&free_places_[index], at(place), sizeof(uint32_t));
        return place;
    }
    const std::size_t wanted = class_bytes(index);
    if (slabs_.empty() || slab_size_ - slab_used_ < wanted) {
        recycle_tail();
        ASSERT(slabs_.size() < kSlabsMax, "more than 32 GiB of filters");
        slab_size_ = slabs_.empty() ? kSlabBytesFirst : std::min(slab_size_ * 2, kSlabBytesMax);
        slab_size_ = std::max(slab_size_, wanted);
        slabs_.push_back(std::make_unique_for_overwrite<std::byte[]>(slab_size_));
        slab_bytes_ += slab_size_;
        slab_used_ = 0;
    }
    const auto place =
        static_cast<uint32_t>((slabs_.size() - 1) * kUnitsPerSlab + slab_used_ / kUnit);
    slab_used_ += wanted;
    return place;
}

void TextTable::release(uint32_t place, std::size_t bytes) {
    const std::size_t index = class_of(bytes);
    std::memcpy(at(place), &free_places_[index], sizeof(uint32_t));
    free_places_[index] = place + 1;
}

// Puts what is left of the last slab on the chains of free pieces.
void TextTable::recycle_tail() {
    while (!slabs_.empty() && slab_size_ - slab_used_ >= kUnit) {
        std::size_t index = class_of(slab_size_ - slab_used_);
        if (class_bytes(index) > slab_size_ - slab_used_) --index;
        const auto place =
            static_cast<uint32_t>((slabs_.size() - 1) * kUnitsPerSlab + slab_used_ / kUnit);
        release(place, class_bytes(index));
        slab_used_ += class_bytes(index);
    }
}

}  // namespace quorate::mqtt
