#include "tests/sim/kernel/last_words.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>

#include <unistd.h>

namespace quorate::sim {
namespace {

// For a signal handler: nothing but bytes that are there already.
std::array<char, 200> run_text{};
std::atomic<uint64_t> run_step{0};

void say(const char* text, std::size_t size) {
    const auto written = ::write(STDOUT_FILENO, text, size);
    (void)written;
}

extern "C" void say_which_run(int signal) {
    std::array<char, 24> digits{};
    std::size_t at = digits.size();
    uint64_t step = run_step.load(std::memory_order_relaxed);
    do {
        digits[--at] = static_cast<char>('0' + step % 10);
        step /= 10;
    } while (step > 0);
    say(run_text.data(), std::strlen(run_text.data()));
    say(", step ", 7);
    say(digits.data() + at, digits.size() - at);
    constexpr char kWhat[] = ": an assertion failed\n";
    say(kWhat, sizeof(kWhat) - 1);
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

}  // namespace

LastWords::LastWords() {
    std::signal(SIGABRT, say_which_run);
}

LastWords::~LastWords() {
    std::signal(SIGABRT, SIG_DFL);
}

void LastWords::begin(std::string_view run) {
    const std::size_t size = std::min(run.size(), run_text.size() - 1);
    run_step.store(0, std::memory_order_relaxed);
    std::memcpy(run_text.data(), run.data(), size);
    run_text[size] = '\0';
}

void set_step(uint64_t step) {
    run_step.store(step, std::memory_order_relaxed);
}

}  // namespace quorate::sim
