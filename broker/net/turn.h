// Who runs a loop's turn: its own thread, or another loop's that brings mail while it sleeps.
#pragma once

#include <atomic>
#include <cstdint>

namespace quorate::broker {

// The right to touch everything a loop owns, and whether mail waits for it.
//
// A loop's thread holds its turn while it is awake and gives it back before it sleeps in the poll.
// A thread that has mail for a sleeping loop may take the turn and do what there is to do itself:
// at low rates that costs no wake-up, which is the dearest part of handing over one message. Who
// holds the turn sees all that earlier holders did.
//
// Mail announced while somebody holds the turn is that holder's to look after: `release` fails
// until it is taken. Mail announced while nobody does is the announcer's.
//
// Thread: announce() from any; the others as said. Owner: EventLoop. Held by its maker at first.
class Turn {
  public:
    // Waits until nobody holds it. Only the loop's own thread waits, and it holds no other turn
    // then: no cycle. The wait is as long as a borrowed turn.
    void take() noexcept {
        uint32_t seen = bits_.load(std::memory_order_relaxed);
        for (;;) {
            if ((seen & kTaken) == 0) {
                const uint32_t taken = (seen | kTaken) & ~kAwaited;
                if (bits_.compare_exchange_weak(seen, taken, std::memory_order_acquire,
                                                std::memory_order_relaxed)) {
                    return;
                }
                continue;
            }
            if ((seen & kAwaited) == 0 &&
                !bits_.compare_exchange_weak(seen, seen | kAwaited, std::memory_order_relaxed)) {
                continue;
            }
            bits_.wait(seen | kAwaited, std::memory_order_relaxed);
            seen = bits_.load(std::memory_order_relaxed);
        }
    }

    // Takes the turn, and the mail, when nobody holds it and mail waits. Never waits.
    [[nodiscard]] bool take_with_mail() noexcept {
        uint32_t seen = kMail;
        return bits_.compare_exchange_strong(seen, kTaken, std::memory_order_acquire,
                                             std::memory_order_relaxed);
    }

    // Mail has been put where the holder looks. True when nobody holds the turn and nobody else
    // was told: the caller wakes the loop, or takes the turn.
    [[nodiscard]] bool announce() noexcept {
        const uint32_t before = bits_.fetch_or(kMail, std::memory_order_acq_rel);
        return (before & (kTaken | kMail)) == 0;
    }

    // True when mail was announced since the last call. Holder only; look for it afterwards.
    [[nodiscard]] bool take_mail() noexcept {
        if ((bits_.load(std::memory_order_relaxed) & kMail) == 0) return false;
        return (bits_.fetch_and(~kMail, std::memory_order_acq_rel) & kMail) != 0;
    }

    // Gives the turn back, but not while mail waits: false then, and it is still held.
    [[nodiscard]] bool release() noexcept {
        uint32_t seen = bits_.load(std::memory_order_relaxed);
        while ((seen & kMail) == 0) {
            if (bits_.compare_exchange_weak(seen, 0, std::memory_order_release,
                                            std::memory_order_relaxed)) {
                tell(seen);
                return true;
            }
        }
        return false;
    }

    // Gives it back in any case. True when mail waits: the caller wakes the loop.
    [[nodiscard]] bool release_with_mail() noexcept {
        const uint32_t before = bits_.fetch_and(kMail, std::memory_order_release);
        tell(before);
        return (before & kMail) != 0;
    }

  private:
    static constexpr uint32_t kTaken = 1;
    static constexpr uint32_t kMail = 2;
    static constexpr uint32_t kAwaited = 4;  // the loop's own thread waits in take()

    void tell(uint32_t before) noexcept {
        if ((before & kAwaited) != 0) bits_.notify_one();
    }

    std::atomic<uint32_t> bits_{kTaken};
};

}  // namespace quorate::broker
