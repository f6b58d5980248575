#include "storage/memory_stores.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "proto/base/hash.h"
#include "storage/records.h"

namespace quorate::storage {
namespace {

using Records = std::map<std::string, std::string, std::less<>>;

void remove_range(Records& records, std::string_view from, std::string_view to) {
    const auto end = to.empty() ? records.end() : records.lower_bound(to);
    const auto begin = records.lower_bound(from);
    if (to.empty() || from < to) records.erase(begin, end);
}

void flip_one_bit(Records& records, Random& random) {
    if (records.empty()) return;
    auto victim = records.begin();
    std::advance(victim, static_cast<std::ptrdiff_t>(random.below(records.size())));
    const std::size_t at = random.below(victim->second.size());
    victim->second[at] =
        static_cast<char>(static_cast<uint8_t>(victim->second[at]) ^ (1U << random.below(8)));
}

// Over a copy, as the interface promises a snapshot.
class MemoryCursor final : public StateCursor {
  public:
    MemoryCursor(Records records, std::string from)
        : records_(std::move(records)), from_(std::move(from)) {
        seek(from_);
    }

    [[nodiscard]] bool valid() const override { return at_ != records_.end() && status_.ok(); }
    [[nodiscard]] std::string_view key() const override { return at_->first; }
    [[nodiscard]] std::string_view value() const override { return value_; }
    void next() override {
        ++at_;
        open();
    }
    void seek(std::string_view key) override {
        at_ = records_.lower_bound(std::max<std::string_view>(key, from_));
        open();
    }
    [[nodiscard]] Status status() const override { return status_; }

  private:
    void open() {
        if (at_ == records_.end()) return;
        const Result<std::string_view> body = open_frame(at_->first, at_->second);
        if (body) {
            value_ = *body;
        } else {
            status_ = body.error();
        }
    }

    const Records records_;
    const std::string from_;
    Records::const_iterator at_;
    std::string_view value_;
    Status status_;
};

class MapRecords final : public LogRecords {
  public:
    explicit MapRecords(const Records& records) : records_(records) {}

    [[nodiscard]] Result<bool> get(std::string_view key, std::string& value) const override {
        const auto found = records_.find(key);
        if (found == records_.end()) return false;
        value = found->second;
        return true;
    }
    [[nodiscard]] Status scan(std::string_view from, std::string_view to,
                              const Callback& callback) const override {
        for (auto at = records_.lower_bound(from); at != records_.end() && at->first < to; ++at) {
            if (!callback(at->first, at->second)) break;
        }
        return {};
    }

  private:
    const Records& records_;
};

}  // namespace

Status MemoryStateStore::write(const StateBatch& batch) {
    const std::lock_guard lock(mutex_);
    apply(records_, batch);
    unflushed_.push_back(batch);
    return {};
}

void MemoryStateStore::apply(Records& records, const StateBatch& batch) {
    batch.for_each([&](const StateChange& change) {
        switch (change.op) {
            case StateOp::Put: {
                std::string stored;
                append_frame(stored, change.key, change.value);
                stored += change.value;
                records.insert_or_assign(std::string(change.key), std::move(stored));
                break;
            }
            case StateOp::Remove:
                if (const auto at = records.find(change.key); at != records.end()) {
                    records.erase(at);
                }
                break;
            case StateOp::RemoveRange:
                remove_range(records, change.key, change.value);
                break;
        }
    });
}

Result<bool> MemoryStateStore::get(std::string_view key, std::string& value) const {
    const std::lock_guard lock(mutex_);
    const auto found = records_.find(key);
    if (found == records_.end()) return false;
    const Result<std::string_view> body = open_frame(key, found->second);
    if (!body) return body.error();
    value.assign(*body);
    return true;
}

std::unique_ptr<StateCursor> MemoryStateStore::cursor(std::string_view from,
                                                      std::string_view to) const {
    const std::lock_guard lock(mutex_);
    const auto end = to.empty() ? records_.end() : records_.lower_bound(to);
    auto begin = records_.lower_bound(from);
    if (!to.empty() && to < from) begin = end;
    return std::make_unique<MemoryCursor>(Records(begin, end), std::string(from));
}

Status MemoryStateStore::flush() {
    const std::lock_guard lock(mutex_);
    for (const StateBatch& batch : unflushed_) {
        apply(flushed_, batch);
    }
    unflushed_.clear();
    return {};
}

uint64_t MemoryStateStore::approximate_bytes() const {
    const std::lock_guard lock(mutex_);
    uint64_t bytes = 0;
    for (const auto& [key, value] : records_) {
        bytes += key.size() + value.size();
    }
    return bytes;
}

std::size_t MemoryStateStore::unflushed() const {
    const std::lock_guard lock(mutex_);
    return unflushed_.size();
}

void MemoryStateStore::crash(Random& random) {
    crash(random.below(unflushed() + 1));
}

void MemoryStateStore::crash(std::size_t kept) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < kept; ++i) {
        apply(flushed_, unflushed_[i]);
    }
    records_ = flushed_;
    unflushed_.clear();
}

void MemoryStateStore::flip_bit(Random& random) {
    const std::lock_guard lock(mutex_);
    Random again = random;
    flip_one_bit(records_, random);
    // The same on the disk, when it has all of it.
    if (unflushed_.empty()) flip_one_bit(flushed_, again);
}

uint64_t MemoryStateStore::digest() const {
    const std::lock_guard lock(mutex_);
    uint64_t digest = 0;
    for (const auto& [key, value] : records_) {
        digest = hash64(value, hash64(key, digest));
    }
    return digest;
}

Status MemoryLogStore::write(std::span<const LogBatch> batches, Durability durability) {
    const std::lock_guard lock(mutex_);
    Write write;
    for (const LogBatch& batch : batches) {
        const Status translated = table_.translate(batch, MapRecords(records_), write.operations);
        if (!translated) return translated;
    }
    apply(records_, write);
    writes_.push_back(std::move(write));
    if (durability == Durability::Synced) durable_ = writes_.size();
    // Keep the newest ones apart, so that tests can take them back; fold the rest.
    constexpr std::size_t kApart = 64;
    while (durable_ > kApart) {
        apply(base_, writes_.front());
        writes_.erase(writes_.begin());
        --durable_;
    }
    return {};
}

void MemoryLogStore::apply(Records& records, const Write& write) {
    for (const LogOperation& operation : write.operations) {
        switch (operation.op) {
            case LogOp::Put: {
                std::string stored = operation.value;
                stored.append(operation.data.text());
                records.insert_or_assign(operation.key, std::move(stored));
                break;
            }
            case LogOp::Remove:
                records.erase(operation.key);
                break;
            case LogOp::RemoveRange:
                remove_range(records, operation.key, operation.value);
                break;
        }
    }
}

Status MemoryLogStore::sync() {
    const std::lock_guard lock(mutex_);
    durable_ = writes_.size();
    return {};
}

Result<std::vector<GroupId>> MemoryLogStore::groups() const {
    const std::lock_guard lock(mutex_);
    return group_list(MapRecords(records_));
}

Result<GroupMeta> MemoryLogStore::meta(GroupId group) const {
    const std::lock_guard lock(mutex_);
    return group_meta(MapRecords(records_), group);
}

Result<GroupLog> MemoryLogStore::load(GroupId group) {
    const std::lock_guard lock(mutex_);
    std::optional<DurableMark> mark;
    if (!mark_.empty()) {
        const Result<std::vector<DurableMark>> marks = decode_marks(mark_);
        if (!marks) return marks.error();
        for (const DurableMark& one : *marks) {
            if (one.group == group) mark = one;
        }
    }
    return table_.load(group, MapRecords(records_), mark);
}

Status MemoryLogStore::read(GroupId group, LogIndex from, LogIndex to, std::size_t bytes_max,
                            const EntryCallback& callback) const {
    const std::lock_guard lock(mutex_);
    return read_entries(MapRecords(records_), group, from, to, bytes_max, callback);
}

Status MemoryLogStore::write_durable_mark() {
    const std::lock_guard lock(mutex_);
    durable_ = writes_.size();
    mark_ = encode_marks(table_.marks());
    return {};
}

void MemoryLogStore::crash(Random& random) {
    const std::lock_guard lock(mutex_);
    const std::size_t unsynced = writes_.size() - durable_;
    writes_.resize(durable_ + random.below(unsynced + 1));
    rebuild();
}

void MemoryLogStore::flip_bit(Random& random) {
    const std::lock_guard lock(mutex_);
    flip_one_bit(records_, random);
}

void MemoryLogStore::forget_writes(std::size_t count) {
    const std::lock_guard lock(mutex_);
    writes_.resize(writes_.size() - std::min(count, writes_.size()));
    rebuild();
}

void MemoryLogStore::rebuild() {
    durable_ = writes_.size();
    records_ = base_;
    for (const Write& write : writes_) {
        apply(records_, write);
    }
    table_.clear();
}

}  // namespace quorate::storage
