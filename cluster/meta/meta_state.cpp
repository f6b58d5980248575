#include "cluster/meta/meta_state.h"

#include <algorithm>

#include "cluster/topics/state_key.h"
#include "proto/base/hash.h"
#include "storage/state_store.h"

namespace quorate::cluster {

namespace {

constexpr uint8_t kVersion = 1;

void write_body(RecordWriter& out, const FormCluster& body) {
    out.u64(body.cluster_id);
}
void write_body(RecordWriter& out, const JoinNode& body) {
    out.text(body.name);
    out.text(body.address);
}
void write_body(RecordWriter& out, const StartNode& body) {
    out.id(body.node);
    out.text(body.address);
}
void write_body(RecordWriter& out, const NewReplica& body) {
    out.id(body.node);
}
void write_body(RecordWriter& out, const IncarnationDown& body) {
    out.id(body.incarnation);
}
void write_body(RecordWriter& out, const ForgetNode& body) {
    out.id(body.node);
}

// The index of the alternative in MetaCommandBody; part of the stored format.
MetaCommandBody read_body(RecordReader& in, uint8_t kind) {
    switch (kind) {
        case 0:
            return FormCluster{in.u64()};
        case 1: {
            const std::string_view name = in.text();
            return JoinNode{name, in.text()};
        }
        case 2: {
            const auto node = in.id<NodeId>();
            return StartNode{node, in.text()};
        }
        case 3:
            return NewReplica{in.id<NodeId>()};
        case 4:
            return IncarnationDown{in.id<Incarnation>()};
        case 5:
            return ForgetNode{in.id<NodeId>()};
        default:
            in.fail();
            return FormCluster{};
    }
}

}  // namespace

void encode_meta_command(std::string& out, uint64_t token, const MetaCommandBody& body) {
    RecordWriter writer(out);
    writer.u8(kVersion);
    writer.u8(static_cast<uint8_t>(body.index()));
    writer.u64(token);
    std::visit([&writer](const auto& b) { write_body(writer, b); }, body);
}

Result<MetaCommand> decode_meta_command(std::string_view in) {
    RecordReader reader(in);
    const uint8_t version = reader.u8();
    const uint8_t kind = reader.u8();
    MetaCommand command;
    command.token = reader.u64();
    command.body = read_body(reader, kind);
    if (version == kVersion && reader.finished() && command.token != 0) return command;
    return Error{ErrorCode::Corrupt, "not a command of meta"};
}

Result<MetaAnswer> MetaState::apply(std::string_view command, storage::StateBatch& batch) {
    const auto decoded = decode_meta_command(command);
    if (!decoded.ok()) return decoded.error();
    MetaAnswer answer;
    answer.token = decoded->token;
    const bool forms = std::holds_alternative<FormCluster>(decoded->body);
    if (!forms && cluster_id_ == 0) {
        answer.code = MetaCode::NotFormed;
        return answer;
    }
    std::visit([&](const auto& body) { on(body, answer); }, decoded->body);
    answer.cluster_id = cluster_id_;
    batch.put_with(StateKey(Family::Meta).view(), [this](RecordWriter& out) { write(out); });
    return answer;
}

MetaNode* MetaState::find(NodeId node) {
    const auto found = nodes_.find(node);
    return found == nodes_.end() ? nullptr : &found->second;
}

void MetaState::on(const FormCluster& body, MetaAnswer& answer) {
    if (cluster_id_ == 0 && body.cluster_id != 0) {
        cluster_id_ = body.cluster_id;
        return;
    }
    if (cluster_id_ != body.cluster_id) answer.code = MetaCode::Exists;
}

void MetaState::on(const JoinNode& body, MetaAnswer& answer) {
    for (const auto& [id, node] : nodes_) {
        if (node.name != body.name) continue;
        answer.node = id;
        if (node.join_token != answer.token) answer.code = MetaCode::Exists;
        return;
    }
    if (nodes_.size() >= kNodesMax || body.name.size() > kTextMax ||
        body.address.size() > kTextMax) {
        answer.code = MetaCode::LimitExceeded;
        return;
    }
    answer.node = NodeId(next_node_++);
    MetaNode& node = nodes_[answer.node];
    node.name = body.name;
    node.address = body.address;
    node.first_up = make_incarnation(answer.node, 1);
    node.join_token = answer.token;
}

void MetaState::on(const StartNode& body, MetaAnswer& answer) {
    MetaNode* node = find(body.node);
    if (node == nullptr) {
        answer.code = MetaCode::NotFound;
        return;
    }
    if (node->start_token == answer.token) {
        answer.incarnation = make_incarnation(body.node, node->next_incarnation - 1);
        return;
    }
    if (body.address.size() > kTextMax || node->next_incarnation == UINT32_MAX) {
        answer.code = MetaCode::LimitExceeded;
        return;
    }
    // One process at a time: whoever starts later is the node.
    node->running = make_incarnation(body.node, node->next_incarnation++);
    node->first_up = node->running;
    node->address = body.address;
    node->start_token = answer.token;
    answer.incarnation = node->running;
}

void MetaState::on(const NewReplica& body, MetaAnswer& answer) {
    MetaNode* node = find(body.node);
    if (node == nullptr) {
        answer.code = MetaCode::NotFound;
        return;
    }
    if (node->replica_token != answer.token) {
        if (node->next_replica == UINT32_MAX) {
            answer.code = MetaCode::LimitExceeded;
            return;
        }
        ++node->next_replica;
        node->replica_token = answer.token;
    }
    answer.replica = ReplicaId((uint64_t{body.node.value()} << 32U) | (node->next_replica - 1));
}

void MetaState::on(const IncarnationDown& body, MetaAnswer& answer) {
    MetaNode* node = find(node_of(body.incarnation));
    if (node == nullptr ||
        body.incarnation >= make_incarnation(node_of(body.incarnation), node->next_incarnation)) {
        answer.code = MetaCode::NotFound;
        return;
    }
    if (body.incarnation < node->first_up) return;
    node->first_up = body.incarnation.next();
    if (node->running <= body.incarnation) node->running = Incarnation();
}

void MetaState::on(const ForgetNode& body, MetaAnswer& answer) {
    const MetaNode* node = find(body.node);
    if (node == nullptr) {
        answer.code = MetaCode::NotFound;
    } else if (node->running.value() != 0) {
        answer.code = MetaCode::Running;
    } else {
        nodes_.erase(body.node);
    }
}

bool MetaState::down(Incarnation incarnation) const {
    const auto found = nodes_.find(node_of(incarnation));
    return found == nodes_.end() || incarnation < found->second.first_up;
}

void MetaState::write(RecordWriter& out) const {
    out.u8(kVersion);
    out.u64(cluster_id_);
    out.u32(next_node_);
    out.u32(static_cast<uint32_t>(nodes_.size()));
    for (const auto& [id, node] : nodes_) {
        out.id(id);
        out.text(node.name);
        out.text(node.address);
        out.id(node.running);
        out.id(node.first_up);
        out.u32(node.next_incarnation);
        out.u32(node.next_replica);
        out.u64(node.start_token);
        out.u64(node.replica_token);
        out.u64(node.join_token);
    }
}

Status MetaState::load_record(std::string_view value) {
    RecordReader in(value);
    const uint8_t version = in.u8();
    cluster_id_ = in.u64();
    next_node_ = in.u32();
    const uint32_t count = in.u32();
    bool sane = version == kVersion && count <= kNodesMax;
    for (uint32_t i = 0; i < count && sane && !in.failed(); ++i) {
        const auto id = in.id<NodeId>();
        MetaNode node;
        node.name = in.text();
        node.address = in.text();
        node.running = in.id<Incarnation>();
        node.first_up = in.id<Incarnation>();
        node.next_incarnation = in.u32();
        node.next_replica = in.u32();
        node.start_token = in.u64();
        node.replica_token = in.u64();
        node.join_token = in.u64();
        sane = id.value() < next_node_ && node.next_incarnation > 0 && node.next_replica > 0 &&
               nodes_.emplace(id, std::move(node)).second;
    }
    if (sane && in.finished()) return {};
    return corrupt_record("meta", StateKey(Family::Meta).view());
}

Status MetaState::load(const storage::StateStore& store) {
    std::string value;
    const Result<bool> found = store.get(StateKey(Family::Meta).view(), value);
    if (!found.ok()) return found.error();
    return *found ? load_record(value) : Status();
}

uint64_t MetaState::digest() const {
    std::string bytes;
    RecordWriter out(bytes);
    write(out);
    return hash64(bytes);
}

}  // namespace quorate::cluster
