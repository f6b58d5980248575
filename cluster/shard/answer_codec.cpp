#include "cluster/shard/answer_codec.h"

#include <utility>

#include "cluster/shard/record_fields.h"
#include "cluster/topics/destination.h"
#include "cluster/topics/replay.h"

namespace quorate::cluster {
namespace {

constexpr uint8_t kVersion = 1;

// Writing.

void write_code(RecordWriter& out, mqtt::ReasonCode code) {
    out.u8(static_cast<uint8_t>(code));
}

void write_position(RecordWriter& out, const PendingReplay& replay) {
    std::string bytes;
    RecordWriter record(bytes);
    write_replay(record, replay);
    out.text(bytes);
}

struct Writer {
    RecordWriter& out;

    void operator()(std::monostate) const {}
    void operator()(const AttachResult& r) const {
        write_code(out, r.code);
        write_flag(out, r.session_present);
        write_flag(out, r.durable);
        write_connection(out, r.connection);
        out.id(r.session);
        out.id(r.epoch);
        out.id(r.first_unacked);
        out.id(r.next);
        out.id(r.mark);
        out.u32(r.subscriptions);
        out.u32(static_cast<uint32_t>(r.replays.size()));
        for (const OwedReplay& replay : r.replays) {
            out.text(replay.filter);
            write_position(out, replay.from);
        }
    }
    void operator()(const SubscribeResult& r) const {
        out.u32(static_cast<uint32_t>(r.filters.size()));
        for (const RequestedSubscription& filter : r.filters) {
            write_code(out, filter.code);
            write_flag(out, filter.is_new);
            write_flag(out, filter.shared);
            out.id(filter.member);
            out.id(filter.wait_for);
            out.id(filter.replay.epoch);
            out.id(filter.replay.number);
        }
    }
    void operator()(const UnsubscribeResult& r) const {
        out.u32(static_cast<uint32_t>(r.codes.size()));
        for (const mqtt::ReasonCode code : r.codes)
            write_code(out, code);
    }
    void operator()(const EnqueueResult& r) const {
        out.u32(r.queued);
        out.u32(r.live_qos0);
        out.u32(r.dropped_full);
        out.u32(r.rejected);
        out.u32(r.offline_qos0);
        out.u32(r.no_local);
        write_flag(out, r.repeat);
    }
    void operator()(const EnqueueGroupResult& r) const {
        write_flag(out, r.queued);
        write_flag(out, r.repeat);
        out.id(r.number);
    }
    void operator()(const AckResult& r) const {
        out.id(r.first_unacked);
        out.id(r.next);
        out.u32(r.ignored);
    }
    void operator()(const OutboxPutResult& r) const {
        write_code(out, r.code);
        write_flag(out, r.already_received);
    }
    void operator()(const ReleaseResult& r) const { write_flag(out, r.found); }
    void operator()(const RetainResult& r) const { write_code(out, r.code); }
    void operator()(const RouteResult& r) const { out.id(r.wait_for); }
    void operator()(const DetachedResult& r) const { write_flag(out, r.ended); }
    void operator()(const ReplayResult& r) const {
        write_flag(out, r.left.has_value());
        if (r.left) write_position(out, *r.left);
        write_flag(out, r.full);
    }
};

// Reading.

mqtt::ReasonCode read_code(RecordReader& in) {
    return static_cast<mqtt::ReasonCode>(in.u8());
}

PendingReplay read_position(RecordReader& in) {
    auto replay = read_replay(in.text());
    if (replay) return std::move(*replay);
    in.fail();
    return {};
}

template <typename Result>
Result read(RecordReader& in);

template <>
std::monostate read(RecordReader&) {
    return {};
}

template <>
AttachResult read(RecordReader& in) {
    AttachResult r;
    r.code = read_code(in);
    r.session_present = read_flag(in);
    r.durable = read_flag(in);
    r.connection = read_connection(in);
    r.session = in.id<SessionId>();
    r.epoch = in.id<Epoch>();
    r.first_unacked = in.id<MessageNumber>();
    r.next = in.id<MessageNumber>();
    r.mark = in.id<MessageNumber>();
    r.subscriptions = in.u32();
    const uint32_t count = read_count(in, 8);
    for (uint32_t i = 0; i < count && !in.failed(); ++i) {
        std::string filter(in.text());
        r.replays.push_back({std::move(filter), read_position(in)});
    }
    return r;
}

template <>
SubscribeResult read(RecordReader& in) {
    SubscribeResult r;
    const uint32_t count = read_count(in, 35);
    for (uint32_t i = 0; i < count && !in.failed(); ++i) {
        RequestedSubscription& filter = r.filters.emplace_back();
        filter.code = read_code(in);
        filter.is_new = read_flag(in);
        filter.shared = read_flag(in);
        filter.member = in.id<SessionId>();
        filter.wait_for = in.id<RouteSerial>();
        filter.replay.epoch = in.id<Epoch>();
        filter.replay.number = in.id<CommandNumber>();
    }
    return r;
}

template <>
UnsubscribeResult read(RecordReader& in) {
    UnsubscribeResult r;
    const uint32_t count = read_count(in, 1);
    for (uint32_t i = 0; i < count && !in.failed(); ++i)
        r.codes.push_back(read_code(in));
    return r;
}

template <>
EnqueueResult read(RecordReader& in) {
    EnqueueResult r;
    r.queued = in.u32();
    r.live_qos0 = in.u32();
    r.dropped_full = in.u32();
    r.rejected = in.u32();
    r.offline_qos0 = in.u32();
    r.no_local = in.u32();
    r.repeat = read_flag(in);
    return r;
}

template <>
EnqueueGroupResult read(RecordReader& in) {
    EnqueueGroupResult r;
    r.queued = read_flag(in);
    r.repeat = read_flag(in);
    r.number = in.id<MessageNumber>();
    return r;
}

template <>
AckResult read(RecordReader& in) {
    AckResult r;
    r.first_unacked = in.id<MessageNumber>();
    r.next = in.id<MessageNumber>();
    r.ignored = in.u32();
    return r;
}

template <>
OutboxPutResult read(RecordReader& in) {
    OutboxPutResult r;
    r.code = read_code(in);
    r.already_received = read_flag(in);
    return r;
}

template <>
ReleaseResult read(RecordReader& in) {
    return {read_flag(in)};
}

template <>
RetainResult read(RecordReader& in) {
    return {read_code(in)};
}

template <>
RouteResult read(RecordReader& in) {
    return {in.id<RouteSerial>()};
}

template <>
DetachedResult read(RecordReader& in) {
    return {read_flag(in)};
}

template <>
ReplayResult read(RecordReader& in) {
    ReplayResult r;
    if (read_flag(in)) r.left = read_position(in);
    r.full = read_flag(in);
    return r;
}

// The alternative with this index; an index beyond the last fails the reader.
template <std::size_t Index = 0>
CommandResult read_result(RecordReader& in, std::size_t index) {
    if constexpr (Index < std::variant_size_v<CommandResult>) {
        if (index == Index) return read<std::variant_alternative_t<Index, CommandResult>>(in);
        return read_result<Index + 1>(in, index);
    } else {
        in.fail();
        return {};
    }
}

}  // namespace

void encode_answer(std::string& bytes, const Answer& answer) {
    RecordWriter out(bytes);
    out.u8(kVersion);
    out.id(answer.lane.incarnation);
    out.u16(answer.lane.producer);
    out.u8(static_cast<uint8_t>(answer.lane.lane_class));
    out.id(answer.number);
    out.u64(answer.token);
    out.u8(static_cast<uint8_t>(answer.code));
    out.id(answer.expected);
    out.u8(static_cast<uint8_t>(answer.result.index()));
    std::visit(Writer{out}, answer.result);
}

Result<Answer> decode_answer(std::string_view bytes) {
    RecordReader in(bytes);
    const uint8_t version = in.u8();
    Answer answer;
    answer.lane.incarnation = in.id<Incarnation>();
    answer.lane.producer = in.u16();
    const uint8_t lane_class = in.u8();
    answer.number = in.id<CommandNumber>();
    answer.token = in.u64();
    const uint8_t code = in.u8();
    answer.expected = in.id<CommandNumber>();
    const uint8_t index = in.u8();
    if (!in.failed()) answer.result = read_result(in, index);
    const bool good = in.finished() && version == kVersion &&
                      lane_class <= static_cast<uint8_t>(LaneClass::Leader) &&
                      code <= static_cast<uint8_t>(AnswerCode::NotFound);
    if (!good) return Error{ErrorCode::Corrupt, "not an answer"};
    answer.lane.lane_class = static_cast<LaneClass>(lane_class);
    answer.code = static_cast<AnswerCode>(code);
    return answer;
}

}  // namespace quorate::cluster
