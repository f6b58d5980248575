#include "cluster/link/send_queue.h"

#include <utility>
namespace quorate::link {

namespace {

constexpr std::size_t kSparesMax = 8;

}  // namespace

std::string SendQueue::spare() {
    if (spares_.empty()) return {};
    std::string out = std::move(spares_.back());
    spares_.pop_back();
    return out;
}

SendQueue::Outcome SendQueue::offer(StreamEpoch epoch, ByteView first, ByteView second) {
    const std::size_t item_bytes = first.size() + second.size();
    if (item_bytes == 0 || item_bytes > kItemBytesMax) return {Offer::TooLarge};
    const std::size_t bytes = encoded_bytes(item_bytes);
    const std::lock_guard lock(mutex_);
    if (epoch_ == StreamEpoch() || (epoch != StreamEpoch() && epoch != epoch_)) {
        return {Offer::Down};
    }
    if (items_ >= limits_.items || (items_ > 0 && bytes_ + bytes > limits_.bytes)) {
        ++full_;
        return {Offer::Full};
    }
    if (batches_.empty() || batches_.back().items >= limits_.batch_items ||
        batches_.back().bytes.size() + bytes > kBatchBytesMax) {
        batches_.push_back({spare(), 0});
    }
    Batch& batch = batches_.back();
    append_item(batch.bytes, first, second);
    ++batch.items;
    bytes_ += bytes;
    ++items_;
    return {Offer::Taken, std::exchange(waiting_, false)};
}

void SendQueue::open(StreamEpoch epoch) {
    const std::lock_guard lock(mutex_);
    epoch_ = epoch;
    waiting_ = true;
}

uint32_t SendQueue::close() {
    const std::lock_guard lock(mutex_);
    epoch_ = StreamEpoch();
    batches_.clear();
    spares_.clear();
    bytes_ = 0;
    waiting_ = false;
    return std::exchange(items_, 0);
}

uint32_t SendQueue::take(std::string& batch) {
    const std::lock_guard lock(mutex_);
    if (batches_.empty()) {
        waiting_ = true;
        return 0;
    }
    Batch taken = std::move(batches_.front());
    batches_.pop_front();
    bytes_ -= taken.bytes.size();
    items_ -= taken.items;
    batch.swap(taken.bytes);
    // A large item's memory is not kept: it may be the only one for days.
    if (spares_.size() < kSparesMax && taken.bytes.capacity() <= 2 * kBatchBytesMax) {
        taken.bytes.clear();
        spares_.push_back(std::move(taken.bytes));
    }
    return taken.items;
}

bool SendQueue::empty() const {
    const std::lock_guard lock(mutex_);
    return batches_.empty();
}

std::size_t SendQueue::bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
}

SendQueue::Figures SendQueue::figures() {
    const std::lock_guard lock(mutex_);
    return {bytes_, std::exchange(full_, 0)};
}

}  // namespace quorate::link
