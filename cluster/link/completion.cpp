#include "cluster/link/completion.h"

#include <mutex>
#include <utility>
#include <vector>

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include "proto/base/assert.h"

namespace quorate::link {

namespace {

constexpr std::size_t kTasksMax = 4096;

}  // namespace

void* Operation::tag() {
    ASSERT(!open_, "an operation is open once");
    open_ = true;
    return this;
}

void Operation::complete(bool ok) noexcept {
    open_ = false;
    owner_.on_completion(kind_, ok);
}

// The alarm's tag is null, so that the loop knows it from an Operation.
struct LoopDoor::Room {
    std::atomic<uint32_t> holders{1};
    std::atomic<bool> armed{false};
    std::mutex mutex;  // guards the rest
    grpc::ServerCompletionQueue* queue = nullptr;
    std::unique_ptr<grpc::Alarm> alarm = std::make_unique<grpc::Alarm>();
    std::vector<Task> tasks;

    // Requires: the mutex is held.
    void arm() {
        if (queue == nullptr || armed.exchange(true)) return;
        alarm->Set(queue, gpr_time_0(GPR_CLOCK_MONOTONIC), nullptr);
    }
};

LoopDoor::LoopDoor(const LoopDoor& other) noexcept : room_(other.room_) {
    if (room_ != nullptr) room_->holders.fetch_add(1, std::memory_order_relaxed);
}
LoopDoor::LoopDoor(LoopDoor&& other) noexcept : room_(std::exchange(other.room_, nullptr)) {}
LoopDoor& LoopDoor::operator=(LoopDoor other) noexcept {
    std::swap(room_, other.room_);
    return *this;
}
LoopDoor::~LoopDoor() {
    if (room_ != nullptr && room_->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::unique_ptr<Room>{room_}.reset();
    }
}

void LoopDoor::wake() const {
    if (room_ == nullptr || room_->armed.load()) return;
    const std::lock_guard lock(room_->mutex);
    room_->arm();
}

bool LoopDoor::push(Task&& task, bool reserved) const {
    if (room_ == nullptr) return false;
    const std::lock_guard lock(room_->mutex);
    if (room_->queue == nullptr) return false;
    if (!reserved && room_->tasks.size() >= kTasksMax) return false;
    room_->tasks.push_back(std::move(task));
    room_->arm();
    return true;
}

bool LoopDoor::post(Task task) const {
    return push(std::move(task), false);
}
void LoopDoor::post_reserved(Task task) const {
    (void)push(std::move(task), true);
}

struct CompletionLoop::Impl {
    std::unique_ptr<grpc::ServerCompletionQueue> queue;
    Hooks hooks{};
    TimePoint next_time = TimePoint::max();
    bool finishing = false;
    std::vector<Task> tasks{};
};

CompletionLoop::CompletionLoop(std::unique_ptr<grpc::ServerCompletionQueue> queue)
    : impl_(std::make_unique<Impl>()) {
    impl_->queue = std::move(queue);
    auto room = std::make_unique<LoopDoor::Room>();
    room->queue = impl_->queue.get();
    door_ = LoopDoor(room.release());
}

CompletionLoop::~CompletionLoop() {
    // Nothing is left in it unless it never ran, after a start that failed; gRPC wants it drained.
    finish();
    void* tag = nullptr;
    bool ok = false;
    while (impl_->queue->Next(&tag, &ok)) {
    }
    // Doors may live on; what belongs to gRPC must not.
    const std::lock_guard lock(door_.room_->mutex);
    door_.room_->alarm.reset();
}

grpc::ServerCompletionQueue& CompletionLoop::queue() {
    return *impl_->queue;
}

void CompletionLoop::schedule(TimePoint at) {
    if (at < impl_->next_time) impl_->next_time = at;
}

void CompletionLoop::finish() {
    if (std::exchange(impl_->finishing, true)) return;
    std::vector<Task> late;
    {
        const std::lock_guard lock(door_.room_->mutex);
        door_.room_->queue = nullptr;
        late.swap(door_.room_->tasks);
        door_.room_->alarm->Cancel();
    }
    // What was posted last must not be forgotten: somebody may wait for it.
    for (Task& task : late)
        task();
    impl_->queue->Shutdown();
}

void CompletionLoop::run_tasks() {
    {
        const std::lock_guard lock(door_.room_->mutex);
        impl_->tasks.swap(door_.room_->tasks);
    }
    for (Task& task : impl_->tasks)
        task();
    impl_->tasks.clear();
}

void CompletionLoop::run(Hooks hooks) noexcept {
    impl_->hooks = std::move(hooks);
    for (;;) {
        void* tag = nullptr;
        bool ok = false;
        const TimePoint until = impl_->next_time;
        grpc::CompletionQueue::NextStatus status = grpc::CompletionQueue::GOT_EVENT;
        if (impl_->finishing || until == TimePoint::max()) {
            if (!impl_->queue->Next(&tag, &ok)) return;
        } else {
            // gRPC takes wall-clock deadlines; how far away it is is what counts.
            const auto wait = until - std::chrono::steady_clock::now();
            const auto deadline =
                std::chrono::system_clock::now() +
                std::chrono::duration_cast<std::chrono::system_clock::duration>(wait);
            status = impl_->queue->AsyncNext(&tag, &ok, deadline);
        }
        if (status == grpc::CompletionQueue::SHUTDOWN) return;
        if (status == grpc::CompletionQueue::GOT_EVENT) {
            if (tag != nullptr) {
                static_cast<Operation*>(tag)->complete(ok);
            } else {
                door_.room_->armed.store(false);
                run_tasks();
                if (!impl_->finishing) impl_->hooks.on_wake();
            }
        }
        const TimePoint now = std::chrono::steady_clock::now();
        if (now >= impl_->next_time && !impl_->finishing) {
            impl_->next_time = TimePoint::max();
            impl_->hooks.on_time(now);
        }
        impl_->hooks.on_turn_end();
    }
}

}  // namespace quorate::link
