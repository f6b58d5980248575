#include "cluster/meta/meta_records.h"

#include <algorithm>
#include <utility>

#include "cluster/meta/replica_id.h"

namespace quorate::cluster {
namespace {

// Version 1 held all of meta in one record.
constexpr uint8_t kVersion = 2;

using Ids = std::vector<ReplicaId>;

void write_ids(RecordWriter& out, const Ids& ids) {
    out.u32(static_cast<uint32_t>(ids.size()));
    for (const ReplicaId id : ids)
        out.id(id);
}

Ids read_ids(RecordReader& in) {
    const uint32_t count = in.u32();
    if (in.rest().size() / sizeof(uint64_t) < count) {
        in.fail();
        return {};
    }
    Ids ids(count);
    for (ReplicaId& id : ids)
        id = in.id<ReplicaId>();
    return ids;
}

ReplicaId find_on(const Ids& ids, NodeId node) {
    const auto found =
        std::ranges::find_if(ids, [node](ReplicaId id) { return node_of(id) == node; });
    return found == ids.end() ? ReplicaId() : *found;
}

}  // namespace

const char* to_string(NodeState state) {
    switch (state) {
        case NodeState::Active:
            return "active";
        case NodeState::Draining:
            return "draining";
        case NodeState::Leaving:
            return "leaving";
        case NodeState::Gone:
            return "gone";
    }
    return "unknown";
}

raft::Configuration MetaGroup::target() const {
    raft::Configuration out{voters, {}, learners};
    std::ranges::sort(out.voters);
    return out;
}

ReplicaId MetaGroup::target_on(NodeId node) const {
    const ReplicaId voter = find_on(voters, node);
    return voter.value() != 0 ? voter : find_on(learners, node);
}

ReplicaId MetaGroup::configured_on(NodeId node) const {
    const ReplicaId lost = find_on(voided, node);
    ReplicaId best;
    configured.for_each([&](ReplicaId id) {
        if (node_of(id) == node && id > lost) best = std::max(best, id);
    });
    return best;
}

bool MetaGroup::targets(ReplicaId replica) const {
    return std::ranges::find(voters, replica) != voters.end() ||
           std::ranges::find(learners, replica) != learners.end();
}

void write_record(RecordWriter& out, const MetaCluster& cluster) {
    out.u8(kVersion);
    out.u64(cluster.id);
    out.u32(cluster.layout.shards);
    out.u32(cluster.layout.topic_hash_levels);
    out.u32(cluster.replication_factor);
    out.id(cluster.next_node);
}

bool read_record(RecordReader& in, MetaCluster& cluster) {
    const uint8_t version = in.u8();
    cluster.id = in.u64();
    cluster.layout.shards = in.u32();
    cluster.layout.topic_hash_levels = in.u32();
    cluster.replication_factor = in.u32();
    cluster.next_node = in.id<NodeId>();
    return version == kVersion && in.finished() && cluster.id != 0;
}

void write_record(RecordWriter& out, const MetaNode& node) {
    out.u8(kVersion);
    out.text(node.name);
    out.text(node.address);
    out.u8(static_cast<uint8_t>(node.state));
    out.text(node.note);
    out.id(node.replaced_by);
    out.id(node.running);
    out.id(node.first_up);
    out.u32(node.next_incarnation);
    out.u32(node.next_replica);
    out.u64(node.join_token);
    out.u64(node.start_token);
}

bool read_record(RecordReader& in, MetaNode& node) {
    const uint8_t version = in.u8();
    node.name = in.text();
    node.address = in.text();
    const uint8_t state = in.u8();
    node.state = static_cast<NodeState>(state);
    node.note = in.text();
    node.replaced_by = in.id<NodeId>();
    node.running = in.id<Incarnation>();
    node.first_up = in.id<Incarnation>();
    node.next_incarnation = in.u32();
    node.next_replica = in.u32();
    node.join_token = in.u64();
    node.start_token = in.u64();
    return version == kVersion && in.finished() && state <= static_cast<uint8_t>(NodeState::Gone) &&
           node.next_incarnation > 0 && node.next_replica > 0;
}

void write_record(RecordWriter& out, const MetaGroup& group) {
    out.u8(kVersion);
    out.u64(group.version);
    write_ids(out, group.voters);
    write_ids(out, group.learners);
    out.id(group.configured_index);
    out.text(raft::encode(group.configured));
    write_ids(out, group.voided);
}

bool read_record(RecordReader& in, MetaGroup& group) {
    const uint8_t version = in.u8();
    group.version = in.u64();
    group.voters = read_ids(in);
    group.learners = read_ids(in);
    group.configured_index = in.id<LogIndex>();
    auto configured = raft::decode_configuration(in.text());
    if (configured) group.configured = std::move(*configured);
    group.voided = read_ids(in);
    return version == kVersion && in.finished() && configured && raft::valid(group.target());
}

}  // namespace quorate::cluster
