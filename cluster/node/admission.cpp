#include "cluster/node/admission.h"

#include <utility>

#include "cluster/group/group_ids.h"
#include "proto/base/bytes.h"

namespace quorate::cluster {
namespace {

constexpr uint8_t kVersion = 1;

std::string read_text(RecordReader& in) {
    const std::string_view text = in.text();
    if (text.size() > MetaState::kTextMax) in.fail();
    return std::string(text);
}

}  // namespace

raft::Configuration newcomers_configuration(const MetaGroup& group, ReplicaId replica) {
    raft::Configuration out = group.configured;
    std::erase(out.learners, replica);
    return out;
}

Admission admission_of(const MetaState& meta, NodeId node) {
    Admission out;
    out.cluster_id = meta.cluster_id();
    out.layout = meta.cluster().layout;
    out.node = node;
    for (const auto& [id, each] : meta.nodes()) {
        if (each.state != NodeState::Gone) out.members.push_back({id, each.name, each.address});
    }
    const MetaGroup* group = meta.group(kMetaGroup);
    if (group == nullptr || meta.node(node) == nullptr) return out;
    out.replica = group->target_on(node);
    out.configuration = newcomers_configuration(*group, out.replica);
    // It votes already: only a copy that was lost could be asking.
    if (out.configuration.contains(out.replica)) out.replica = ReplicaId();
    return out;
}

std::string encode(const AdmissionRequest& request) {
    std::string bytes;
    RecordWriter out(bytes);
    out.u8(kVersion);
    out.u64(request.token);
    out.text(request.name);
    out.text(request.address);
    return bytes;
}

Result<AdmissionRequest> decode_admission_request(std::string_view bytes) {
    RecordReader in(bytes);
    const uint8_t version = in.u8();
    AdmissionRequest request;
    request.token = in.u64();
    request.name = read_text(in);
    request.address = read_text(in);
    if (version == kVersion && in.finished() && request.token != 0) return request;
    return Error{ErrorCode::Corrupt, "not the request of a node that joins"};
}

std::string encode(const Admission& admission) {
    std::string bytes;
    RecordWriter out(bytes);
    out.u8(kVersion);
    out.u8(static_cast<uint8_t>(admission.code));
    out.u64(admission.cluster_id);
    out.u32(admission.layout.shards);
    out.u32(admission.layout.topic_hash_levels);
    out.id(admission.node);
    out.id(admission.replica);
    out.text(raft::encode(admission.configuration));
    out.u32(static_cast<uint32_t>(admission.members.size()));
    for (const Admission::Member& member : admission.members) {
        out.id(member.node);
        out.text(member.name);
        out.text(member.address);
    }
    return bytes;
}

Result<Admission> decode_admission(std::string_view bytes) {
    const Error damaged{ErrorCode::Corrupt, "not an answer to a node that joins"};
    RecordReader in(bytes);
    const uint8_t version = in.u8();
    Admission out;
    const uint8_t code = in.u8();
    out.code = static_cast<MetaCode>(code);
    out.cluster_id = in.u64();
    out.layout.shards = in.u32();
    out.layout.topic_hash_levels = in.u32();
    out.node = in.id<NodeId>();
    out.replica = in.id<ReplicaId>();
    const auto configuration = raft::decode_configuration(in.text());
    const uint32_t members = in.u32();
    if (version != kVersion || in.failed() ||
        code > static_cast<uint8_t>(MetaCode::LimitExceeded) || members > MetaState::kNodesMax) {
        return damaged;
    }
    for (uint32_t i = 0; i < members && !in.failed(); ++i) {
        Admission::Member& member = out.members.emplace_back();
        member.node = in.id<NodeId>();
        member.name = read_text(in);
        member.address = read_text(in);
    }
    if (!in.finished()) return damaged;
    if (configuration) out.configuration = *configuration;
    const bool placed = out.replica.value() != 0;
    if (placed && (!configuration || out.cluster_id == 0 || out.layout.shards == 0)) return damaged;
    return out;
}

}  // namespace quorate::cluster
