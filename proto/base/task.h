// A move-only callable without arguments, for work that is posted to another thread.
//
// std::function cannot hold a callable that owns a unique_ptr or a SharedBytes it moved in; this
// can. Callables of at most 64 bytes that move without throwing are kept inside, larger ones on the
// heap. *Thread*: a value; whoever holds it. *Errors*: the callable must not throw.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include "proto/base/assert.h"

namespace quorate {

class Task {
  public:
    Task() = default;

    template <typename F>
        requires(!std::is_same_v<std::decay_t<F>, Task> && std::is_invocable_v<std::decay_t<F>&>)
    Task(F&& callable) {  // NOLINT(google-explicit-constructor): a lambda is a task
        using Callable = std::decay_t<F>;
        if constexpr (fits<Callable>) {
            emplace(Callable(std::forward<F>(callable)));
        } else {
            emplace([held = std::make_unique<Callable>(std::forward<F>(callable))] { (*held)(); });
        }
    }

    Task(Task&& other) noexcept { take(other); }
    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            reset();
            take(other);
        }
        return *this;
    }
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    ~Task() { reset(); }

    explicit operator bool() const { return operations_ != nullptr; }

    // Requires: the task is not empty. May be called more than once.
    void operator()() {
        ASSERT(operations_ != nullptr, "an empty task was run");
        operations_->call(storage_);
    }

  private:
    static constexpr std::size_t kInlineBytes = 64;

    struct Operations {
        void (*call)(void*);
        void (*move)(void* from, void* to) noexcept;  // leaves nothing to destroy at `from`
        void (*destroy)(void*) noexcept;
    };

    template <typename Callable>
    static constexpr bool fits =
        sizeof(Callable) <= kInlineBytes && alignof(Callable) <= alignof(std::max_align_t) &&
        std::is_nothrow_move_constructible_v<Callable>;

    template <typename Callable>
    static constexpr Operations kOperations = {
        [](void* at) { (*static_cast<Callable*>(at))(); },
        [](void* from, void* to) noexcept {
            auto* source = static_cast<Callable*>(from);
            std::construct_at(static_cast<Callable*>(to), std::move(*source));
            std::destroy_at(source);
        },
        [](void* at) noexcept { std::destroy_at(static_cast<Callable*>(at)); },
    };

    template <typename Callable>
    void emplace(Callable callable) {
        static_assert(fits<Callable>);
        std::construct_at(reinterpret_cast<Callable*>(storage_), std::move(callable));
        operations_ = &kOperations<Callable>;
    }
    void take(Task& other) noexcept {
        operations_ = std::exchange(other.operations_, nullptr);
        if (operations_ != nullptr) operations_->move(other.storage_, storage_);
    }
    void reset() noexcept {
        if (operations_ != nullptr) std::exchange(operations_, nullptr)->destroy(storage_);
    }

    const Operations* operations_ = nullptr;
    alignas(std::max_align_t) std::byte storage_[kInlineBytes];
};

}  // namespace quorate
