#include "broker/net/turn.h"

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <sys/socket.h>

#include "broker/net/event_loop.h"
#include "broker/net/stages/transport_stack.h"
#include "proto/base/mailbox.h"
#include "tests/unit/catch.h"
#include "tests/unit/net/support.h"

using namespace std::chrono_literals;
using namespace quorate::broker;
using namespace quorate::broker::test;
using quorate::as_bytes;
using quorate::LoopId;
using quorate::Mailbox;
using quorate::SystemClock;

namespace {

struct Hooks : LoopHooks {
    std::function<void()> wakeup = [] {};
    std::function<void()> mail = [] {};
    void on_wakeup() override { wakeup(); }
    void on_mail() override { mail(); }
};

// A loop on a thread of its own.
struct Running {
    explicit Running(uint16_t id) : loop(LoopId(id), clock) { loop.set_hooks(&hooks); }
    ~Running() { stop(); }
    void start() {
        thread = std::thread([this] { loop.run(); });
    }
    void stop() {
        if (!thread.joinable()) return;
        loop.stop();
        thread.join();
    }

    SystemClock clock;
    Hooks hooks;
    EventLoop loop;
    std::thread thread;
};

// Turns `loop` until `done`, at most ten seconds.
bool until(EventLoop& loop, const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!done()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        loop.run_once(1ms);
    }
    return true;
}

}  // namespace

TEST_CASE("a turn is given back only when no mail waits") {
    Turn turn;
    CHECK_FALSE(turn.announce());
    CHECK_FALSE(turn.release());
    CHECK(turn.take_mail());
    CHECK_FALSE(turn.take_mail());
    CHECK(turn.release());
}

TEST_CASE("the first to announce mail to a free turn has to look after it") {
    Turn turn;
    REQUIRE(turn.release());
    CHECK_FALSE(turn.take_with_mail());
    CHECK(turn.announce());
    CHECK_FALSE(turn.announce());
    CHECK(turn.take_with_mail());
    CHECK_FALSE(turn.take_with_mail());
    CHECK_FALSE(turn.announce());
    CHECK(turn.release_with_mail());
    turn.take();
    CHECK(turn.take_mail());
}

TEST_CASE("a loop's thread waits until a borrowed turn is given back") {
    Turn turn;
    int guarded = 0;
    REQUIRE(turn.release());
    REQUIRE(turn.announce());
    REQUIRE(turn.take_with_mail());
    std::thread owner([&] {
        turn.take();
        guarded += 1;
    });
    guarded += 1;
    CHECK(guarded == 1);
    CHECK_FALSE(turn.release_with_mail());
    owner.join();
    CHECK(guarded == 2);
}

TEST_CASE("mail for a sleeping loop is handled by the loop that brings it") {
    Running sleeper(1);
    std::atomic<std::thread::id> handled{};
    sleeper.hooks.mail = [&] { handled.store(std::this_thread::get_id()); };
    sleeper.start();
    SystemClock clock;
    EventLoop bringer(LoopId(0), clock);
    Hooks hooks;
    bringer.set_hooks(&hooks);
    hooks.wakeup = [&] { sleeper.loop.mail(bringer); };
    // The sleeper may be awake at the first attempts, for its tick or to begin.
    CHECK(until(bringer, [&] {
        bringer.wakeup();
        return handled.load() == std::this_thread::get_id();
    }));
    sleeper.stop();
    CHECK(sleeper.loop.take_times().borrowed >= 1);
}

TEST_CASE("mail for a loop that is awake is handled by its own thread") {
    Running awake(1);
    std::atomic<bool> busy{false};
    std::atomic<bool> go_on{false};
    std::atomic<std::thread::id> handled{};
    awake.hooks.wakeup = [&] {
        busy.store(true);
        busy.notify_one();
        go_on.wait(false);
    };
    awake.hooks.mail = [&] { handled.store(std::this_thread::get_id()); };
    awake.start();
    awake.loop.wakeup();
    busy.wait(false);

    SystemClock clock;
    EventLoop bringer(LoopId(0), clock);
    Hooks hooks;
    bringer.set_hooks(&hooks);
    hooks.wakeup = [&] { awake.loop.mail(bringer); };
    bringer.wakeup();
    for (int i = 0; i < 5; ++i)
        bringer.run_once(0ms);
    CHECK(handled.load() == std::thread::id{});
    const std::thread::id own = awake.thread.get_id();
    go_on.store(true);
    go_on.notify_one();
    CHECK(until(bringer, [&] { return handled.load() == own; }));
    awake.stop();  // before what its hooks refer to ends
}

TEST_CASE("a borrowed turn writes, and leaves the end of a connection to the loop's thread") {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    Client client{UniqueFd(ends[1])};
    Running sleeper(1);
    Recorder handler;
    std::atomic<std::thread::id> ended{};
    std::atomic<bool> open{false};
    handler.closed = [&](Connection&) { ended.store(std::this_thread::get_id()); };
    sleeper.hooks.wakeup = [&] {
        if (open.exchange(true)) return;
        Connection::Origin origin;
        origin.socket = UniqueFd(ends[0]);
        sleeper.loop.connections().add(std::move(origin), handler);
    };
    const std::thread::id bringer_thread = std::this_thread::get_id();
    std::atomic<bool> end{false};
    std::atomic<int> borrowed{0};
    sleeper.hooks.mail = [&] {
        if (std::this_thread::get_id() != bringer_thread) return;
        borrowed += 1;
        if (end) {
            handler.connection().abort();
        } else {
            handler.connection().append(as_bytes("hello"));
        }
    };
    sleeper.start();
    const std::thread::id own = sleeper.thread.get_id();
    sleeper.loop.wakeup();

    SystemClock clock;
    EventLoop bringer(LoopId(0), clock);
    Hooks hooks;
    bringer.set_hooks(&hooks);
    hooks.wakeup = [&] { sleeper.loop.mail(bringer); };
    REQUIRE(until(bringer, [&] { return open.load(); }));
    CHECK(until(bringer, [&] {
        bringer.wakeup();
        return borrowed > 0 && client.receive() && client.received().starts_with("hello");
    }));
    end = true;
    CHECK(until(bringer, [&] {
        if (ended.load() == std::thread::id{}) bringer.wakeup();
        return ended.load() != std::thread::id{};
    }));
    CHECK(ended.load() == own);
    sleeper.stop();  // as above
}

TEST_CASE("mail between busy and sleeping loops is neither lost nor handled by two at once") {
    constexpr std::size_t kLoops = 3;
    constexpr int kHops = 30'000;
    struct Station {
        Running running;
        Mailbox<int> box{SIZE_MAX, [] {}};
        std::vector<int> taken;
        uint64_t handled = 0;  // guarded by the loop's turn alone
        explicit Station(uint16_t id) : running(id) {}
    };
    std::vector<std::unique_ptr<Station>> stations;
    for (uint16_t i = 0; i < kLoops; ++i)
        stations.push_back(std::make_unique<Station>(i));
    std::atomic<int> finished{0};
    for (std::size_t i = 0; i < kLoops; ++i) {
        Station& here = *stations[i];
        here.running.hooks.mail = [&, i] {
            here.box.take(here.taken);
            for (const int hops : here.taken) {
                here.handled += 1;
                if (hops == 0) {
                    finished += 1;
                    finished.notify_one();
                    continue;
                }
                const std::size_t step = 1 + static_cast<std::size_t>(hops) % (kLoops - 1);
                Station& next = *stations[(i + step) % kLoops];
                next.box.push_reserved(hops - 1);
                next.running.loop.mail(here.running.loop);
            }
            here.taken.clear();
        };
    }
    for (auto& station : stations)
        station->running.start();
    for (auto& station : stations) {
        station->box.push_reserved(kHops);
        station->running.loop.mail();
    }
    for (int done = finished; done < static_cast<int>(kLoops); done = finished)
        finished.wait(done);
    uint64_t handled = 0;
    for (auto& station : stations)
        station->running.stop();
    for (auto& station : stations)
        handled += station->handled;
    CHECK(handled == kLoops * (kHops + 1));
}
