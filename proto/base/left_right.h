// Two copies of a table: readers use one without waiting, the one writer changes the other.
//
// A change is an `Op` that is applied to both copies: first to the one nobody reads; then the
// copies change places; and when the last reader has left the old copy, the same ops are applied
// there. That moment is also the barrier the broker needs: from then on every reader's next pin
// sees the change (`shown`), which is what a SUBACK waits for.
//
// A reader pins once per turn of its loop and unpins before it sleeps; pinning costs two atomic
// accesses and never waits. `Table` must be default constructible, have `void apply(const Op&)`,
// and its const members must be safe for concurrent readers.
//
// Thread: each Reader belongs to one thread; `stage`, `publish` and `reclaim` to the one writer.
// Owner: the writer; it must outlive the readers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "proto/base/assert.h"

namespace quorate {

template <typename Table, typename Op>
class LeftRight {
    struct alignas(64) Slot {
        std::atomic<uint64_t> pinned{0};  // 0: not reading; else the version it reads
    };

  public:
    // `wake_writer` is called by a reader that left an old copy while the writer waits for it.
    LeftRight(std::size_t readers, std::function<void()> wake_writer)
        : slots_(readers), wake_writer_(std::move(wake_writer)) {}
    LeftRight(const LeftRight&) = delete;
    LeftRight& operator=(const LeftRight&) = delete;

    class Reader {
      public:
        Reader(LeftRight& owner, std::size_t index) : owner_(&owner), slot_(&owner.slots_[index]) {}

        // The table as of now; stays valid and unchanged until `unpin`. Pinning again is free.
        const Table& pin() {
            if (version_ == 0) {
                uint64_t seen = owner_->version_.load(std::memory_order_seq_cst);
                bool moved = false;
                for (;;) {
                    slot_->pinned.store(seen, std::memory_order_seq_cst);
                    const uint64_t now = owner_->version_.load(std::memory_order_seq_cst);
                    if (now == seen) break;
                    seen = now;
                    moved = true;
                }
                version_ = seen;
                // The writer may have seen the older version in the slot and wait for its end,
                // which the later unpin, of the newer one, would not tell it.
                if (moved && owner_->awaited_.load(std::memory_order_seq_cst) != 0) {
                    owner_->wake_writer_();
                }
            }
            return owner_->copies_[version_ & 1U];
        }

        // The version last pinned; rises with each published change. Requires: pinned.
        [[nodiscard]] uint64_t version() const {
            DASSERT(version_ != 0, "version() outside of a pin");
            return version_;
        }

        void unpin() {
            if (version_ == 0) return;
            const uint64_t had = std::exchange(version_, 0);
            slot_->pinned.store(0, std::memory_order_seq_cst);
            if (owner_->awaited_.load(std::memory_order_seq_cst) > had) owner_->wake_writer_();
        }

      private:
        LeftRight* owner_;
        Slot* slot_;
        uint64_t version_ = 0;
    };

    // Adds a change to what the next `publish` shows. Writer only.
    void stage(Op op) { staged_.push_back(std::move(op)); }
    [[nodiscard]] bool has_staged() const { return !staged_.empty(); }

    // Shows the staged changes to readers that pin from now on. False while the previous change is
    // still being read in the old copy (see `reclaim`). Writer only.
    bool publish() {
        if (!reclaim()) return false;
        if (staged_.empty()) return true;
        const uint64_t next = version_.load(std::memory_order_relaxed) + 1;
        Table& back = copies_[next & 1U];
        for (const Op& op : staged_)
            back.apply(op);
        version_.store(next, std::memory_order_seq_cst);
        awaited_.store(next, std::memory_order_seq_cst);
        shown_ops_.swap(staged_);
        staged_.clear();
        reclaim();
        return true;
    }

    // True when no reader uses the older copy any more, which by then holds the same as the newer:
    // everything published so far is shown. Writer only.
    bool reclaim() {
        if (awaited_.load(std::memory_order_relaxed) == 0) return true;
        const uint64_t current = version_.load(std::memory_order_relaxed);
        for (const Slot& slot : slots_) {
            const uint64_t pinned = slot.pinned.load(std::memory_order_seq_cst);
            if (pinned != 0 && pinned < current) return false;
        }
        awaited_.store(0, std::memory_order_seq_cst);
        Table& old = copies_[(current + 1) & 1U];
        for (const Op& op : shown_ops_)
            old.apply(op);
        shown_ops_.clear();
        return true;
    }

    // The newest copy, for the writer's own questions. Writer only.
    [[nodiscard]] const Table& newest() const {
        return copies_[version_.load(std::memory_order_relaxed) & 1U];
    }

  private:
    std::array<Table, 2> copies_{};
    std::atomic<uint64_t> version_{2};  // the copy in use is copies_[version & 1]; never 0
    std::atomic<uint64_t> awaited_{0};  // the version whose grace period runs; 0: none
    std::vector<Slot> slots_;
    std::vector<Op> staged_;
    std::vector<Op> shown_ops_;
    std::function<void()> wake_writer_;
};

}  // namespace quorate
