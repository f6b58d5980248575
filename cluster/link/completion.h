// The link thread's completion queue, and the doors into it from other threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "proto/base/task.h"

namespace grpc {
class ServerCompletionQueue;
}  // namespace grpc

namespace quorate::link {

// What gRPC operations report to. Thread: the link thread.
class Completion {
  public:
    virtual ~Completion() = default;
    // `kind` is the owner's own number for the operation; `ok` is gRPC's.
    virtual void on_completion(uint8_t kind, bool ok) noexcept = 0;
};

// One operation that is open at most once at a time: its address is the tag gRPC hands back. Its
// owner must live until it is closed.
class Operation {
  public:
    Operation(Completion& owner, uint8_t kind) : owner_(owner), kind_(kind) {}
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;

    // Marks it as open and gives the tag. Requires: not open.
    [[nodiscard]] void* tag();
    [[nodiscard]] bool open() const { return open_; }
    void complete(bool ok) noexcept;

  private:
    Completion& owner_;
    const uint8_t kind_;
    bool open_ = false;
};

// A door to the link thread that may outlive it: copies count, and once the thread has ended wake()
// and post() do nothing. Thread: any.
class LoopDoor {
  public:
    LoopDoor() = default;
    LoopDoor(const LoopDoor& other) noexcept;
    LoopDoor(LoopDoor&& other) noexcept;
    LoopDoor& operator=(LoopDoor other) noexcept;
    ~LoopDoor();

    // The loop will call its wake function soon. Cheap when one is already on its way.
    void wake() const;
    // Runs the task on the link thread. False, and the task not run, when 4,096 wait already or the
    // thread has ended.
    [[nodiscard]] bool post(Task task) const;
    // The same without the bound, for tasks whose number is bounded by what asked for them.
    void post_reserved(Task task) const;

  private:
    friend class CompletionLoop;
    struct Room;
    explicit LoopDoor(Room* room) : room_(room) {}
    bool push(Task&& task, bool reserved) const;
    Room* room_ = nullptr;
};

// One thread's loop over one completion queue, for both servers and clients.
//
// *Thread*: run() is the link thread; door() and its copies any. *Owner*: LinkHost.
// An alarm in the past is what wakes gRPC's queue; one is armed at a time.
class CompletionLoop {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    struct Hooks {
        // After an alarm and after every round of tasks: something may have been offered.
        std::function<void()> on_wake;
        // When the time of schedule() has come.
        std::function<void(TimePoint)> on_time;
        // After every event, last: the place to destroy what has ended.
        std::function<void()> on_turn_end;
    };

    explicit CompletionLoop(std::unique_ptr<grpc::ServerCompletionQueue> queue);
    ~CompletionLoop();
    CompletionLoop(const CompletionLoop&) = delete;
    CompletionLoop& operator=(const CompletionLoop&) = delete;

    [[nodiscard]] grpc::ServerCompletionQueue& queue();
    [[nodiscard]] const LoopDoor& door() const { return door_; }

    // Until finish() was called and all operations have completed.
    void run(Hooks hooks) noexcept;
    // Link thread. Requires: no operation will be started any more.
    void finish();
    // Link thread: on_time is called at or soon after `at`, if no earlier call is due.
    void schedule(TimePoint at);

  private:
    struct Impl;
    void run_tasks();
    LoopDoor door_;
    std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::link
