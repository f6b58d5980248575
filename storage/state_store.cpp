#include "storage/state_store.h"

#include <limits>

#include "proto/base/assert.h"
#include "proto/base/hash.h"
#include "storage/keys.h"

namespace quorate::storage {
namespace {

// In front of each change: [op u8][key size u32][value size u32], then key and value.
constexpr std::size_t kHeadBytes = 9;

void write_u32(char* at, std::size_t value) {
    ASSERT(value <= std::numeric_limits<uint32_t>::max(), "a key or value of 4 GiB");
    for (int i = 0; i < 4; ++i) {
        at[i] = static_cast<char>(value >> (8 * i));
    }
}

// A cursor that hides the prefix.
class ViewCursor final : public StateCursor {
  public:
    ViewCursor(std::unique_ptr<StateCursor> inner, const std::string& prefix)
        : inner_(std::move(inner)), prefix_(prefix) {}

    [[nodiscard]] bool valid() const override { return inner_->valid(); }
    [[nodiscard]] std::string_view key() const override {
        return inner_->key().substr(prefix_.size());
    }
    [[nodiscard]] std::string_view value() const override { return inner_->value(); }
    void next() override { inner_->next(); }
    void seek(std::string_view key) override { inner_->seek(prefix_ + std::string(key)); }
    [[nodiscard]] Status status() const override { return inner_->status(); }

  private:
    std::unique_ptr<StateCursor> inner_;
    const std::string prefix_;
};

}  // namespace

std::size_t StateBatch::begin_put(std::string_view key) {
    const std::size_t at = buffer_.size();
    buffer_.push_back(static_cast<char>(StateOp::Put));
    buffer_.append(kHeadBytes - 1, '\0');
    buffer_.append(prefix_).append(key);
    write_u32(&buffer_[at + 1], prefix_.size() + key.size());
    return at;
}

void StateBatch::end_put(std::size_t at) {
    std::string_view head = std::string_view(buffer_).substr(at);
    RecordReader reader(head.substr(1));
    const std::size_t key_size = reader.u32();
    write_u32(&buffer_[at + 5], head.size() - kHeadBytes - key_size);
    ++count_;
}

void StateBatch::put(std::string_view key, std::string_view value) {
    put_parts(key, {&value, 1});
}

void StateBatch::put_parts(std::string_view key, std::span<const std::string_view> value) {
    const std::size_t at = begin_put(key);
    for (const std::string_view part : value) {
        buffer_.append(part);
    }
    end_put(at);
}

void StateBatch::remove(std::string_view key) {
    const std::size_t at = begin_put(key);
    end_put(at);
    buffer_[at] = static_cast<char>(StateOp::Remove);
}

void StateBatch::remove_range(std::string_view from, std::string_view to) {
    const std::size_t at = begin_put(from);
    if (to.empty()) {
        buffer_.append(prefix_end(prefix_));
    } else {
        buffer_.append(prefix_).append(to);
    }
    end_put(at);
    buffer_[at] = static_cast<char>(StateOp::RemoveRange);
}

void StateBatch::clear() {
    // One huge message must not keep its memory for ever.
    constexpr std::size_t kKeepBytes = std::size_t{4} << 20;
    buffer_.clear();
    if (buffer_.capacity() > kKeepBytes) buffer_.shrink_to_fit();
    count_ = 0;
}

uint64_t StateBatch::digest(Mark since, uint64_t seed) const {
    uint64_t digest = seed;
    std::string_view rest = std::string_view(buffer_).substr(since.bytes);
    while (!rest.empty()) {
        const StateChange change = take_change(rest);
        digest =
            hash64(change.key.substr(prefix_.size()), digest + static_cast<uint64_t>(change.op));
        // The end of a range has the prefix, too, or is the end of all that have it.
        std::string_view value = change.value;
        if (change.op == StateOp::RemoveRange) {
            value = value.starts_with(prefix_) ? value.substr(prefix_.size()) : std::string_view();
        }
        digest = hash64(value, digest);
    }
    return digest;
}

StateChange StateBatch::take_change(std::string_view& rest) {
    RecordReader reader(rest);
    StateChange change;
    change.op = static_cast<StateOp>(reader.u8());
    const uint32_t key_size = reader.u32();
    const uint32_t value_size = reader.u32();
    change.key = reader.raw(key_size);
    change.value = reader.raw(value_size);
    ASSERT(!reader.failed(), "a batch reads back what it wrote");
    rest = reader.rest();
    return change;
}

Status StateStore::scan(std::string_view from, std::string_view to,
                        const ScanCallback& callback) const {
    const std::unique_ptr<StateCursor> at = cursor(from, to);
    for (; at->valid(); at->next()) {
        if (!callback(at->key(), at->value())) return {};
    }
    return at->status();
}

Result<bool> StateView::get(std::string_view key, std::string& value) const {
    std::string full = prefix_;
    full += key;
    return store_.get(full, value);
}

std::unique_ptr<StateCursor> StateView::cursor(std::string_view from, std::string_view to) const {
    const std::string full_to = to.empty() ? prefix_end(prefix_) : prefix_ + std::string(to);
    return std::make_unique<ViewCursor>(store_.cursor(prefix_ + std::string(from), full_to),
                                        prefix_);
}

}  // namespace quorate::storage
