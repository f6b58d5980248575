#include "cluster/shard/producers.h"

#include <algorithm>

#include "cluster/mutants.h"
#include "cluster/topics/state_key.h"
#include "proto/base/bytes.h"
#include "proto/base/hash.h"
#include "storage/keys.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kVersionRefused = 2;  // of a lane: with refused numbers

StateKey lane_key(const Lane& lane) {
    return StateKey(Family::Lane)
        .u64(lane.incarnation.value())
        .u16(lane.producer)
        .u8(static_cast<uint8_t>(lane.lane_class));
}

void put_number(storage::StateBatch& batch, std::string_view key, uint64_t value) {
    batch.put_with(key, [value](RecordWriter& out) {
        out.u8(kVersion);
        out.u64(value);
    });
}

}  // namespace

LaneVerdict Producers::check(const CommandHeader& header) {
    if (header.lane.lane_class == LaneClass::Leader) return LaneVerdict::Apply;
    const auto found = lanes_.find(header.lane);
    if (found == lanes_.end()) {
        const bool fenced =
            down(header.lane.incarnation) && !mutated(RuleMutant::NoIncarnationFence);
        if (fenced) return LaneVerdict::Fenced;
        if (header.number.value() != 1 && !mutated(RuleMutant::GapApplied)) {
            return LaneVerdict::Gap;
        }
        lanes_[header.lane].last = header.number;
    } else {
        CommandNumber& last = found->second.last;
        const bool repeat = header.number <= last;
        if (repeat && !mutated(RuleMutant::DuplicateApplied)) return repeated(header);
        const bool gap = header.number > last.next();
        if (gap && !mutated(RuleMutant::GapApplied)) return LaneVerdict::Gap;
        last = std::max(last, header.number);
    }
    dirty_lanes_.insert(header.lane);
    if (!header.fence) return LaneVerdict::Apply;
    Term& heard = heard_[header.fence->source];
    if (header.fence->term < heard && !mutated(RuleMutant::NoTermFence)) {
        return LaneVerdict::StaleSource;
    }
    if (header.fence->term > heard) {
        heard = header.fence->term;
        dirty_heard_.insert(header.fence->source);
    }
    return LaneVerdict::Apply;
}

// It may have been refused for its term the first time; told "applied" now, a deposed owner would
// acknowledge what never came here. One that was applied, and is stale by now, is refused as well:
// its sender comes back, and a repeat does no harm.
LaneVerdict Producers::repeated(const CommandHeader& header) const {
    if (!header.fence || mutated(RuleMutant::StaleRepeatSucceeds)) return LaneVerdict::Duplicate;
    const auto heard = heard_.find(header.fence->source);
    const bool stale = heard != heard_.end() && header.fence->term < heard->second;
    return stale ? LaneVerdict::StaleSource : LaneVerdict::Duplicate;
}

CommandNumber Producers::expected(const Lane& lane) const {
    const auto found = lanes_.find(lane);
    return found == lanes_.end() ? CommandNumber(1) : found->second.last.next();
}

void Producers::note_refused(const CommandHeader& header) {
    const auto found = lanes_.find(header.lane);
    if (found == lanes_.end() || found->second.last != header.number) return;
    Counted& lane = found->second;
    if (!lane.refused.empty() && lane.refused.back() == header.number) return;
    if (lane.refused.size() == kRefusedMax) {
        lane.forgotten = lane.refused.front();
        lane.refused.erase(lane.refused.begin());
    }
    lane.refused.push_back(header.number);
    dirty_lanes_.insert(header.lane);
}

bool Producers::was_refused(const CommandHeader& header) const {
    const auto found = lanes_.find(header.lane);
    if (found == lanes_.end()) return false;
    return header.number <= found->second.forgotten ||
           std::ranges::binary_search(found->second.refused, header.number);
}

void Producers::node_down(Incarnation incarnation, storage::StateBatch& batch) {
    Incarnation& first_up = first_up_[node_of(incarnation)];
    if (incarnation < first_up) return;
    first_up = incarnation.next();
    put_number(batch, StateKey(Family::MinIncarnation).u32(node_of(incarnation).value()).view(),
               first_up.value());
    const Lane first{make_incarnation(node_of(incarnation), 0), 0, LaneClass::Control};
    for (auto at = lanes_.lower_bound(first);
         at != lanes_.end() && at->first.incarnation <= incarnation;) {
        batch.remove(lane_key(at->first).view());
        dirty_lanes_.erase(at->first);
        at = lanes_.erase(at);
    }
}

bool Producers::down(Incarnation incarnation) const {
    const auto found = first_up_.find(node_of(incarnation));
    return found != first_up_.end() && incarnation < found->second;
}

std::vector<Incarnation> Producers::incarnations() const {
    std::vector<Incarnation> out;
    for (const auto& [lane, counted] : lanes_) {
        if (out.empty() || out.back() != lane.incarnation) out.push_back(lane.incarnation);
    }
    return out;
}

void Producers::put(storage::StateBatch& batch, const Lane& lane, const Counted& counted) {
    if (counted.refused.empty()) {
        put_number(batch, lane_key(lane).view(), counted.last.value());
        return;
    }
    batch.put_with(lane_key(lane).view(), [&counted](RecordWriter& out) {
        out.u8(kVersionRefused);
        out.id(counted.last);
        out.id(counted.forgotten);
        out.u8(static_cast<uint8_t>(counted.refused.size()));
        for (const CommandNumber number : counted.refused)
            out.id(number);
    });
}

bool Producers::read(RecordReader& in, Counted& counted) {
    const uint8_t version = in.u8();
    counted.last = in.id<CommandNumber>();
    if (version == kVersion) return in.finished() && counted.last.value() != 0;
    counted.forgotten = in.id<CommandNumber>();
    const uint8_t count = in.u8();
    CommandNumber before = counted.forgotten;
    bool good = version == kVersionRefused && count > 0 && count <= kRefusedMax;
    for (uint8_t i = 0; i < count && good && !in.failed(); ++i) {
        const auto number = in.id<CommandNumber>();
        good = number > before && number <= counted.last;
        counted.refused.push_back(number);
        before = number;
    }
    return good && in.finished();
}

void Producers::end_entry(storage::StateBatch& batch) {
    for (const Lane& lane : dirty_lanes_) {
        put(batch, lane, lanes_.at(lane));
    }
    for (const ShardId source : dirty_heard_) {
        put_number(batch, StateKey(Family::Heard).u32(source.value()).view(),
                   heard_.at(source).value());
    }
    dirty_lanes_.clear();
    dirty_heard_.clear();
}

Status Producers::load_record(std::string_view key, std::string_view value) {
    storage::KeyReader at(key);
    RecordReader in(value);
    const auto family = static_cast<Family>(at.u8());
    bool good = false;
    if (family == Family::Lane) {
        Lane lane;
        lane.incarnation = Incarnation(at.u64());
        lane.producer = at.u16();
        const uint8_t lane_class = at.u8();
        lane.lane_class = static_cast<LaneClass>(lane_class);
        Counted counted;
        good = read(in, counted) && lane_class < static_cast<uint8_t>(LaneClass::Leader);
        if (good && !mutated(RuleMutant::LanesNotLoaded)) {
            lanes_.emplace(lane, std::move(counted));
        }
        if (good && !at.failed() && at.rest().empty()) return {};
        return corrupt_record("lane", key);
    }
    const uint8_t version = in.u8();
    const uint64_t number = in.u64();
    good = in.finished() && version == kVersion;
    if (family == Family::MinIncarnation) {
        const NodeId node(at.u32());
        good = good && node_of(Incarnation(number - 1)) == node && number != 0;
        if (good) first_up_.emplace(node, Incarnation(number));
    } else if (family == Family::Heard) {
        const ShardId source(at.u32());
        if (!mutated(RuleMutant::HeardNotLoaded)) heard_.emplace(source, Term(number));
    } else {
        good = false;
    }
    if (good && !at.failed() && at.rest().empty()) return {};
    return corrupt_record("lane", key);
}

Status Producers::load(const storage::StateStore& store) {
    for (const Family family : {Family::Lane, Family::MinIncarnation, Family::Heard}) {
        Status result;
        const Status scanned = store.scan(StateKey(family).view(), family_end(family),
                                          [&](std::string_view key, std::string_view value) {
                                              result = load_record(key, value);
                                              return result.ok();
                                          });
        if (!scanned.ok()) return scanned;
        if (!result.ok()) return result;
    }
    return {};
}

uint64_t Producers::digest() const {
    std::string bytes;
    RecordWriter out(bytes);
    for (const auto& [lane, counted] : lanes_) {
        out.raw(lane_key(lane).view());
        out.id(counted.last);
        out.id(counted.forgotten);
        for (const CommandNumber refused : counted.refused)
            out.id(refused);
    }
    for (const auto& [node, incarnation] : first_up_) {
        out.id(node);
        out.id(incarnation);
    }
    for (const auto& [source, term] : heard_) {
        out.id(source);
        out.id(term);
    }
    return hash64(bytes);
}

}  // namespace quorate::cluster
