// Where the state machines of all groups keep what they hold: an ordered map of byte strings with
// atomic batches and no log of its own, because the Raft log is replayed over it after a crash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "proto/base/bytes.h"
#include "proto/base/result.h"

namespace quorate::storage {

enum class StateOp : uint8_t { Put, Remove, RemoveRange };

struct StateChange {
    StateOp op = StateOp::Put;
    std::string_view key;    // of a range: its first key
    std::string_view value;  // of a range: the key after its last
};

// Changes in the order they were made, in one flat buffer that keeps its memory over `clear()`.
//
// A prefix set by the owner of the batch is put in front of every key, so that a state machine
// writes keys that begin with its family byte and cannot reach another group's. *Thread*: its
// owner's. *Owner*: the worker; state machines get a reference for the length of a call.
class StateBatch {
  public:
    // For all keys from now on. Empty: none.
    void set_prefix(std::string_view prefix) { prefix_.assign(prefix); }
    [[nodiscard]] std::string_view prefix() const { return prefix_; }

    // Requires of every key and value: shorter than 4 GiB.
    void put(std::string_view key, std::string_view value);
    // The value in parts that are written one after the other.
    void put_parts(std::string_view key, std::span<const std::string_view> value);
    // The value is written straight into the batch by `write(RecordWriter&)`: no second buffer.
    template <typename Write>
    void put_with(std::string_view key, Write&& write) {
        const std::size_t at = begin_put(key);
        RecordWriter writer(buffer_);
        write(writer);
        end_put(at);
    }
    void remove(std::string_view key);
    // All keys in [from, to). An empty `to` means: to the end of the prefix. A range costs the same
    // however many keys it holds, but slows later reads nearby: use it in coarse steps.
    void remove_range(std::string_view from, std::string_view to);

    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] std::size_t count() const { return count_; }
    [[nodiscard]] std::size_t bytes() const { return buffer_.size(); }
    // Forgets the changes and keeps the prefix.
    void clear();

    // A place to go back to when what follows turns out not to be wanted.
    struct Mark {
        std::size_t bytes = 0;
        std::size_t count = 0;
    };
    [[nodiscard]] Mark mark() const { return Mark{buffer_.size(), count_}; }
    // Requires: a mark of this batch, not cleared since.
    void rollback(Mark mark) {
        buffer_.resize(mark.bytes);
        count_ = mark.count;
    }

    // A hash of `seed` and the changes since the mark, without the prefix: replicas that change the
    // same come to the same, under whatever prefix. Requires: the prefix of those changes.
    [[nodiscard]] uint64_t digest(Mark since, uint64_t seed) const;

    // Calls `visit(const StateChange&)` in order. The views die with the batch or its next change.
    template <typename Visit>
    void for_each(Visit&& visit) const {
        std::string_view rest = buffer_;
        while (!rest.empty())
            visit(take_change(rest));
    }

  private:
    std::size_t begin_put(std::string_view key);
    void end_put(std::size_t at);
    static StateChange take_change(std::string_view& rest);

    std::string prefix_;
    std::string buffer_;
    std::size_t count_ = 0;
};

// A position in a StateStore, moving upwards over a snapshot taken when it was made.
//
//     for (auto cursor = store.cursor(from, to); cursor->valid(); cursor->next()) ...
//
// *Thread*: one at a time. *Owner*: the caller, who drops it before the store. Keep it short-lived:
// it holds back memory. *Errors*: a damaged record or a failed read ends it; `status()` tells.
class StateCursor {
  public:
    virtual ~StateCursor() = default;
    [[nodiscard]] virtual bool valid() const = 0;
    // Requires: valid(). The views live until the next call of a non-const method.
    [[nodiscard]] virtual std::string_view key() const = 0;
    [[nodiscard]] virtual std::string_view value() const = 0;
    virtual void next() = 0;
    // To the first key at or after `key`, but never below the range's begin.
    virtual void seek(std::string_view key) = 0;
    // Success, or why the cursor ended before its range did. Ask when valid() turned false.
    [[nodiscard]] virtual Status status() const = 0;
};

// Every value is stored with a version byte and a CRC-32C over key and value, checked on each read:
// what fails is reported as Corrupt with its key and never handed out.
//
// *Thread*: any; writes of one group must come from one thread. *Owner*: the engine.
// *Errors*: Corrupt and Io; after an Io error of a write the replica must stop.
class StateStore {
  public:
    // False ends the scan.
    using ScanCallback = std::function<bool(std::string_view key, std::string_view value)>;

    virtual ~StateStore() = default;

    // All changes or none become visible, and, at some later flush, durable together. The batch is
    // not durable when this returns.
    [[nodiscard]] virtual Status write(const StateBatch& batch) = 0;

    // True and the value, or false when there is no such key.
    [[nodiscard]] virtual Result<bool> get(std::string_view key, std::string& value) const = 0;

    // Keys in [from, to) in order; an empty `to` means: to the end. Success also when the callback
    // ended it.
    [[nodiscard]] Status scan(std::string_view from, std::string_view to,
                              const ScanCallback& callback) const;
    [[nodiscard]] virtual std::unique_ptr<StateCursor> cursor(std::string_view from,
                                                              std::string_view to) const = 0;

    // Everything written before the call is on stable storage when this returns. Takes tens of
    // milliseconds or more: never on a worker or a loop.
    [[nodiscard]] virtual Status flush() = 0;

    // Of live data, roughly, on disk and in memory.
    [[nodiscard]] virtual uint64_t approximate_bytes() const = 0;
};

// The keys of one group and generation as if they were all: what a state machine reads.
//
// Keys given and returned are without the prefix. *Thread*, *Errors*: as the store's. `write` takes
// batches that carry the same prefix. *Owner*: the group; the store outlives it.
class StateView final : public StateStore {
  public:
    StateView(StateStore& store, std::string prefix) : store_(store), prefix_(std::move(prefix)) {}

    [[nodiscard]] Status write(const StateBatch& batch) override { return store_.write(batch); }
    [[nodiscard]] Result<bool> get(std::string_view key, std::string& value) const override;
    [[nodiscard]] std::unique_ptr<StateCursor> cursor(std::string_view from,
                                                      std::string_view to) const override;
    [[nodiscard]] Status flush() override { return store_.flush(); }
    [[nodiscard]] uint64_t approximate_bytes() const override { return store_.approximate_bytes(); }
    [[nodiscard]] const std::string& prefix() const { return prefix_; }

  private:
    StateStore& store_;
    std::string prefix_;
};

}  // namespace quorate::storage
