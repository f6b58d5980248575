#include "cluster/meta/meta_state.h"

#include <algorithm>
#include <string>
#include <utility>

#include "cluster/meta/replica_id.h"
#include "cluster/topics/state_key.h"
#include "proto/base/hash.h"
#include "storage/state_store.h"

namespace quorate::cluster {
namespace {

// The byte after the family; the cluster's own key ends before it.
constexpr uint8_t kNodeKind = 1;
constexpr uint8_t kGroupKind = 2;

StateKey node_key(NodeId id) {
    StateKey key(Family::Meta);
    key.u8(kNodeKind).u32(id.value());
    return key;
}

StateKey group_key(GroupId id) {
    StateKey key(Family::Meta);
    key.u8(kGroupKind).u32(id.value());
    return key;
}

template <typename Record>
void put(storage::StateBatch& batch, const StateKey& key, const Record& record) {
    batch.put_with(key.view(), [&record](RecordWriter& out) { write_record(out, record); });
}

}  // namespace

Result<MetaAnswer> MetaState::apply(std::string_view command, storage::StateBatch& batch) {
    const auto decoded = decode_meta_command(command);
    if (!decoded.ok()) return decoded.error();
    MetaAnswer answer;
    answer.token = decoded->token;
    const bool forms = std::holds_alternative<FormCluster>(decoded->body);
    if (!forms && cluster_.id == 0) {
        answer.code = MetaCode::NotFormed;
        return answer;
    }
    changed_ = Changed{};
    std::visit([&](const auto& body) { on(body, answer); }, decoded->body);
    answer.cluster_id = cluster_.id;
    write(batch);
    return answer;
}

void MetaState::write(storage::StateBatch& batch) const {
    if (changed_.cluster) put(batch, StateKey(Family::Meta), cluster_);
    for (const NodeId id : changed_.nodes) {
        const MetaNode* changed = node(id);
        if (changed == nullptr) {
            batch.remove(node_key(id).view());
        } else {
            put(batch, node_key(id), *changed);
        }
    }
    for (const GroupId id : changed_.groups)
        put(batch, group_key(id), *group(id));
}

const MetaNode* MetaState::node(NodeId id) const {
    const auto found = nodes_.find(id);
    return found == nodes_.end() ? nullptr : &found->second;
}

const MetaGroup* MetaState::group(GroupId id) const {
    const auto found = groups_.find(id);
    return found == groups_.end() ? nullptr : &found->second;
}

MetaNode* MetaState::change_node(NodeId id) {
    const auto found = nodes_.find(id);
    if (found == nodes_.end()) return nullptr;
    changed_.nodes.insert(id);
    return &found->second;
}

MetaGroup* MetaState::change_group(GroupId id) {
    const auto found = groups_.find(id);
    if (found == groups_.end()) return nullptr;
    changed_.groups.insert(id);
    return &found->second;
}

bool MetaState::down(Incarnation incarnation) const {
    const MetaNode* found = node(node_of(incarnation));
    return found == nullptr || incarnation < found->first_up;
}

bool MetaState::holds(NodeId id) const {
    return std::ranges::any_of(groups_, [id](const auto& entry) {
        const MetaGroup& group = entry.second;
        if (group.target_on(id).value() != 0) return true;
        bool configured = false;
        group.configured.for_each(
            [&](ReplicaId replica) { configured = configured || node_of(replica) == id; });
        return configured;
    });
}

Status MetaState::take(std::string_view key, std::string_view value) {
    RecordReader in(value);
    RecordReader at(key);
    at.u8();
    if (at.finished()) {
        if (read_record(in, cluster_)) return {};
        const bool earlier = !value.empty() && value.front() == 1;
        if (!earlier) return corrupt_record("meta", key);
        return Error{ErrorCode::Corrupt,
                     "the cluster's records are of an earlier version of this program, which this "
                     "one cannot read; start with that version or with an empty data directory"};
    }
    const uint8_t kind = at.u8();
    const std::string_view number = at.raw(sizeof(uint32_t));
    if (!at.finished()) return corrupt_record("meta", key);
    uint32_t id = 0;  // big-endian, as all keys
    for (const char byte : number)
        id = (id << 8U) | static_cast<uint8_t>(byte);
    if (kind == kNodeKind && read_record(in, nodes_[NodeId(id)])) return {};
    if (kind == kGroupKind && read_record(in, groups_[GroupId(id)])) return {};
    return corrupt_record("meta", key);
}

bool MetaState::consistent() const {
    if (cluster_.id == 0) return nodes_.empty() && groups_.empty();
    const auto known = [this](ReplicaId replica) {
        const MetaNode* found = node(node_of(replica));
        return found != nullptr && number_of(replica) > 0 &&
               number_of(replica) < found->next_replica;
    };
    const auto sound_node = [this](const auto& entry) {
        const auto& [id, node] = entry;
        return id.value() > 0 && id < cluster_.next_node &&
               node.running < make_incarnation(id, node.next_incarnation);
    };
    const auto sound_group = [&known](const auto& entry) {
        bool sound = true;
        const auto check = [&](ReplicaId replica) { sound = sound && known(replica); };
        entry.second.target().for_each(check);
        entry.second.configured.for_each(check);
        return sound;
    };
    return nodes_.size() <= kNodesMax && groups_.size() <= kGroupsMax &&
           std::ranges::all_of(nodes_, sound_node) && std::ranges::all_of(groups_, sound_group);
}

Status MetaState::load(const storage::StateStore& store) {
    cluster_ = MetaCluster{};
    nodes_.clear();
    groups_.clear();
    Status taken;
    const StateKey first(Family::Meta);
    const Status scanned = store.scan(first.view(), family_end(Family::Meta),
                                      [&](std::string_view key, std::string_view value) {
                                          taken = take(key, value);
                                          return taken.ok();
                                      });
    if (!scanned.ok()) return scanned;
    if (!taken.ok() || consistent()) return taken;
    return Error{ErrorCode::Corrupt, "the records of meta contradict each other"};
}

uint64_t MetaState::digest() const {
    std::string bytes;
    RecordWriter out(bytes);
    write_record(out, cluster_);
    for (const auto& [id, node] : nodes_) {
        out.id(id);
        write_record(out, node);
    }
    for (const auto& [id, group] : groups_) {
        out.id(id);
        write_record(out, group);
    }
    return hash64(bytes);
}

}  // namespace quorate::cluster
