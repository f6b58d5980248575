#include "cluster/steward/lease_items.h"

#include "proto/base/bytes.h"

namespace quorate::cluster {
namespace {

constexpr uint8_t kVersion = 1;

enum class Kind : uint8_t { Request = 1, Answer = 2 };

void begin(RecordWriter& out, GroupId group, Kind kind, Incarnation holder, uint64_t id) {
    out.u8(static_cast<uint8_t>(kLeaseItem));
    out.id(group);
    out.u8(kVersion);
    out.u8(static_cast<uint8_t>(kind));
    out.id(holder);
    out.u64(id);
}

std::optional<LeaseVerdict> verdict_of(uint8_t byte) {
    switch (static_cast<LeaseVerdict>(byte)) {
        case LeaseVerdict::Granted:
        case LeaseVerdict::Suspended:
        case LeaseVerdict::Fenced:
            return static_cast<LeaseVerdict>(byte);
    }
    return std::nullopt;
}

}  // namespace

std::string encode_lease_item(GroupId group, const LeaseRequest& request) {
    std::string item;
    RecordWriter out(item);
    begin(out, group, Kind::Request, request.holder, request.id);
    out.id(request.shown);
    return item;
}

std::string encode_lease_item(GroupId group, const LeaseAnswer& answer) {
    std::string item;
    RecordWriter out(item);
    begin(out, group, Kind::Answer, answer.holder, answer.id);
    out.u8(static_cast<uint8_t>(answer.verdict));
    return item;
}

std::optional<LeaseItem> decode_lease_item(std::string_view item) {
    RecordReader in(item);
    if (in.u8() != static_cast<uint8_t>(kLeaseItem)) return std::nullopt;
    LeaseItem out;
    out.group = in.id<GroupId>();
    if (in.u8() != kVersion) return std::nullopt;
    const auto kind = static_cast<Kind>(in.u8());
    const auto holder = in.id<Incarnation>();
    const uint64_t id = in.u64();
    switch (kind) {
        case Kind::Request:
            out.body = LeaseRequest{holder, id, in.id<LogIndex>()};
            break;
        case Kind::Answer: {
            const auto verdict = verdict_of(in.u8());
            if (!verdict) return std::nullopt;
            out.body = LeaseAnswer{holder, id, *verdict};
            break;
        }
        default:
            return std::nullopt;
    }
    if (!in.finished()) return std::nullopt;
    return out;
}

std::optional<GroupId> group_of_lease_item(std::string_view item) {
    RecordReader in(item);
    if (in.u8() != static_cast<uint8_t>(kLeaseItem)) return std::nullopt;
    const auto group = in.id<GroupId>();
    if (in.failed()) return std::nullopt;
    return group;
}

}  // namespace quorate::cluster
