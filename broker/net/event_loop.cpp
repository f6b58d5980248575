#include "broker/net/event_loop.h"

#include <atomic>
#include <utility>

#include <uv.h>

#include "broker/net/connection_set.h"
#include "proto/base/assert.h"

namespace quorate::broker {

namespace {

constexpr uint64_t kTickMilliseconds = 100;
constexpr std::size_t kIdlePoolBytes = 256U << 10;

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
        if (in_turn) return;
        in_turn = true;
        now = clock.now();
        last_turn.store(now.count(), std::memory_order_relaxed);
        connections->start_turn();
    }
    void end_turn() {
        std::chrono::nanoseconds took = clock.now() - now;
        times.busy += took;
        if (took > times.longest_turn) times.longest_turn = took;
        times.turns += 1;
        in_turn = false;
    }

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
    std::unique_ptr<ConnectionSet> connections;
    std::chrono::nanoseconds now;
    std::chrono::nanoseconds last_trim{0};
    LoopTimes times;
    bool in_turn = false;
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
    impl.begin_turn();
    if (impl.hooks != nullptr) impl.hooks->before_poll();
    // What is still left would wait for the next event otherwise.
    if (!impl.connections->flush()) uv_async_send(&impl.wake);
    impl.end_turn();
}

void EventLoop::Impl::on_check(uv_check_t* handle) noexcept {
    Impl& impl = of(handle->data);
    impl.begin_turn();
    if (impl.hooks != nullptr) impl.hooks->after_poll();
    static_cast<void>(impl.connections->flush());  // on_prepare takes what is left
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
                                as_handle(&tick), as_handle(&wait)}) {
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

void EventLoop::run() {
    if (!impl_->stopping.load(std::memory_order_acquire)) uv_run(&impl_->loop, UV_RUN_DEFAULT);
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
    uv_async_send(&impl_->wake);
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
    auto impl = std::make_unique<Impl>();
    impl->loop = &loop;
    impl->on_fire = std::move(on_fire);
    check_uv(uv_timer_init(&loop.impl().loop, &impl->handle), "uv_timer_init");
    impl->handle.data = impl.get();
    impl_ = impl.release();
}

Timer::~Timer() {
    uv_close(as_handle(&impl_->handle), Impl::closed);
}

void Timer::start(std::chrono::milliseconds delay, std::chrono::milliseconds repeat) {
    uv_update_time(impl_->handle.loop);
    uv_timer_start(&impl_->handle, Impl::fired, static_cast<uint64_t>(delay.count()),
                   static_cast<uint64_t>(repeat.count()));
}

void Timer::stop() {
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
    auto impl = std::make_unique<Impl>();
    impl->loop = &loop.impl();
    impl->target = &target;
    if (uv_poll_init(&loop.impl().loop, &impl->handle, fd) != 0) return;
    impl->handle.data = impl.get();
    impl_ = impl.release();
}

void PollHandle::watch(unsigned events) {
    if (impl_ == nullptr || impl_->events == events) return;
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
    if (impl != nullptr) uv_close(as_handle(&impl->handle), Impl::closed);
}

}  // namespace quorate::broker
