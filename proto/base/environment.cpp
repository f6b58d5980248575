#include "proto/base/environment.h"

#include <ctime>
#include <random>

#include "proto/base/assert.h"

namespace quorate {
namespace {
__extension__ using WideInteger = unsigned __int128;
}  // namespace

std::chrono::nanoseconds SystemClock::now() const {
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

std::chrono::milliseconds SystemClock::wall() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
}

uint64_t Random::next() {
    state_ += 0x9E3779B97F4A7C15ULL;
    uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
    return mixed ^ (mixed >> 31);
}

uint64_t Random::below(uint64_t bound) {
    ASSERT(bound > 0, "an empty range has no number");
    const auto wide = static_cast<WideInteger>(next()) * bound;
    return static_cast<uint64_t>(wide >> 64);
}

uint64_t system_seed() {
    std::random_device device;
    return (static_cast<uint64_t>(device()) << 32) | device();
}

}  // namespace quorate
