#include "broker/net/event_loop.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "proto/base/environment.h"
#include "tests/unit/catch.h"

using namespace std::chrono_literals;
using quorate::LoopId;
using quorate::SystemClock;
using quorate::broker::EventLoop;
using quorate::broker::LoopHooks;
using quorate::broker::Timer;

namespace {

struct Hooks : LoopHooks {
    void on_wakeup() override { called += 'w'; }
    void before_poll() override { called += 'b'; }
    void after_poll() override { called += 'a'; }
    void on_tick(std::chrono::nanoseconds) override { ticks += 1; }
    std::string called;
    int ticks = 0;
};

}  // namespace

TEST_CASE("a turn is before_poll, what was ready, after_poll") {
    SystemClock clock;
    EventLoop loop(LoopId(3), clock);
    Hooks hooks;
    loop.set_hooks(&hooks);
    loop.wakeup();
    loop.wakeup();
    loop.run_once(0ms);
    CHECK(hooks.called == "bwa");
    CHECK(loop.id() == LoopId(3));
}

TEST_CASE("a wake-up and a stop from another thread reach a sleeping loop") {
    SystemClock clock;
    EventLoop loop(LoopId(0), clock);
    std::atomic<int> woken{0};
    struct Counting : LoopHooks {
        explicit Counting(std::atomic<int>& counter) : count(counter) {}
        void on_wakeup() override { count.fetch_add(1); }
        std::atomic<int>& count;
    } hooks(woken);
    loop.set_hooks(&hooks);
    std::thread runner([&] { loop.run(); });
    for (int i = 1; i <= 3; ++i) {
        int before = woken.load();
        loop.wakeup();
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (woken.load() == before && std::chrono::steady_clock::now() < deadline)
            std::this_thread::yield();
    }
    loop.stop();
    runner.join();
    CHECK(woken.load() >= 3);
}

TEST_CASE("stopping before running is not lost") {
    SystemClock clock;
    EventLoop loop(LoopId(0), clock);
    loop.stop();
    loop.run();
}

TEST_CASE("a timer fires once, or again and again, and not after it was stopped") {
    SystemClock clock;
    EventLoop loop(LoopId(0), clock);
    int once = 0;
    int repeated = 0;
    int never = 0;
    Timer first(loop, [&] { once += 1; });
    Timer second(loop, [&] { repeated += 1; });
    Timer third(loop, [&] { never += 1; });
    first.start(1ms);
    second.start(1ms, 1ms);
    third.start(1ms);
    third.stop();
    auto deadline = std::chrono::steady_clock::now() + 10s;
    while (repeated < 5 && std::chrono::steady_clock::now() < deadline)
        loop.run_once(10ms);
    CHECK(repeated >= 5);
    CHECK(once == 1);
    CHECK(never == 0);
}

TEST_CASE("a timer may be destroyed by what it calls") {
    SystemClock clock;
    EventLoop loop(LoopId(0), clock);
    std::unique_ptr<Timer> timer;
    bool fired = false;
    timer = std::make_unique<Timer>(loop, [&] {
        timer.reset();
        fired = true;
    });
    timer->start(1ms);
    auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!fired && std::chrono::steady_clock::now() < deadline)
        loop.run_once(10ms);
    CHECK(fired);
    CHECK(timer == nullptr);
}

TEST_CASE("the tick turns an idle loop, so that a watchdog sees it alive") {
    SystemClock clock;
    EventLoop loop(LoopId(0), clock);
    Hooks hooks;
    loop.set_hooks(&hooks);
    auto began = loop.last_turn();
    auto deadline = std::chrono::steady_clock::now() + 10s;
    while (hooks.ticks < 2 && std::chrono::steady_clock::now() < deadline)
        loop.run_once(1s);
    CHECK(hooks.ticks >= 2);
    CHECK(loop.last_turn() - began >= 150ms);
    CHECK(loop.take_times().turns >= 2);
}

TEST_CASE("busy time and the longest turn are measured") {
    SystemClock clock;
    EventLoop loop(LoopId(0), clock);
    struct Busy : LoopHooks {
        explicit Busy(const SystemClock& c) : clock(c) {}
        void on_wakeup() override {
            auto end = clock.now() + 20ms;
            while (clock.now() < end) {
            }
        }
        const SystemClock& clock;
    } hooks(clock);
    loop.set_hooks(&hooks);
    loop.wakeup();
    loop.run_once(0ms);
    loop.run_once(0ms);
    auto times = loop.take_times();
    CHECK(times.busy >= 20ms);
    CHECK(times.longest_turn >= 20ms);
    CHECK(loop.take_times().longest_turn == 0ns);
}
