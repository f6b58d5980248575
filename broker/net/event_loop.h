// The loop of a front-end thread: a libuv loop with the few things of it that we use.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "proto/base/environment.h"
#include "proto/base/ids.h"

namespace quorate::broker {

class ConnectionSet;
class EventLoop;

// What a loop calls, always by whoever holds its turn (see turn.h): its own thread, and for on_mail
// and the before_poll that follows it also the thread of another loop. One turn of the loop is:
//
//   timers, on_tick -> gathered input -> on_mail, before_poll -> flush -> [wait] -> on_bytes...,
//   on_wakeup -> on_mail, after_poll -> flush
//
// where `flush` writes the output of all connections that have some (one write each) and then calls
// on_closed of those that ended.
class LoopHooks {
  public:
    virtual ~LoopHooks() = default;
    // At least once after one or more wakeup() calls, on the loop's own thread.
    virtual void on_wakeup() {}
    // Mail was announced since the last call: take all of it. What it leads to must not need the
    // loop's own thread: no timers, no listeners; connections may be written, closed, aborted.
    virtual void on_mail() {}
    // Last chance before the loop may sleep; output made here is still written before.
    virtual void before_poll() {}
    // Everything that was ready has been read: pass batches on, once a turn.
    virtual void after_poll() {}
    // Every 100 ms or so (later when the loop is busy): keep-alive wheels, rates.
    virtual void on_tick(std::chrono::nanoseconds /*now*/) {}
};

struct EventLoopOptions {
    std::size_t read_buffer_bytes = 65'536;       // one per loop; the most one read can return
    std::size_t chunk_pool_bytes_max = 8U << 20;  // unused output chunks kept for reuse
    std::size_t output_low_water_bytes = 65'536;  // see ConnectionHandler::on_writable
    std::size_t input_bytes_max = (256U << 20) + 131'072;   // unconsumed input of one connection
    std::chrono::milliseconds write_stall_timeout{30'000};  // see on_write_stalled
    std::chrono::milliseconds close_timeout{5'000};  // flush and linger of a closing connection
    uint32_t handshakes_per_turn = 4;    // TLS handshake steps a turn: others wait for the next one
    uint32_t handshakes_open_max = 500;  // TLS listeners of this loop pause accepting above it
};

// How busy a loop is. `busy` counts time outside the poll; the longest turn is how late a ready
// socket was served at worst.
struct LoopTimes {
    std::chrono::nanoseconds busy{0};          // since the loop was made
    std::chrono::nanoseconds longest_turn{0};  // since the last take_times()
    uint64_t turns = 0;                        // since the loop was made
    uint64_t borrowed = 0;                     // of them, by another loop's thread
};

// One thread's loop.
//
// Thread: made, run and destroyed by one thread (it may be made by another before run());
// wakeup(), mail(), stop() and last_turn() from any. Owner: the program; outlives its listeners,
// timers and hooks' users. Errors: a loop that cannot be made is out of descriptors: fatal.
class EventLoop {
  public:
    EventLoop(LoopId id, const Clock& clock, EventLoopOptions options = {});
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // Requires: before run(). `hooks` outlives the loop; null: none.
    void set_hooks(LoopHooks* hooks);
    // Thread: the loop's, or before run(). For what connections and listeners do from now on.
    void set_limits(std::chrono::milliseconds write_stall_timeout, uint32_t handshakes_open_max);

    // Runs until stop(). All connections are closed (EndCause::LoopStopped) before it returns.
    void run();
    // One turn without waiting longer than `wait`: for tests and for a simulated start.
    void run_once(std::chrono::milliseconds wait);
    void stop() noexcept;
    // Makes on_wakeup() run soon. Several calls may become one. Thread: any.
    void wakeup() noexcept;

    // Makes on_mail() run soon: at once or at the end of the turn when the loop is awake, else by
    // waking it. Thread: any.
    void mail() noexcept;
    // The same, said by who holds the turn of `from`: when this loop sleeps and `from` has little
    // else to do, the thread of `from` does this loop's work itself at the end of its turn.
    void mail(EventLoop& from) noexcept;

    // Time at which this turn began (Clock::now()), the same for all that happens in it.
    [[nodiscard]] std::chrono::nanoseconds now() const;
    [[nodiscard]] LoopId id() const;
    [[nodiscard]] const EventLoopOptions& options() const;
    // Connections of this loop; for Listener and Connection.
    [[nodiscard]] ConnectionSet& connections();

    // Resets `longest_turn`.
    [[nodiscard]] LoopTimes take_times();
    // Thread: any. When the last turn began: a watchdog sees a loop that stands still, since the
    // tick turns an idle one every 100 ms.
    [[nodiscard]] std::chrono::nanoseconds last_turn() const noexcept;

    struct Impl;  // libuv
    [[nodiscard]] Impl& impl() { return *impl_; }

  private:
    std::unique_ptr<Impl> impl_;
};

// A timer of a loop. Thread: the loop's. Owner: anyone; destroying it stops it, and the libuv
// handle is freed by its close callback.
class Timer {
  public:
    Timer(EventLoop& loop, std::function<void()> on_fire);
    ~Timer();
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    // Restarts it. `repeat` zero: fires once.
    void start(std::chrono::milliseconds delay,
               std::chrono::milliseconds repeat = std::chrono::milliseconds{0});
    void stop();

  private:
    struct Impl;
    Impl* impl_;  // owned until its close callback, which outlives this object
};

// Watches a descriptor that it does not own. Thread: the loop's. Owner: Connection, Listener.
class PollHandle {
  public:
    // kError comes with the other two; nothing is watched any more until the next watch().
    enum Events : unsigned { kNone = 0, kReadable = 1, kWritable = 2, kError = 4 };
    class Target {
      public:
        virtual void on_events(unsigned events) = 0;

      protected:
        ~Target() = default;
    };

    // Requires: `target` outlives this object; the descriptor stays open until close() or after.
    PollHandle(EventLoop& loop, int fd, Target& target);
    ~PollHandle() { close(); }
    PollHandle(const PollHandle&) = delete;
    PollHandle& operator=(const PollHandle&) = delete;

    // Replaces the set of watched events; free when nothing changes.
    void watch(unsigned events);
    // Ends it; the descriptor may be closed afterwards. Idempotent.
    void close();
    // False when libuv refused the descriptor.
    [[nodiscard]] bool valid() const { return impl_ != nullptr; }

  private:
    struct Impl;
    Impl* impl_ = nullptr;  // owned until its close callback, which outlives this object
};

}  // namespace quorate::broker
