#include "cluster/group/snapshot_stream.h"

#include <algorithm>
#include <utility>

#include "proto/base/hash.h"

namespace quorate::cluster {
namespace {

constexpr uint32_t kEnd = UINT32_MAX;
constexpr std::size_t kHeadBytes = 8;
constexpr std::size_t kEndBytes = 12;

Error damaged() {
    return Error{ErrorCode::Corrupt, "a snapshot arrived damaged"};
}

}  // namespace

Status SnapshotReader::fill(std::size_t bytes) {
    while (buffer_.size() < bytes && !ended_) {
        const std::size_t begin = buffer_.size();
        RecordWriter writer(buffer_);
        if (cursor_->valid()) {
            writer.u32(static_cast<uint32_t>(cursor_->key().size()));
            writer.u32(static_cast<uint32_t>(cursor_->value().size()));
            writer.raw(cursor_->key());
            writer.raw(cursor_->value());
            hash_ = hash64(std::string_view(buffer_).substr(begin), hash_);
            cursor_->next();
            continue;
        }
        if (Status status = cursor_->status(); !status) return status;
        ended_ = true;
        cursor_.reset();
        writer.u32(kEnd);
        writer.u64(hash_);
    }
    return {};
}

Result<SharedBytes> SnapshotReader::next(std::size_t bytes_max) {
    if (Status filled = fill(bytes_max); !filled) return filled.error();
    const std::string_view chunk = std::string_view(buffer_).substr(0, bytes_max);
    SharedBytes bytes(as_bytes(chunk));
    offset_ += chunk.size();
    buffer_.erase(0, chunk.size());
    return bytes;
}

SnapshotWriter::SnapshotWriter(storage::StateStore& store, std::string prefix) : store_(store) {
    batch_.set_prefix(prefix);
    batch_.remove_range({}, {});
}

Status SnapshotWriter::add(std::string_view bytes) {
    if (ended_) return damaged();
    buffer_ += bytes;
    std::string_view rest = buffer_;
    while (!ended_) {
        RecordReader reader(rest);
        const uint32_t key_size = reader.u32();
        if (reader.failed()) break;
        if (key_size == kEnd) {
            if (rest.size() < kEndBytes) break;
            if (reader.u64() != hash_ || !reader.finished()) return damaged();
            ended_ = true;
            rest = {};
            break;
        }
        const uint32_t value_size = reader.u32();
        if (key_size > kKeyBytesMax || value_size > kValueBytesMax) return damaged();
        const std::size_t size = kHeadBytes + key_size + value_size;
        if (rest.size() < size) break;
        batch_.put(rest.substr(kHeadBytes, key_size),
                   rest.substr(kHeadBytes + key_size, value_size));
        hash_ = hash64(rest.substr(0, size), hash_);
        rest.remove_prefix(size);
    }
    buffer_.erase(0, buffer_.size() - rest.size());
    Status written = store_.write(batch_);
    batch_.clear();
    return written;
}

}  // namespace quorate::cluster
