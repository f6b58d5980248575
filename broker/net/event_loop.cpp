// Long, because everything that touches libuv is here.
#include "broker/net/event_loop.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include <uv.h>

#include "broker/net/connection_set.h"
#include "broker/net/turn.h"
#include "proto/base/assert.h"

namespace quorate::broker {

namespace {

constexpr uint64_t kTickMilliseconds = 100;
constexpr std::size_t kIdlePoolBytes = 256U << 10;
// Mail that answers mail is followed so often before the loop looks at its sockets again.
constexpr int kMailRounds = 3;
// A loop with more ready sockets than this in a turn has enough to do: it wakes the others.
constexpr uint32_t kEventsOfIdleTurn = 4;
// Who works so long for another loop has taken over too much: the other works itself for a while.
constexpr std::chrono::nanoseconds kBorrowedTurnMax = std::chrono::microseconds(100);
constexpr std::chrono::nanoseconds kBorrowPause = std::chrono::milliseconds(10);

void check_uv(int result, const char* what) {
    if (result != 0) QUORATE_FATAL(what);
}

template <typename Handle>
uv_handle_t* as_handle(Handle* handle) {
    return reinterpret_cast<uv_handle_t*>(handle);
}

}  // namespace

struct EventLoop::Impl {
    Impl(LoopId loop_id, const Clock& clock_in, EventLoopOptions options_in)
        : id(loop_id), clock(clock_in), options(options_in), now(clock_in.now()) {
        last_turn.store(now.count(), std::memory_order_relaxed);
    }

    // Called by every callback of libuv: the first one after the poll is the beginning of a turn.
    void begin_turn() {
        settled = false;
        if (in_turn) return;
        in_turn = true;
        if (!holds_turn) turn.take();
        holds_turn = true;
        events = 0;
        now = clock.now();
        last_turn.store(now.count(), std::memory_order_relaxed);
        connections->start_turn();
    }
    std::chrono::nanoseconds account() {
        const std::chrono::nanoseconds end = clock.now();
        const std::chrono::nanoseconds took = end - now;
        now = end;
        times.busy += took;
        if (took > times.longest_turn) times.longest_turn = took;
        times.turns += 1;
        return took;
    }
    void take_mail() {
        if (turn.take_mail() && hooks != nullptr) hooks->on_mail();
    }
    // Everything that can be done before the loop sleeps; false when output is left over.
    bool settle() {
        settled = false;
        take_mail();
        if (hooks != nullptr) hooks->before_poll();
        const bool done = connections->flush();
        run_errands();
        return done;
    }
    void wake_owner() { uv_async_send(&wake); }
    // Before each call of libuv but uv_async_send.
    void check_own_thread() const {
        DASSERT(!borrowed, "libuv's handles belong to the loop's own thread");
    }
    void announce_from(Impl& from);
    void run_errands();
    void poll_without_wait(bool without);
    // On the thread of another loop, which has taken the turn and the mail.
    void run_borrowed();

    static Impl& of(void* data) { return *static_cast<Impl*>(data); }
    static void on_wake(uv_async_t* handle) noexcept;
    static void on_prepare(uv_prepare_t* handle) noexcept;
    static void on_check(uv_check_t* handle) noexcept;
    static void on_tick(uv_timer_t* handle) noexcept;
    void open();
    void close();

    LoopId id;
    const Clock& clock;
    EventLoopOptions options;
    LoopHooks* hooks = nullptr;
    uv_loop_t loop{};
    uv_async_t wake{};
    uv_prepare_t prepare{};
    uv_check_t check{};
    uv_timer_t tick{};
    uv_timer_t wait{};  // of run_once()
    uv_idle_t spin{};   // while it is active a poll does not wait
    std::unique_ptr<ConnectionSet> connections;
    std::chrono::nanoseconds now;
    std::chrono::nanoseconds last_trim{0};
    LoopTimes times;
    Turn turn;
    bool borrowed = false;                       // the holder of the turn is another loop's thread
    uint32_t events = 0;                         // ready sockets of this turn
    std::vector<Impl*> errands;                  // sleeping loops whose mail is ours to look after
    std::atomic<int64_t> not_borrowed_until{0};  // Clock::now()
    // Of the loop's own thread, whoever holds the turn:
    bool in_turn = false;
    bool settled = false;  // nothing has happened since the end of on_check
    bool holds_turn = true;
    bool spinning = false;
    std::atomic<bool> stopping{false};
    std::atomic<int64_t> last_turn{0};
};

void EventLoop::Impl::on_wake(uv_async_t* handle) noexcept {
    Impl& impl = of(handle->data);
    impl.begin_turn();
    if (impl.stopping.load(std::memory_order_acquire)) uv_stop(&impl.loop);
    if (impl.hooks != nullptr) impl.hooks->on_wakeup();
}

void EventLoop::Impl::on_prepare(uv_prepare_t* handle) noexcept {
    Impl& impl = of(handle->data);
    bool settled = impl.settled;
    impl.begin_turn();
    if (impl.connections->read_due()) settled = false;
    if (settled) impl.run_errands();
    bool sleeps = false;
    for (int round = 0; round < kMailRounds && !sleeps; ++round) {
        // Output left over would wait for the next event otherwise.
        const bool done = (settled && round == 0) || impl.settle();
        impl.account();
        if (!done || impl.connections->has_due()) break;
        sleeps = impl.turn.release();
    }
    // A borrower touches nothing of what follows.
    impl.holds_turn = !sleeps;
    impl.in_turn = false;
    impl.poll_without_wait(!sleeps);
}

void EventLoop::Impl::poll_without_wait(bool without) {
    if (without == spinning) return;
    spinning = without;
    if (without) {
        uv_idle_start(&spin, [](uv_idle_t*) {});
    } else {
        uv_idle_stop(&spin);
    }
}

void EventLoop::Impl::announce_from(Impl& from) {
    if (!turn.announce()) return;
    const bool errand = !from.borrowed && from.events <= kEventsOfIdleTurn &&
                        !from.stopping.load(std::memory_order_relaxed) &&
                        from.now.count() >= not_borrowed_until.load(std::memory_order_relaxed);
    if (errand) {
        from.errands.push_back(this);
    } else {
        wake_owner();
    }
}

void EventLoop::Impl::run_errands() {
    for (Impl* other : errands) {
        // Else it woke up by itself and looks after its mail.
        if (other->turn.take_with_mail()) other->run_borrowed();
    }
    errands.clear();
}

void EventLoop::Impl::run_borrowed() {
    borrowed = true;
    connections->set_borrowed(true);
    now = clock.now();
    last_turn.store(now.count(), std::memory_order_relaxed);
    bool done = true;
    for (int round = 0; round < kMailRounds; ++round) {
        if (hooks != nullptr) {
            hooks->on_mail();
            hooks->before_poll();
        }
        done = connections->flush_borrowed();
        if (!done || !turn.take_mail()) break;
        if (round + 1 == kMailRounds) static_cast<void>(turn.announce());
    }
    times.borrowed += 1;
    if (account() > kBorrowedTurnMax) {
        not_borrowed_until.store((now + kBorrowPause).count(), std::memory_order_relaxed);
    }
    connections->set_borrowed(false);
    borrowed = false;
    if (turn.release_with_mail() || !done) wake_owner();
}

void EventLoop::Impl::on_check(uv_check_t* handle) noexcept {
    Impl& impl = of(handle->data);
    impl.begin_turn();
    impl.take_mail();
    if (impl.hooks != nullptr) impl.hooks->after_poll();
    impl.settled = impl.connections->flush();  // else on_prepare takes what is left
}

void EventLoop::Impl::on_tick(uv_timer_t* handle) noexcept {
    Impl& impl = of(handle->data);
    impl.begin_turn();
    impl.connections->tick(impl.now);
    if (impl.hooks != nullptr) impl.hooks->on_tick(impl.now);
    if (impl.now - impl.last_trim > std::chrono::seconds(10)) {
        impl.last_trim = impl.now;
        impl.connections->pool().trim(kIdlePoolBytes);
    }
}

void EventLoop::Impl::open() {
    check_uv(uv_loop_init(&loop), "no event loop: out of file descriptors");
    check_uv(uv_async_init(&loop, &wake, on_wake), "no event loop: out of file descriptors");
    check_uv(uv_prepare_init(&loop, &prepare), "uv_prepare_init");
    check_uv(uv_check_init(&loop, &check), "uv_check_init");
    check_uv(uv_timer_init(&loop, &tick), "uv_timer_init");
    check_uv(uv_timer_init(&loop, &wait), "uv_timer_init");
    check_uv(uv_idle_init(&loop, &spin), "uv_idle_init");
    wake.data = this;
    prepare.data = this;
    check.data = this;
    tick.data = this;
    check_uv(uv_prepare_start(&prepare, on_prepare), "uv_prepare_start");
    check_uv(uv_check_start(&check, on_check), "uv_check_start");
    check_uv(uv_timer_start(&tick, on_tick, kTickMilliseconds, kTickMilliseconds),
             "uv_timer_start");
}

void EventLoop::Impl::close() {
    for (uv_handle_t* handle : {as_handle(&wake), as_handle(&prepare), as_handle(&check),
                                as_handle(&tick), as_handle(&wait), as_handle(&spin)}) {
        uv_close(handle, nullptr);
    }
    uv_run(&loop, UV_RUN_DEFAULT);  // close callbacks
    check_uv(uv_loop_close(&loop), "a timer or listener outlives its loop");
}

EventLoop::EventLoop(LoopId id, const Clock& clock, EventLoopOptions options)
    : impl_(std::make_unique<Impl>(id, clock, options)) {
    impl_->open();
    impl_->connections = std::make_unique<ConnectionSet>(*this);
}

EventLoop::~EventLoop() {
    impl_->connections.reset();
    impl_->close();
}

void EventLoop::set_hooks(LoopHooks* hooks) {
    impl_->hooks = hooks;
}

void EventLoop::set_limits(std::chrono::milliseconds write_stall_timeout,
                           uint32_t handshakes_open_max) {
    impl_->options.write_stall_timeout = write_stall_timeout;
    impl_->options.handshakes_open_max = handshakes_open_max;
}

void EventLoop::run() {
    if (!impl_->stopping.load(std::memory_order_acquire)) uv_run(&impl_->loop, UV_RUN_DEFAULT);
    ASSERT(impl_->holds_turn, "a loop stops in its own turn");
    impl_->connections->stop();
}

void EventLoop::run_once(std::chrono::milliseconds wait) {
    if (wait.count() <= 0) {
        uv_run(&impl_->loop, UV_RUN_NOWAIT);
        return;
    }
    uv_update_time(&impl_->loop);
    uv_timer_start(
        &impl_->wait, [](uv_timer_t*) {}, static_cast<uint64_t>(wait.count()), 0);
    uv_run(&impl_->loop, UV_RUN_ONCE);
    uv_timer_stop(&impl_->wait);
}

void EventLoop::stop() noexcept {
    impl_->stopping.store(true, std::memory_order_release);
    uv_async_send(&impl_->wake);
}

void EventLoop::wakeup() noexcept {
    impl_->wake_owner();
}

void EventLoop::mail() noexcept {
    if (impl_->turn.announce()) impl_->wake_owner();
}

void EventLoop::mail(EventLoop& from) noexcept {
    impl_->announce_from(*from.impl_);
}

std::chrono::nanoseconds EventLoop::now() const {
    return impl_->now;
}

LoopId EventLoop::id() const {
    return impl_->id;
}

const EventLoopOptions& EventLoop::options() const {
    return impl_->options;
}

ConnectionSet& EventLoop::connections() {
    return *impl_->connections;
}

LoopTimes EventLoop::take_times() {
    LoopTimes times = impl_->times;
    impl_->times.longest_turn = std::chrono::nanoseconds{0};
    return times;
}

std::chrono::nanoseconds EventLoop::last_turn() const noexcept {
    return std::chrono::nanoseconds(impl_->last_turn.load(std::memory_order_relaxed));
}

// A libuv handle lives until its close callback: it is freed there and nowhere else.
struct Timer::Impl {
    uv_timer_t handle{};
    EventLoop* loop = nullptr;
    std::function<void()> on_fire;

    static void fired(uv_timer_t* handle) noexcept {
        auto* impl = static_cast<Impl*>(handle->data);
        impl->loop->impl().begin_turn();
        // A copy, because the callback may destroy the timer.
        std::function<void()> on_fire = impl->on_fire;
        on_fire();
    }
    static void closed(uv_handle_t* handle) noexcept {
        std::unique_ptr<Impl> owned(static_cast<Impl*>(handle->data));
    }
};

Timer::Timer(EventLoop& loop, std::function<void()> on_fire) {
    loop.impl().check_own_thread();
    auto impl = std::make_unique<Impl>();
    impl->loop = &loop;
    impl->on_fire = std::move(on_fire);
    check_uv(uv_timer_init(&loop.impl().loop, &impl->handle), "uv_timer_init");
    impl->handle.data = impl.get();
    impl_ = impl.release();
}

Timer::~Timer() {
    impl_->loop->impl().check_own_thread();
    uv_close(as_handle(&impl_->handle), Impl::closed);
}

void Timer::start(std::chrono::milliseconds delay, std::chrono::milliseconds repeat) {
    impl_->loop->impl().check_own_thread();
    uv_update_time(impl_->handle.loop);
    uv_timer_start(&impl_->handle, Impl::fired, static_cast<uint64_t>(delay.count()),
                   static_cast<uint64_t>(repeat.count()));
}

void Timer::stop() {
    impl_->loop->impl().check_own_thread();
    uv_timer_stop(&impl_->handle);
}

struct PollHandle::Impl {
    uv_poll_t handle{};
    EventLoop::Impl* loop = nullptr;
    Target* target = nullptr;
    unsigned events = kNone;

    static void ready(uv_poll_t* handle, int status, int uv_events) noexcept {
        auto* impl = static_cast<Impl*>(handle->data);
        impl->loop->begin_turn();
        impl->loop->events += 1;
        if (status < 0) {
            // libuv stops a handle that has an error: reading or writing will tell which.
            impl->events = kNone;
            impl->target->on_events(kReadable | kWritable | kError);
            return;
        }
        unsigned events = kNone;
        if ((uv_events & UV_READABLE) != 0) events |= kReadable;
        if ((uv_events & UV_WRITABLE) != 0) events |= kWritable;
        impl->target->on_events(events);
    }
    static void closed(uv_handle_t* handle) noexcept {
        std::unique_ptr<Impl> owned(static_cast<Impl*>(handle->data));
    }
};

PollHandle::PollHandle(EventLoop& loop, int fd, Target& target) {
    loop.impl().check_own_thread();
    auto impl = std::make_unique<Impl>();
    impl->loop = &loop.impl();
    impl->target = &target;
    if (uv_poll_init(&loop.impl().loop, &impl->handle, fd) != 0) return;
    impl->handle.data = impl.get();
    impl_ = impl.release();
}

void PollHandle::watch(unsigned events) {
    if (impl_ == nullptr || impl_->events == events) return;
    impl_->loop->check_own_thread();
    impl_->events = events;
    if (events == kNone) {
        uv_poll_stop(&impl_->handle);
        return;
    }
    int uv_events = ((events & kReadable) != 0 ? UV_READABLE : 0) |
                    ((events & kWritable) != 0 ? UV_WRITABLE : 0);
    check_uv(uv_poll_start(&impl_->handle, uv_events, Impl::ready), "uv_poll_start");
}

void PollHandle::close() {
    Impl* impl = std::exchange(impl_, nullptr);
    if (impl == nullptr) return;
    impl->loop->check_own_thread();
    uv_close(as_handle(&impl->handle), Impl::closed);
}

}  // namespace quorate::broker
