#include "cluster/sessions/shared_groups.h"

#include <algorithm>

#include "cluster/topics/state_key.h"
#include "proto/base/assert.h"
#include "proto/base/hash.h"
#include "storage/keys.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {

constexpr uint8_t kVersion = 1;

std::string group_key(std::string_view name) {
    return std::string(StateKey(Family::Group).last_text(name).view());
}

StateKey message_key(uint64_t group, MessageNumber number) {
    return StateKey(Family::GroupEntry).u64(group).u64(number.value());
}

void write_group(RecordWriter& out, const SharedGroup& group) {
    out.u8(kVersion);
    out.u64(group.id);
    out.id(group.next);
    out.id(group.purge_at);
    out.u32(static_cast<uint32_t>(group.members.size()));
    for (const GroupMember& member : group.members) {
        member.member.write(out);
        out.u8(static_cast<uint8_t>(member.qos));
        out.id(member.serial);
    }
}

void write_message(RecordWriter& out, const GroupMessage& message) {
    out.u8(kVersion);
    out.id(message.body);
    out.u32(message.bytes);
    out.id(message.expires_at);
    out.u8(message.qos);
}

bool on_node(const Destination& member, Incarnation node) {
    return member.kind == DestinationKind::Connection && node_of(member.node) == node_of(node) &&
           member.node <= node;
}

}  // namespace

bool SharedGroup::any_durable() const {
    return std::ranges::any_of(members, &GroupMember::durable);
}

const GroupMember* SharedGroup::find(const Destination& member) const {
    const auto at = std::ranges::find(members, member, &GroupMember::member);
    return at == members.end() ? nullptr : &*at;
}

SharedGroup* SharedGroups::find(std::string_view name) {
    const auto found = groups_.find(name);
    return found == groups_.end() ? nullptr : &found->second;
}
const SharedGroup* SharedGroups::find(std::string_view name) const {
    const auto found = groups_.find(name);
    return found == groups_.end() ? nullptr : &found->second;
}
SharedGroup* SharedGroups::find(uint64_t id) {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second;
}

SharedGroup& SharedGroups::get(std::string_view name) {
    if (SharedGroup* group = find(name)) return *group;
    SharedGroup& group = groups_[std::string(name)];
    group.id = next_id_++;
    group.name = name;
    by_id_.emplace(group.id, &group);
    mark(group);
    return group;
}

bool SharedGroups::change_member(SharedGroup& group, const GroupMember& member, bool remove) {
    const auto at = std::ranges::find(group.members, member.member, &GroupMember::member);
    if (at == group.members.end()) {
        if (remove) return false;
        group.members.push_back(member);
    } else {
        if (member.serial <= at->serial) return false;
        if (remove) {
            group.members.erase(at);
        } else {
            *at = member;
        }
    }
    mark(group);
    return true;
}

std::optional<mqtt::QoS> SharedGroups::best_qos(const SharedGroup& group) {
    if (group.members.empty()) return std::nullopt;
    return std::ranges::max_element(group.members, {}, &GroupMember::qos)->qos;
}

std::vector<std::string> SharedGroups::with_node(Incarnation node, std::size_t max) const {
    std::vector<std::string> out;
    for (const auto& [name, group] : groups_) {
        if (out.size() == max) break;
        const auto here = [node](const GroupMember& m) { return on_node(m.member, node); };
        if (std::ranges::any_of(group.members, here)) out.push_back(name);
    }
    return out;
}

void SharedGroups::remove_node(SharedGroup& group, Incarnation node) {
    std::erase_if(group.members,
                  [node](const GroupMember& member) { return on_node(member.member, node); });
    mark(group);
}

MessageNumber SharedGroups::push(SharedGroup& group, const GroupMessage& message,
                                 storage::StateBatch& batch) {
    const MessageNumber number = group.next;
    ++group.next;
    group.bytes += message.bytes;
    group.messages.emplace_hint(group.messages.end(), number, message);
    mark(group);
    batch.put_with(message_key(group.id, number).view(),
                   [&](RecordWriter& out) { write_message(out, message); });
    return number;
}

std::optional<GroupMessage> SharedGroups::take(SharedGroup& group, MessageNumber number,
                                               storage::StateBatch& batch) {
    const auto found = group.messages.find(number);
    if (found == group.messages.end()) return std::nullopt;
    const GroupMessage message = found->second;
    group.bytes -= message.bytes;
    group.messages.erase(found);
    batch.remove(message_key(group.id, number).view());
    return message;
}

void SharedGroups::erase(SharedGroup& group, storage::StateBatch& batch) {
    ASSERT(group.messages.empty(), "a group is erased with messages");
    batch.remove(group_key(group.name));
    by_id_.erase(group.id);
    groups_.erase(group.name);
}

void SharedGroups::mark(SharedGroup& group) {
    if (!group.dirty) dirty_.push_back(group.name);
    group.dirty = true;
}

void SharedGroups::end_entry(storage::StateBatch& batch) {
    for (const std::string& name : dirty_) {
        SharedGroup* group = find(name);
        if (group == nullptr) continue;
        group->dirty = false;
        batch.put_with(group_key(name), [&](RecordWriter& out) { write_group(out, *group); });
    }
    dirty_.clear();
}

uint64_t SharedGroups::digest() const {
    std::string bytes;
    RecordWriter out(bytes);
    out.u64(next_id_);
    for (const auto& [name, group] : groups_) {
        out.text(name);
        write_group(out, group);
        for (const auto& [number, message] : group.messages) {
            out.id(number);
            write_message(out, message);
        }
    }
    return hash64(bytes);
}

Status SharedGroups::load_group(std::string_view key, std::string_view value) {
    RecordReader in(value);
    const uint8_t version = in.u8();
    SharedGroup group;
    group.id = in.u64();
    group.next = in.id<MessageNumber>();
    group.purge_at = in.id<ClusterTime>();
    const uint32_t members = in.u32();
    bool sane = version == kVersion && !key.empty();
    for (uint32_t i = 0; i < members && !in.failed(); ++i) {
        GroupMember member;
        member.member = Destination::read(in);
        const uint8_t qos = in.u8();
        member.qos = static_cast<mqtt::QoS>(qos);
        member.serial = in.id<RouteSerial>();
        sane = sane && qos <= 2;
        group.members.push_back(member);
    }
    if (!sane || !in.finished() || group.id == 0 || group.id >= next_id_ ||
        group.next.value() == 0 || by_id_.contains(group.id)) {
        return corrupt_record("shared group", key);
    }
    group.name = key.substr(1);
    SharedGroup& kept = groups_[group.name];
    kept = std::move(group);
    by_id_.emplace(kept.id, &kept);
    return {};
}

Status SharedGroups::load_message(std::string_view key, std::string_view value,
                                  MessageStore& bodies) {
    storage::KeyReader at(key);
    at.u8();
    SharedGroup* group = find(at.u64());
    const MessageNumber number(at.u64());
    RecordReader in(value);
    const uint8_t version = in.u8();
    GroupMessage message;
    message.body = in.id<BodyId>();
    message.bytes = in.u32();
    message.expires_at = in.id<ClusterTime>();
    message.qos = in.u8();
    if (at.failed() || !at.rest().empty() || group == nullptr || number.value() == 0 ||
        number >= group->next || !in.finished() || version != kVersion || message.qos > 2 ||
        !bodies.restore_reference(message.body)) {
        return corrupt_record("shared group message", key);
    }
    group->bytes += message.bytes;
    group->messages.emplace(number, message);
    return {};
}

Status SharedGroups::load(const storage::StateStore& store, MessageStore& bodies, Timers& timers) {
    Status result;
    Status scanned = store.scan(StateKey(Family::Group).view(), family_end(Family::Group),
                                [&](std::string_view key, std::string_view value) {
                                    result = load_group(key, value);
                                    return result.ok();
                                });
    if (!scanned.ok() || !result.ok()) return scanned.ok() ? result : scanned;
    scanned = store.scan(StateKey(Family::GroupEntry).view(), family_end(Family::GroupEntry),
                         [&](std::string_view key, std::string_view value) {
                             result = load_message(key, value, bodies);
                             return result.ok();
                         });
    for (const auto& [name, group] : groups_) {
        timers.restore(group.purge_at, TimerKind::GroupPurge, group.id);
    }
    return scanned.ok() ? result : scanned;
}

}  // namespace quorate::cluster
