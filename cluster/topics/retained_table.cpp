#include "cluster/topics/retained_table.h"

#include "cluster/topics/state_key.h"
#include "proto/base/bytes.h"
#include "proto/base/hash.h"
#include "proto/mqtt/topic.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {

constexpr uint8_t kVersion = 1;

bool expired(ClusterTime expires_at, ClusterTime now) {
    return expires_at.value() != 0 && expires_at <= now;
}

// What every matching topic begins with.
std::string_view literal_prefix(std::string_view filter) {
    const std::size_t wildcard = filter.find_first_of("+#");
    if (wildcard == std::string_view::npos) return filter;
    std::string_view head = filter.substr(0, wildcard);
    // "a/#" also matches "a" (MQTT 5 §4.7.1.2).
    if (filter[wildcard] == '#' && head.ends_with('/')) head.remove_suffix(1);
    return head;
}

}  // namespace

bool RetainedTable::put(ClusterTime now, std::string_view message, const mqtt::MessageView& view,
                        storage::StateBatch& batch) {
    const auto bytes = static_cast<uint32_t>(message.size());
    const auto found = topics_.find(view.topic);
    const uint64_t others = bytes_ - (found == topics_.end() ? 0 : found->second.bytes);
    const bool is_new = found == topics_.end();
    if (is_new && topics_.size() >= limits_.topics_max) return false;
    const bool grows = is_new || bytes > found->second.bytes;
    if (grows && others + bytes > limits_.bytes_max) return false;

    Retained retained;
    retained.bytes = bytes;
    if (view.message_expiry_s) {
        retained.expires_at = ClusterTime(now.value() + uint64_t{*view.message_expiry_s} * 1000);
    }
    if (!is_new) forget(found);
    add(view.topic, retained);
    batch.put_with(StateKey(Family::Retained).last_text(view.topic).view(), [&](RecordWriter& out) {
        out.u8(kVersion);
        out.id(retained.expires_at);
        out.raw(message);
    });
    return true;
}

void RetainedTable::remove(std::string_view topic, storage::StateBatch& batch) {
    const auto found = topics_.find(topic);
    if (found == topics_.end()) return;
    forget(found);
    batch.remove(StateKey(Family::Retained).last_text(topic).view());
}

uint32_t RetainedTable::purge(ClusterTime now, uint32_t max, storage::StateBatch& batch) {
    uint32_t removed = 0;
    while (removed < max && !expiring_.empty() && expiring_.begin()->first <= now) {
        const std::string topic = expiring_.begin()->second;
        remove(topic, batch);
        ++removed;
    }
    return removed;
}

std::optional<ClusterTime> RetainedTable::next_expiry() const {
    if (expiring_.empty()) return std::nullopt;
    return expiring_.begin()->first;
}

void RetainedTable::add(std::string_view topic, const Retained& retained) {
    topics_.emplace(topic, retained);
    bytes_ += retained.bytes;
    if (retained.expires_at.value() != 0) expiring_.emplace(retained.expires_at, topic);
}

void RetainedTable::forget(Topics::iterator at) {
    bytes_ -= at->second.bytes;
    if (at->second.expires_at.value() != 0) expiring_.erase({at->second.expires_at, at->first});
    topics_.erase(at);
}

Result<bool> RetainedTable::read(Topics::const_iterator at, ClusterTime now,
                                 const storage::StateStore& store, const Visit& visit) const {
    StateKey key(Family::Retained);
    key.last_text(at->first);
    std::string value;
    const Result<bool> found = store.get(key.view(), value);
    if (!found.ok()) return found.error();
    RecordReader in(value);
    const uint8_t version = in.u8();
    const auto expires_at = in.id<ClusterTime>();
    auto message = mqtt::decode_message(in.rest());
    if (!*found || version != kVersion || !message || message->topic != at->first) {
        return corrupt_record("retained message", key.view());
    }
    message->retain = true;
    if (expires_at.value() != 0) {
        // Rounded up: never early (G8).
        message->message_expiry_s =
            static_cast<uint32_t>((expires_at.value() - now.value() + 999) / 1000);
    }
    return visit(*message);
}

Result<bool> RetainedTable::get(std::string_view topic, ClusterTime now,
                                const storage::StateStore& store, const Visit& visit) const {
    const auto found = topics_.find(topic);
    if (found == topics_.end() || expired(found->second.expires_at, now)) return false;
    const Result<bool> done = read(found, now, store, visit);
    if (!done.ok()) return done;
    return true;
}

Result<std::optional<std::string>> RetainedTable::scan(std::string_view filter,
                                                       std::string_view cursor, uint32_t steps,
                                                       ClusterTime now,
                                                       const storage::StateStore& store,
                                                       const Visit& visit) const {
    const std::string_view prefix = literal_prefix(filter);
    auto at = cursor.empty() || cursor < prefix ? topics_.lower_bound(prefix)
                                                : topics_.upper_bound(cursor);
    std::optional<std::string> last;
    for (; at != topics_.end() && at->first.starts_with(prefix); ++at) {
        if (steps-- == 0) return last.has_value() ? last : std::optional(std::string(cursor));
        last = at->first;
        if (expired(at->second.expires_at, now) || !mqtt::filter_matches(filter, at->first)) {
            continue;
        }
        const Result<bool> more = read(at, now, store, visit);
        if (!more.ok()) return more.error();
        if (!*more) return last;
    }
    return std::optional<std::string>{};
}

uint64_t RetainedTable::digest() const {
    uint64_t hash = hash64("retained");
    for (const auto& [topic, retained] : topics_) {
        hash = hash64(topic, hash ^ retained.expires_at.value() ^ (uint64_t{retained.bytes} << 40));
    }
    return hash;
}

Status RetainedTable::load_record(std::string_view key, std::string_view value) {
    RecordReader in(value);
    const uint8_t version = in.u8();
    Retained retained;
    retained.expires_at = in.id<ClusterTime>();
    const auto message = mqtt::decode_message(in.rest());
    if (version != kVersion || in.failed() || !message || key.empty() ||
        message->topic != key.substr(1) || topics_.contains(message->topic)) {
        return corrupt_record("retained message", key);
    }
    retained.bytes = static_cast<uint32_t>(in.rest().size());
    add(message->topic, retained);
    return {};
}

Status RetainedTable::load(const storage::StateStore& store) {
    Status result;
    const Status scanned =
        store.scan(StateKey(Family::Retained).view(), family_end(Family::Retained),
                   [&](std::string_view key, std::string_view value) {
                       result = load_record(key, value);
                       return result.ok();
                   });
    return scanned.ok() ? result : scanned;
}

}  // namespace quorate::cluster
