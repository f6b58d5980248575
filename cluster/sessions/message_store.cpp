#include "cluster/sessions/message_store.h"

#include <algorithm>

#include "cluster/topics/state_key.h"
#include "proto/base/assert.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {

constexpr uint8_t kVersion = 1;
constexpr std::size_t kOverhead = 64;   // charged to the cache for each body besides its bytes
constexpr std::size_t kRangeFrom = 16;  // so many dead neighbours are worth a range deletion

std::string body_key(BodyId id) {
    return std::string(StateKey(Family::Body).u64(id.value()).view());
}

}  // namespace

BodyId MessageStore::add(std::string_view message, storage::StateBatch& batch) {
    const BodyId id = next_;
    ++next_;
    Body& body = bodies_[id.value()];
    body.references = 1;
    cache(id, body, message);
    batch.put_with(body_key(id), [&](RecordWriter& out) {
        out.u8(kVersion);
        out.raw(message);
    });
    return id;
}

void MessageStore::cache(BodyId id, Body& body, std::string_view message) {
    const uint64_t charge = message.size() + kOverhead;
    if (charge > cache_bytes_max_) return;
    body.cached = SharedBytes(as_bytes(message));
    cache_order_.emplace_back(id, charge);
    cache_bytes_ += charge;
    while (!cache_order_.empty()) {
        const auto [oldest, bytes] = cache_order_.front();
        const auto found = bodies_.find(oldest.value());
        if (cache_bytes_ <= cache_bytes_max_ && found != bodies_.end()) break;
        if (found != bodies_.end()) found->second.cached = SharedBytes();
        cache_bytes_ -= bytes;
        cache_order_.pop_front();
    }
}

void MessageStore::hold(BodyId id) {
    const auto found = bodies_.find(id.value());
    ASSERT(found != bodies_.end() && found->second.references > 0, "holding a dead body");
    ++found->second.references;
}

void MessageStore::release(BodyId id) {
    const auto found = bodies_.find(id.value());
    ASSERT(found != bodies_.end() && found->second.references > 0, "releasing a dead body");
    if (--found->second.references > 0) return;
    bodies_.erase(found);
    dead_.push_back(id);
}

uint32_t MessageStore::references(BodyId id) const {
    const auto found = bodies_.find(id.value());
    return found == bodies_.end() ? 0 : found->second.references;
}

void MessageStore::end_entry(storage::StateBatch& batch) {
    if (dead_.empty()) return;
    std::ranges::sort(dead_);
    for (std::size_t from = 0; from < dead_.size();) {
        std::size_t to = from + 1;
        while (to < dead_.size() && dead_[to] == dead_[to - 1].next())
            ++to;
        if (to - from >= kRangeFrom) {
            batch.remove_range(body_key(dead_[from]), body_key(dead_[to - 1].next()));
        } else {
            for (std::size_t i = from; i < to; ++i)
                batch.remove(body_key(dead_[i]));
        }
        from = to;
    }
    dead_.clear();
}

Result<std::string_view> MessageStore::read(BodyId id, const storage::StateStore& store,
                                            std::string& scratch) const {
    const auto found = bodies_.find(id.value());
    if (found != bodies_.end() && !found->second.cached.empty()) {
        return found->second.cached.text();
    }
    const std::string key = body_key(id);
    const Result<bool> there = store.get(key, scratch);
    if (!there.ok()) return there.error();
    if (!*there || scratch.empty() || static_cast<uint8_t>(scratch[0]) != kVersion) {
        return corrupt_record("message body", key);
    }
    return std::string_view(scratch).substr(1);
}

Status MessageStore::load(const storage::StateStore& store) {
    Status result;
    const Status scanned = store.scan(StateKey(Family::Body).view(), family_end(Family::Body),
                                      [&](std::string_view key, std::string_view value) {
                                          uint64_t id = 0;
                                          if (key.size() == 9) {
                                              for (const char c : key.substr(1))
                                                  id = (id << 8U) | static_cast<uint8_t>(c);
                                          }
                                          if (id == 0 || BodyId(id) >= next_ || value.empty() ||
                                              static_cast<uint8_t>(value[0]) != kVersion) {
                                              result = corrupt_record("message body", key);
                                              return false;
                                          }
                                          bodies_[id].references = 0;
                                          return true;
                                      });
    return scanned.ok() ? result : scanned;
}

bool MessageStore::restore_reference(BodyId id) {
    const auto found = bodies_.find(id.value());
    if (found == bodies_.end()) return false;
    ++found->second.references;
    return true;
}

Status MessageStore::check_references() const {
    uint64_t worst = 0;
    for (const auto& [id, body] : bodies_) {
        if (body.references == 0 && (worst == 0 || id < worst)) worst = id;
    }
    if (worst == 0) return {};
    return corrupt_record("message body without a reference", body_key(BodyId(worst)));
}

}  // namespace quorate::cluster
