// Keys of a shard's records in the state store, and the first byte of each family.
//
// A key is the family byte and then numbers (big-endian, so that byte order is their order) or
// texts. All families of sessions, topics, shard, wildcards and meta stand here, so that no two can
// meet. Thread: any; values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "proto/base/result.h"

namespace quorate::cluster {

enum class Family : uint8_t {
    Shard = 1,           // -> time and counters
    Lane = 2,            // lane -> last number
    MinIncarnation = 3,  // node -> lowest incarnation not down
    Heard = 4,           // source shard -> highest term
    Session = 16,        // session
    Subscription = 17,   // session, filter
    Cursor = 18,         // session -> first, next, mark of its queue
    Entry = 19,          // session, number
    Received = 20,       // session -> QoS 2 packet ids not yet released
    Replay = 28,         // session, filter -> retained messages that are not in the queue yet
    OwedRoute = 21,      // filter, member (0 but for "$share") -> wanted, made
    Body = 22,           // body -> message
    OutboxEntry = 23,    // target, number
    OutboxTarget = 24,   // target -> next, high
    Repeats = 25,        // stream -> high, seen
    Group = 26,          // "name/filter"
    GroupEntry = 27,     // group number, number
    Route = 32,          // filter, destination
    Retained = 33,       // topic
    RetainStream = 34,   // incarnation, loop -> last number
    Meta = 40,           // -> the cluster; 1, node; 2, group
};

// Builds a key in place; short ones (numbers) need no allocation.
class StateKey {
  public:
    explicit StateKey(Family family) { byte(static_cast<uint8_t>(family)); }

    StateKey& u8(uint8_t value) {
        byte(value);
        return *this;
    }
    StateKey& u16(uint16_t value) { return number(value, 2); }
    StateKey& u32(uint32_t value) { return number(value, 4); }
    StateKey& u64(uint64_t value) { return number(value, 8); }
    // A text that more may follow: preceded by its length, so not in order of text.
    StateKey& sized_text(std::string_view text) {
        u32(static_cast<uint32_t>(text.size()));
        return last_text(text);
    }
    // A text that ends the key: keys are in its order.
    StateKey& last_text(std::string_view text);

    [[nodiscard]] std::string_view view() const {
        return long_.empty() ? std::string_view(short_, size_) : std::string_view(long_);
    }

  private:
    static constexpr std::size_t kShort = 40;

    void byte(uint8_t value);
    StateKey& number(uint64_t value, unsigned bytes) {
        while (bytes-- > 0)
            byte(static_cast<uint8_t>(value >> (8U * bytes)));
        return *this;
    }

    char short_[kShort];
    std::size_t size_ = 0;
    std::string long_;  // once it does not fit
};

// The first key after all that begin with this family.
[[nodiscard]] std::string family_end(Family family);

// "corrupt <what> record, key <hex>"
[[nodiscard]] Error corrupt_record(const char* what, std::string_view key);

}  // namespace quorate::cluster
