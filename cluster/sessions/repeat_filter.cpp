#include "cluster/sessions/repeat_filter.h"

#include <algorithm>
#include <utility>

#include "cluster/mutants.h"
#include "cluster/topics/state_key.h"
#include "proto/base/hash.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {
constexpr uint8_t kVersion = 1;
}  // namespace

void RepeatFilters::Stream::learn(const OutboxSource& source) {
    if (source.high < high) return;
    std::set<OutboxNumber> listed(source.unfinished.begin(), source.unfinished.end());
    if (source.high == high) {
        std::erase_if(open, [&listed](OutboxNumber n) { return !listed.contains(n); });
    } else {
        high = source.high;
        open = std::move(listed);
    }
    if (mutated(RuleMutant::RepeatsKept)) return;
    for (auto at = seen.begin(); at != seen.end() && *at <= high;) {
        at = open.contains(*at) ? std::next(at) : seen.erase(at);
    }
}

RepeatVerdict RepeatFilters::take(const OutboxSource& source) {
    if (source.number.value() == 0 || source.unfinished.size() > kSeenMax) {
        return RepeatVerdict::Refused;
    }
    const auto found = streams_.find(source.stream);
    if (found == streams_.end() && streams_.size() >= kStreamsMax) return RepeatVerdict::Refused;
    Stream& stream = found == streams_.end() ? streams_[source.stream] : found->second;
    if (!stream.dirty) dirty_.push_back(source.stream);
    stream.dirty = true;
    stream.learn(source);
    if (stream.taken(source.number) && !mutated(RuleMutant::RepeatsIgnored)) {
        return RepeatVerdict::Repeat;
    }
    if (stream.seen.size() >= kSeenMax) return RepeatVerdict::Refused;
    stream.seen.insert(source.number);
    return RepeatVerdict::First;
}

bool RepeatFilters::taken(const OutboxSource& source) const {
    const auto found = streams_.find(source.stream);
    const OutboxNumber n = source.number;
    const auto& open = source.unfinished;
    const bool done = n <= source.high && std::ranges::find(open, n) == open.end();
    return done || (found != streams_.end() && found->second.taken(n));
}

void RepeatFilters::forget_node(Incarnation node) {
    std::erase_if(streams_, [node](const auto& entry) {
        const OutboxTarget& target = entry.first.target;
        return target.kind == OutboxTargetKind::Node && node_of(target.node) == node_of(node) &&
               target.node <= node;
    });
}

void RepeatFilters::forget_publishers(Incarnation node, storage::StateBatch* batch) {
    std::erase_if(streams_, [&](const auto& entry) {
        const OutboxTarget& target = entry.first.target;
        const bool gone = target.kind == OutboxTargetKind::Publisher &&
                          node_of(target.node) == node_of(node) && target.node <= node;
        if (gone && batch != nullptr) batch->remove(key_of(entry.first));
        return gone;
    });
}

std::vector<Incarnation> RepeatFilters::publishers() const {
    std::vector<Incarnation> out;
    for (const auto& [name, stream] : streams_) {
        if (name.target.kind == OutboxTargetKind::Publisher) out.push_back(name.target.node);
    }
    std::ranges::sort(out);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

std::string RepeatFilters::key_of(const OutboxStream& stream) {
    StateKey key(Family::Repeats);
    key.u32(stream.source.value()).u32(stream.generation.value());
    key.u8(static_cast<uint8_t>(stream.target.kind)).u32(stream.target.shard.value());
    key.u64(stream.target.node.value());
    if (stream.target.kind == OutboxTargetKind::Publisher) key.u16(stream.target.loop.value());
    return std::string(key.view());
}

void RepeatFilters::end_entry(storage::StateBatch& batch) {
    for (const OutboxStream& name : dirty_) {
        const auto found = streams_.find(name);
        if (found == streams_.end()) continue;
        Stream& stream = found->second;
        stream.dirty = false;
        batch.put_with(key_of(name), [&](RecordWriter& out) {
            out.u8(kVersion);
            out.id(name.source);
            out.id(name.generation);
            name.target.write(out);
            out.id(stream.high);
            out.u32(static_cast<uint32_t>(stream.seen.size()));
            for (const OutboxNumber n : stream.seen)
                out.id(n);
            out.u32(static_cast<uint32_t>(stream.open.size()));
            for (const OutboxNumber n : stream.open)
                out.id(n);
        });
    }
    dirty_.clear();
}

Status RepeatFilters::load_record(std::string_view key, std::string_view value) {
    RecordReader in(value);
    const uint8_t version = in.u8();
    OutboxStream name;
    name.source = in.id<ShardId>();
    name.generation = in.id<Generation>();
    name.target = OutboxTarget::read(in);
    Stream stream;
    stream.high = in.id<OutboxNumber>();
    const uint32_t seen = in.u32();
    for (uint32_t i = 0; i < seen && !in.failed(); ++i)
        stream.seen.insert(in.id<OutboxNumber>());
    const uint32_t open = in.u32();
    for (uint32_t i = 0; i < open && !in.failed(); ++i)
        stream.open.insert(in.id<OutboxNumber>());
    if (!in.finished() || version != kVersion || stream.seen.size() != seen ||
        stream.open.size() != open || key != key_of(name)) {
        return corrupt_record("repeat filter", key);
    }
    if (!mutated(RuleMutant::RepeatsNotLoaded)) streams_.emplace(name, std::move(stream));
    return {};
}

Status RepeatFilters::load(const storage::StateStore& store) {
    Status result;
    const Status scanned = store.scan(StateKey(Family::Repeats).view(), family_end(Family::Repeats),
                                      [&](std::string_view key, std::string_view value) {
                                          result = load_record(key, value);
                                          return result.ok();
                                      });
    return scanned.ok() ? result : scanned;
}

std::size_t RepeatFilters::seen(const OutboxStream& stream) const {
    const auto found = streams_.find(stream);
    return found == streams_.end() ? 0 : found->second.seen.size();
}

uint64_t RepeatFilters::digest() const {
    std::string bytes;
    RecordWriter out(bytes);
    for (const auto& [name, stream] : streams_) {
        out.text(key_of(name));
        out.id(stream.high);
        out.u32(static_cast<uint32_t>(stream.seen.size()));
        for (const OutboxNumber n : stream.seen)
            out.id(n);
        for (const OutboxNumber n : stream.open)
            out.id(n);
    }
    return hash64(bytes);
}

}  // namespace quorate::cluster
