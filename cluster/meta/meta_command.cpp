#include "cluster/meta/meta_command.h"

#include <optional>
#include <utility>

#include "proto/base/bytes.h"

namespace quorate::cluster {
namespace {

constexpr uint8_t kVersion = 2;

void write_nodes(RecordWriter& out, const std::vector<NodeId>& nodes) {
    out.u32(static_cast<uint32_t>(nodes.size()));
    for (const NodeId node : nodes)
        out.id(node);
}

// Of items of at least `bytes` each: more than the input could hold is a mistake.
uint32_t read_count(RecordReader& in, std::size_t bytes) {
    const uint32_t count = in.u32();
    if (in.rest().size() / bytes >= count) return count;
    in.fail();
    return 0;
}

std::vector<NodeId> read_nodes(RecordReader& in) {
    std::vector<NodeId> nodes(read_count(in, sizeof(uint32_t)));
    for (NodeId& node : nodes)
        node = in.id<NodeId>();
    return nodes;
}

void write_body(RecordWriter& out, const FormCluster& body) {
    out.u64(body.cluster_id);
    out.u32(body.layout.shards);
    out.u32(body.layout.topic_hash_levels);
    out.u32(body.replication_factor);
    out.u32(static_cast<uint32_t>(body.nodes.size()));
    for (const FoundingNode& node : body.nodes) {
        out.text(node.name);
        out.text(node.address);
    }
    out.u32(static_cast<uint32_t>(body.groups.size()));
    for (const FoundingGroup& group : body.groups) {
        out.id(group.group);
        write_nodes(out, group.voters);
        write_nodes(out, group.learners);
    }
}
void write_body(RecordWriter& out, const SetReplication& body) {
    out.u32(body.factor);
}
void write_body(RecordWriter& out, const JoinNode& body) {
    out.text(body.name);
    out.text(body.address);
}
void write_body(RecordWriter& out, const StartNode& body) {
    out.id(body.node);
    out.text(body.address);
}
void write_body(RecordWriter& out, const DrainNode& body) {
    out.id(body.node);
    out.text(body.note);
}
void write_body(RecordWriter& out, const UndrainNode& body) {
    out.id(body.node);
}
void write_body(RecordWriter& out, const DecommissionNode& body) {
    out.id(body.node);
    out.text(body.note);
}
void write_body(RecordWriter& out, const NodeGone& body) {
    out.id(body.node);
}
void write_body(RecordWriter& out, const ForgetNode& body) {
    out.id(body.node);
}
void write_body(RecordWriter& out, const IncarnationDown& body) {
    out.id(body.incarnation);
}
void write_body(RecordWriter& out, const PlaceGroup& body) {
    out.id(body.group);
    out.u64(body.version);
    write_nodes(out, body.voters);
    write_nodes(out, body.learners);
}
void write_body(RecordWriter& out, const ReplaceReplica& body) {
    out.id(body.group);
    out.id(body.replica);
}
void write_body(RecordWriter& out, const Configured& body) {
    out.id(body.group);
    out.id(body.index);
    out.text(raft::encode(body.configuration));
}

FormCluster read_form(RecordReader& in) {
    FormCluster body;
    body.cluster_id = in.u64();
    body.layout.shards = in.u32();
    body.layout.topic_hash_levels = in.u32();
    body.replication_factor = in.u32();
    body.nodes.resize(read_count(in, 2 * sizeof(uint32_t)));
    for (FoundingNode& node : body.nodes) {
        node.name = in.text();
        node.address = in.text();
    }
    body.groups.resize(read_count(in, 3 * sizeof(uint32_t)));
    for (FoundingGroup& group : body.groups) {
        group.group = in.id<GroupId>();
        group.voters = read_nodes(in);
        group.learners = read_nodes(in);
    }
    return body;
}

PlaceGroup read_place(RecordReader& in) {
    PlaceGroup body;
    body.group = in.id<GroupId>();
    body.version = in.u64();
    body.voters = read_nodes(in);
    body.learners = read_nodes(in);
    return body;
}

Configured read_configured(RecordReader& in) {
    Configured body;
    body.group = in.id<GroupId>();
    body.index = in.id<LogIndex>();
    auto configuration = raft::decode_configuration(in.text());
    if (configuration) {
        body.configuration = std::move(*configuration);
    } else {
        in.fail();
    }
    return body;
}

template <typename Body>
MetaCommandBody read_node_and_text(RecordReader& in) {
    const auto node = in.id<NodeId>();
    return Body{node, in.text()};
}

// The index of the alternative in MetaCommandBody.
MetaCommandBody read_body(RecordReader& in, uint8_t kind) {
    switch (kind) {
        case 0:
            return read_form(in);
        case 1: {
            const std::string_view name = in.text();
            return JoinNode{name, in.text()};
        }
        case 2:
            return read_node_and_text<StartNode>(in);
        case 3:
            return IncarnationDown{in.id<Incarnation>()};
        case 4:
            return ForgetNode{in.id<NodeId>()};
        case 5:
            return SetReplication{in.u32()};
        case 6:
            return read_node_and_text<DrainNode>(in);
        case 7:
            return UndrainNode{in.id<NodeId>()};
        case 8:
            return read_node_and_text<DecommissionNode>(in);
        case 9:
            return NodeGone{in.id<NodeId>()};
        case 10:
            return read_place(in);
        case 11: {
            const auto group = in.id<GroupId>();
            return ReplaceReplica{group, in.id<ReplicaId>()};
        }
        case 12:
            return read_configured(in);
        default:
            in.fail();
            return ForgetNode{};
    }
}
static_assert(std::variant_size_v<MetaCommandBody> == 13);

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

const char* to_string(MetaCode code) {
    switch (code) {
        case MetaCode::Applied:
            return "done";
        case MetaCode::NotFormed:
            return "there is no cluster yet";
        case MetaCode::Exists:
            return "it exists already";
        case MetaCode::AddressTaken:
            return "a running node has this address";
        case MetaCode::NotFound:
            return "there is no such node, group or replica";
        case MetaCode::Running:
            return "the node is running";
        case MetaCode::Holds:
            return "the node still holds replicas";
        case MetaCode::Gone:
            return "the node has left the cluster for good";
        case MetaCode::LastNode:
            return "no other node would be left";
        case MetaCode::Stale:
            return "something newer was decided meanwhile";
        case MetaCode::Invalid:
            return "no cluster could be like that";
        case MetaCode::LimitExceeded:
            return "a limit is reached";
    }
    return "unknown";
}

}  // namespace quorate::cluster
