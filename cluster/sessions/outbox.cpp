#include "cluster/sessions/outbox.h"

#include "cluster/mutants.h"
#include "cluster/topics/state_key.h"
#include "proto/base/hash.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {

constexpr uint8_t kVersion = 1;

void write_entry(RecordWriter& out, const OutboxTarget& target, OutboxNumber number,
                 const OutboxEntry& entry) {
    out.u8(kVersion);
    target.write(out);
    out.id(number);
    out.id(entry.body);
    out.u32(entry.bytes);
    out.id(entry.expires_at);
    out.u8(entry.qos);
    out.text(entry.group);
    entry.member.write(out);
}

}  // namespace

std::string Outbox::key_of(Family family, const OutboxTarget& target, OutboxNumber number) {
    StateKey key(family);
    key.u8(static_cast<uint8_t>(target.kind)).u32(target.shard.value()).u64(target.node.value());
    if (number.value() != 0) key.u64(number.value());
    return std::string(key.view());
}

void Outbox::mark_dirty(const OutboxTarget& name, Target& target) {
    if (!target.dirty) dirty_.push_back(name);
    target.dirty = true;
}

void Outbox::account(const OutboxEntry& entry, bool added) {
    if (added) {
        ++entries_;
        bytes_ += entry.bytes;
    } else {
        --entries_;
        bytes_ -= entry.bytes;
    }
}

OutboxNumber Outbox::put(const OutboxTarget& name, OutboxEntry entry, storage::StateBatch& batch) {
    Target& target = targets_[name];
    const OutboxNumber number = target.next;
    ++target.next;
    mark_dirty(name, target);
    account(entry, true);
    batch.put_with(key_of(Family::OutboxEntry, name, number),
                   [&](RecordWriter& out) { write_entry(out, name, number, entry); });
    target.entries.emplace_hint(target.entries.end(), number, std::move(entry));
    return number;
}

std::optional<OutboxEntry> Outbox::done(const OutboxTarget& name, OutboxNumber number,
                                        storage::StateBatch& batch) {
    const auto found = targets_.find(name);
    if (found == targets_.end()) return std::nullopt;
    Target& target = found->second;
    const auto at = target.entries.find(number);
    if (at == target.entries.end()) return std::nullopt;
    OutboxEntry entry = std::move(at->second);
    target.entries.erase(at);
    account(entry, false);
    if (number > target.high) target.high = number;
    mark_dirty(name, target);
    batch.remove(key_of(Family::OutboxEntry, name, number));
    return entry;
}

std::vector<OutboxEntry> Outbox::take_node(Incarnation node, std::size_t max,
                                           storage::StateBatch& batch) {
    const OutboxTarget name{OutboxTargetKind::Node, ShardId(), node};
    std::vector<OutboxEntry> taken;
    const auto found = targets_.find(name);
    if (found == targets_.end()) return taken;
    while (taken.size() < max && !found->second.entries.empty()) {
        taken.push_back(*done(name, found->second.entries.begin()->first, batch));
    }
    if (taken.empty()) {
        targets_.erase(found);
        batch.remove(key_of(Family::OutboxTarget, name, {}));
    }
    return taken;
}

OutboxSource Outbox::source_of(const OutboxTarget& name, const Target& target,
                               OutboxNumber number) const {
    OutboxSource source;
    source.stream = {source_, generation_, name};
    source.number = number;
    source.high = target.high;
    for (const auto& [open, entry] : target.entries) {
        if (open > target.high) break;
        source.unfinished.push_back(open);
    }
    return source;
}

std::vector<OutboxTarget> Outbox::targets() const {
    std::vector<OutboxTarget> out;
    for (const auto& [name, target] : targets_) {
        if (!target.entries.empty()) out.push_back(name);
    }
    return out;
}

std::vector<Incarnation> Outbox::nodes() const {
    std::vector<Incarnation> out;
    for (const auto& [name, target] : targets_) {
        if (name.kind == OutboxTargetKind::Node) out.push_back(name.node);
    }
    return out;
}

void Outbox::end_entry(storage::StateBatch& batch) {
    for (const OutboxTarget& name : dirty_) {
        const auto found = targets_.find(name);
        if (found == targets_.end()) continue;
        found->second.dirty = false;
        batch.put_with(key_of(Family::OutboxTarget, name, {}), [&](RecordWriter& out) {
            out.u8(kVersion);
            name.write(out);
            out.id(found->second.next);
            out.id(found->second.high);
        });
    }
    dirty_.clear();
}

Status Outbox::load_target(std::string_view key, std::string_view value) {
    RecordReader in(value);
    const uint8_t version = in.u8();
    const OutboxTarget name = OutboxTarget::read(in);
    Target target;
    target.next = in.id<OutboxNumber>();
    target.high = in.id<OutboxNumber>();
    if (!in.finished() || version != kVersion || target.high >= target.next ||
        key != key_of(Family::OutboxTarget, name, {})) {
        return corrupt_record("outbox target", key);
    }
    targets_.emplace(name, std::move(target));
    return {};
}

Status Outbox::load_entry(std::string_view key, std::string_view value, MessageStore& bodies) {
    RecordReader in(value);
    const uint8_t version = in.u8();
    const OutboxTarget name = OutboxTarget::read(in);
    const auto number = in.id<OutboxNumber>();
    OutboxEntry entry;
    entry.body = in.id<BodyId>();
    entry.bytes = in.u32();
    entry.expires_at = in.id<ClusterTime>();
    entry.qos = in.u8();
    entry.group = in.text();
    entry.member = Destination::read(in);
    const auto target = targets_.find(name);
    if (!in.finished() || version != kVersion || entry.qos > 2 || number.value() == 0 ||
        target == targets_.end() || number >= target->second.next ||
        key != key_of(Family::OutboxEntry, name, number) || !bodies.restore_reference(entry.body)) {
        return corrupt_record("outbox", key);
    }
    if (mutated(RuleMutant::OutboxForgotten)) return {};
    account(entry, true);
    target->second.entries.emplace(number, std::move(entry));
    return {};
}

Status Outbox::load(const storage::StateStore& store, MessageStore& bodies) {
    Status result;
    Status scanned =
        store.scan(StateKey(Family::OutboxTarget).view(), family_end(Family::OutboxTarget),
                   [&](std::string_view key, std::string_view value) {
                       result = load_target(key, value);
                       return result.ok();
                   });
    if (!scanned.ok() || !result.ok()) return scanned.ok() ? result : scanned;
    scanned = store.scan(StateKey(Family::OutboxEntry).view(), family_end(Family::OutboxEntry),
                         [&](std::string_view key, std::string_view value) {
                             result = load_entry(key, value, bodies);
                             return result.ok();
                         });
    return scanned.ok() ? result : scanned;
}

uint64_t Outbox::digest() const {
    std::string bytes;
    RecordWriter out(bytes);
    out.id(generation_);
    for (const auto& [name, target] : targets_) {
        name.write(out);
        out.id(target.next);
        out.id(target.high);
        for (const auto& [number, entry] : target.entries)
            write_entry(out, name, number, entry);
    }
    return hash64(bytes);
}

}  // namespace quorate::cluster
