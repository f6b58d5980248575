#include "cluster/control/bootstrap_messages.h"

#include <utility>

#include "proto/base/bytes.h"

namespace quorate::cluster {
namespace {

constexpr uint8_t kVersion = 1;

std::string read_text(RecordReader& in) {
    const std::string_view text = in.text();
    if (text.size() > kBootstrapTextMax) in.fail();
    return std::string(text);
}

uint32_t read_count(RecordReader& in, std::size_t most) {
    const uint32_t count = in.u32();
    if (count <= most) return count;
    in.fail();
    return 0;
}

void write(RecordWriter& out, const Candidate& candidate) {
    out.u64(candidate.id);
    out.text(candidate.name);
    out.text(candidate.address);
}

Candidate read_candidate(RecordReader& in) {
    Candidate candidate;
    candidate.id = in.u64();
    candidate.name = read_text(in);
    candidate.address = read_text(in);
    return candidate;
}

void write(RecordWriter& out, const std::optional<Proposal>& proposal) {
    out.u8(proposal ? 1 : 0);
    if (!proposal) return;
    out.u64(proposal->id.proposer);
    out.u64(proposal->id.number);
    out.u64(proposal->cluster_id);
    out.u32(proposal->layout.shards);
    out.u32(proposal->layout.topic_hash_levels);
    out.u32(proposal->replication_factor);
    out.u32(static_cast<uint32_t>(proposal->members.size()));
    for (const Candidate& member : proposal->members)
        write(out, member);
}

std::optional<Proposal> read_proposal(RecordReader& in) {
    const uint8_t there = in.u8();
    if (there > 1) in.fail();
    if (there != 1) return std::nullopt;
    Proposal proposal;
    proposal.id.proposer = in.u64();
    proposal.id.number = in.u64();
    proposal.cluster_id = in.u64();
    proposal.layout.shards = in.u32();
    proposal.layout.topic_hash_levels = in.u32();
    proposal.replication_factor = in.u32();
    const uint32_t members = read_count(in, kFoundersMax);
    for (uint32_t i = 0; i < members && !in.failed(); ++i)
        proposal.members.push_back(read_candidate(in));
    return proposal;
}

void write(RecordWriter& out, const Standing& standing) {
    write(out, standing.self);
    out.u64(standing.cluster_id);
    out.u32(standing.expect);
    out.u64(standing.proposed);
    out.u64(standing.accepted.proposer);
    out.u64(standing.accepted.number);
    out.u32(static_cast<uint32_t>(standing.known.size()));
    for (const std::string& address : standing.known)
        out.text(address);
}

Standing read_standing(RecordReader& in) {
    Standing standing;
    standing.self = read_candidate(in);
    standing.cluster_id = in.u64();
    standing.expect = in.u32();
    standing.proposed = in.u64();
    standing.accepted.proposer = in.u64();
    standing.accepted.number = in.u64();
    const uint32_t known = read_count(in, kKnownMax);
    for (uint32_t i = 0; i < known && !in.failed(); ++i)
        standing.known.push_back(read_text(in));
    return standing;
}

template <typename Value, typename Read>
Result<Value> decode(std::string_view bytes, const char* what, const Read& read) {
    RecordReader in(bytes);
    const uint8_t version = in.u8();
    Value value = read(in);
    if (version == kVersion && in.finished()) return value;
    return Error{ErrorCode::Corrupt, what};
}

}  // namespace

std::string encode(const Standing& standing) {
    std::string bytes;
    RecordWriter out(bytes);
    out.u8(kVersion);
    write(out, standing);
    return bytes;
}

std::string encode(const BootstrapRequest& request) {
    std::string bytes;
    RecordWriter out(bytes);
    out.u8(kVersion);
    write(out, request.from);
    write(out, request.proposal);
    return bytes;
}

std::string encode(const BootstrapRecord& record) {
    std::string bytes;
    RecordWriter out(bytes);
    out.u8(kVersion);
    out.u64(record.candidate);
    out.u64(record.proposed);
    write(out, record.accepted);
    out.u64(record.cluster_id);
    out.id(record.node);
    return bytes;
}

Result<Standing> decode_standing(std::string_view bytes) {
    return decode<Standing>(bytes, "not the answer of a node that starts",
                            [](RecordReader& in) { return read_standing(in); });
}

Result<BootstrapRequest> decode_bootstrap_request(std::string_view bytes) {
    return decode<BootstrapRequest>(bytes, "not a request of a node that starts",
                                    [](RecordReader& in) {
                                        BootstrapRequest request;
                                        request.from = read_standing(in);
                                        request.proposal = read_proposal(in);
                                        return request;
                                    });
}

Result<BootstrapRecord> decode_bootstrap_record(std::string_view bytes) {
    return decode<BootstrapRecord>(bytes,
                                   "the record of how this node came into its cluster is damaged",
                                   [](RecordReader& in) {
                                       BootstrapRecord record;
                                       record.candidate = in.u64();
                                       record.proposed = in.u64();
                                       record.accepted = read_proposal(in);
                                       record.cluster_id = in.u64();
                                       record.node = in.id<NodeId>();
                                       if (record.candidate == 0) in.fail();
                                       return record;
                                   });
}

}  // namespace quorate::cluster
