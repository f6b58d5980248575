// Long, because it is one table: what is written on one page is read on the next, in one order.
#include "cluster/shard/command.h"

#include "cluster/shard/record_fields.h"
#include "proto/base/bytes.h"

namespace quorate::cluster {

namespace {

constexpr uint8_t kVersion = 1;

// Part of the stored format: never renumber.
enum class Kind : uint8_t {
    Attach = 1,
    Detached = 2,
    Subscribe = 3,
    Unsubscribe = 4,
    Enqueue = 5,
    EnqueueGroup = 6,
    Ack = 7,
    OutboxPut = 8,
    Release = 9,
    Retain = 10,
    OutboxDone = 11,
    Route = 12,
    Made = 13,
    NodeDown = 14,
    Tick = 15,
    Void = 16,
    EndSession = 17,
    GroupPick = 18,
    OutboxReturn = 19,
    Replay = 20,
};

template <typename Enum>
Enum read_enum(RecordReader& in, uint8_t max) {
    const uint8_t value = in.u8();
    if (value > max) in.fail();
    return static_cast<Enum>(value > max ? 0 : value);
}

mqtt::QoS read_qos(RecordReader& in) {
    return read_enum<mqtt::QoS>(in, 2);
}

void write_header(RecordWriter& out, Kind kind, const CommandHeader& header) {
    out.u8(kVersion);
    out.u8(static_cast<uint8_t>(kind));
    out.u8(static_cast<uint8_t>(static_cast<unsigned>(header.lane.lane_class) |
                                (header.fence ? 0x80U : 0U)));
    out.id(header.lane.incarnation);
    out.u16(header.lane.producer);
    out.id(header.number);
    out.u64(header.token);
    if (header.fence) {
        out.id(header.fence->source);
        out.id(header.fence->term);
    }
}

// Bodies, writing.

void write(RecordWriter& out, const Attach& body) {
    out.text(body.client_id);
    out.text(body.identity);
    out.u8(static_cast<uint8_t>(body.protocol_version));
    out.u8(static_cast<uint8_t>((body.clean_start ? 1U : 0U) | (body.will ? 2U : 0U) |
                                (body.no_new ? 4U : 0U)));
    out.u32(body.session_expiry_s);
    out.u16(body.receive_maximum);
    write_connection(out, body.connection);
    if (body.will) {
        out.u32(body.will->delay_s);
        out.text(body.will->message);
    }
}

void write(RecordWriter& out, const Detached& body) {
    out.id(body.session);
    out.id(body.epoch);
    out.u8(static_cast<uint8_t>(body.how));
    out.u8(body.new_expiry_s ? 1 : 0);
    out.u32(body.new_expiry_s.value_or(0));
    out.id(body.highest_written);
}

void write(RecordWriter& out, const Subscribe& body) {
    out.id(body.session);
    out.id(body.epoch);
    out.u32(static_cast<uint32_t>(body.requests.size()));
    for (const SubscriptionRequest& request : body.requests) {
        out.text(request.filter);
        out.u8(static_cast<uint8_t>(request.qos));
        out.u8(static_cast<uint8_t>((request.no_local ? 1U : 0U) |
                                    (request.retain_as_published ? 2U : 0U)));
        out.u8(static_cast<uint8_t>(request.retain_handling));
        out.u32(request.subscription_id);
        out.u8(request.replay ? 1 : 0);
    }
    out.u32(body.shared_max);
}

void write(RecordWriter& out, const Unsubscribe& body) {
    out.id(body.session);
    out.id(body.epoch);
    out.u32(static_cast<uint32_t>(body.filters.size()));
    for (const std::string_view filter : body.filters)
        out.text(filter);
}

void write(RecordWriter& out, const Enqueue& body) {
    out.u8(static_cast<uint8_t>((body.source ? 1U : 0U) | (body.only ? 2U : 0U)));
    if (body.source) body.source->write(out);
    if (body.only) {
        out.text(body.only->filter);
        out.u32(static_cast<uint32_t>(body.only->sessions.size()));
        for (const SessionId session : body.only->sessions)
            out.id(session);
    }
    out.text(body.message);
}

void write(RecordWriter& out, const EnqueueGroup& body) {
    out.text(body.group);
    out.u8(body.source ? 1 : 0);
    if (body.source) body.source->write(out);
    out.text(body.message);
}

void write(RecordWriter& out, const Ack& body) {
    out.id(body.session);
    out.id(body.epoch);
    out.u32(static_cast<uint32_t>(body.items.size()));
    for (const AckItem& item : body.items) {
        out.id(item.number);
        out.u8(static_cast<uint8_t>(item.kind));
    }
}

void write(RecordWriter& out, const OutboxPut& body) {
    out.id(body.session);
    out.id(body.epoch);
    out.id(body.packet_id);
    out.text(body.message);
}

void write(RecordWriter& out, const Release& body) {
    out.id(body.session);
    out.id(body.epoch);
    out.id(body.packet_id);
}

void write(RecordWriter& out, const Retain& body) {
    out.id(body.stream.incarnation);
    out.id(body.stream.loop);
    out.u64(body.stream_number);
    out.text(body.message);
}

void write_entries(RecordWriter& out, const OutboxTarget& target,
                   const std::vector<OutboxNumber>& numbers) {
    target.write(out);
    out.u32(static_cast<uint32_t>(numbers.size()));
    for (const OutboxNumber number : numbers)
        out.id(number);
}

void write(RecordWriter& out, const OutboxDone& body) {
    write_entries(out, body.target, body.numbers);
}

void write(RecordWriter& out, const OutboxReturn& body) {
    write_entries(out, body.target, body.numbers);
}

void write(RecordWriter& out, const Route& body) {
    out.text(body.filter);
    body.destination.write(out);
    out.u8(static_cast<uint8_t>(body.best_qos));
    out.u8(body.remove ? 1 : 0);
    out.id(body.serial);
}

void write(RecordWriter& out, const Made& body) {
    out.u32(static_cast<uint32_t>(body.routes.size()));
    for (const MadeRoute& route : body.routes) {
        out.text(route.filter);
        out.id(route.member);
        out.id(route.serial);
    }
}

void write(RecordWriter& out, const NodeDown& body) {
    out.id(body.incarnation);
}
void write(RecordWriter&, const Tick&) {}
void write(RecordWriter& out, const Void& body) {
    out.u8(body.refused ? 1 : 0);
}
void write(RecordWriter& out, const EndSession& body) {
    out.text(body.client_id);
}
void write(RecordWriter& out, const GroupPick& body) {
    out.text(body.group);
    out.id(body.number);
    body.member.write(out);
}

void write(RecordWriter& out, const Replay& body) {
    out.id(body.session);
    out.text(body.filter);
    out.id(body.id.epoch);
    out.id(body.id.number);
    out.id(body.from.shard);
    out.text(body.from.after);
    out.u32(static_cast<uint32_t>(body.messages.size()));
    for (const std::string_view message : body.messages)
        out.text(message);
    out.u8(body.next ? 1 : 0);
    if (!body.next) return;
    out.id(body.next->shard);
    out.text(body.next->after);
}

// Bodies, reading.

Attach read_attach(RecordReader& in) {
    Attach body;
    body.client_id = in.text();
    body.identity = in.text();
    body.protocol_version = read_enum<mqtt::ProtocolVersion>(in, 5);
    if (static_cast<uint8_t>(body.protocol_version) < 3) in.fail();
    const uint8_t flags = in.u8();
    if (flags > 7) in.fail();
    body.clean_start = (flags & 1U) != 0;
    body.no_new = (flags & 4U) != 0;
    body.session_expiry_s = in.u32();
    body.receive_maximum = in.u16();
    if (body.receive_maximum == 0) in.fail();
    body.connection = read_connection(in);
    if ((flags & 2U) != 0) {
        WillRequest will;
        will.delay_s = in.u32();
        will.message = in.text();
        body.will = will;
    }
    return body;
}

Detached read_detached(RecordReader& in) {
    Detached body;
    body.session = in.id<SessionId>();
    body.epoch = in.id<Epoch>();
    body.how = read_enum<DetachHow>(in, static_cast<uint8_t>(DetachHow::Kicked));
    const bool has_expiry = read_flag(in);
    const uint32_t expiry = in.u32();
    if (has_expiry) body.new_expiry_s = expiry;
    body.highest_written = in.id<MessageNumber>();
    return body;
}

Subscribe read_subscribe(RecordReader& in) {
    Subscribe body;
    body.session = in.id<SessionId>();
    body.epoch = in.id<Epoch>();
    const uint32_t count = read_count(in, 12);
    body.requests.reserve(count);
    for (uint32_t i = 0; i < count && !in.failed(); ++i) {
        SubscriptionRequest request;
        request.filter = in.text();
        request.qos = read_qos(in);
        const uint8_t flags = in.u8();
        if (flags > 3) in.fail();
        request.no_local = (flags & 1U) != 0;
        request.retain_as_published = (flags & 2U) != 0;
        request.retain_handling = read_enum<mqtt::RetainHandling>(in, 2);
        request.subscription_id = in.u32();
        request.replay = read_flag(in);
        body.requests.push_back(request);
    }
    body.shared_max = in.u32();
    return body;
}

Unsubscribe read_unsubscribe(RecordReader& in) {
    Unsubscribe body;
    body.session = in.id<SessionId>();
    body.epoch = in.id<Epoch>();
    const uint32_t count = read_count(in, 4);
    body.filters.reserve(count);
    for (uint32_t i = 0; i < count && !in.failed(); ++i)
        body.filters.push_back(in.text());
    return body;
}

Enqueue read_enqueue(RecordReader& in) {
    Enqueue body;
    const uint8_t flags = in.u8();
    if (flags > 3) in.fail();
    if ((flags & 1U) != 0) body.source = OutboxSource::read(in);
    if ((flags & 2U) != 0) {
        Restriction only;
        only.filter = in.text();
        const uint32_t count = read_count(in, 8);
        only.sessions.reserve(count);
        for (uint32_t i = 0; i < count && !in.failed(); ++i) {
            only.sessions.push_back(in.id<SessionId>());
        }
        body.only = std::move(only);
    }
    body.message = in.text();
    return body;
}

EnqueueGroup read_enqueue_group(RecordReader& in) {
    EnqueueGroup body;
    body.group = in.text();
    if (read_flag(in)) body.source = OutboxSource::read(in);
    body.message = in.text();
    return body;
}

Ack read_ack(RecordReader& in) {
    Ack body;
    body.session = in.id<SessionId>();
    body.epoch = in.id<Epoch>();
    const uint32_t count = read_count(in, 9);
    body.items.reserve(count);
    for (uint32_t i = 0; i < count && !in.failed(); ++i) {
        AckItem item;
        item.number = in.id<MessageNumber>();
        item.kind = read_enum<AckKind>(in, static_cast<uint8_t>(AckKind::Expired));
        body.items.push_back(item);
    }
    return body;
}

OutboxPut read_outbox_put(RecordReader& in) {
    OutboxPut body;
    body.session = in.id<SessionId>();
    body.epoch = in.id<Epoch>();
    body.packet_id = in.id<PacketId>();
    body.message = in.text();
    return body;
}

Release read_release(RecordReader& in) {
    Release body;
    body.session = in.id<SessionId>();
    body.epoch = in.id<Epoch>();
    body.packet_id = in.id<PacketId>();
    return body;
}

Retain read_retain(RecordReader& in) {
    Retain body;
    body.stream.incarnation = in.id<Incarnation>();
    body.stream.loop = in.id<LoopId>();
    body.stream_number = in.u64();
    body.message = in.text();
    return body;
}

template <typename Body>
Body read_entries(RecordReader& in) {
    Body body;
    body.target = OutboxTarget::read(in);
    const uint32_t count = read_count(in, 8);
    body.numbers.reserve(count);
    for (uint32_t i = 0; i < count && !in.failed(); ++i) {
        body.numbers.push_back(in.id<OutboxNumber>());
    }
    return body;
}

Route read_route(RecordReader& in) {
    Route body;
    body.filter = in.text();
    body.destination = Destination::read(in);
    body.best_qos = read_qos(in);
    body.remove = read_flag(in);
    body.serial = in.id<RouteSerial>();
    return body;
}

Made read_made(RecordReader& in) {
    Made body;
    const uint32_t count = read_count(in, 20);
    body.routes.reserve(count);
    for (uint32_t i = 0; i < count && !in.failed(); ++i) {
        MadeRoute route;
        route.filter = in.text();
        route.member = in.id<SessionId>();
        route.serial = in.id<RouteSerial>();
        body.routes.push_back(route);
    }
    return body;
}

Void read_void(RecordReader& in) {
    return Void{read_flag(in)};
}
GroupPick read_group_pick(RecordReader& in) {
    GroupPick body;
    body.group = in.text();
    body.number = in.id<MessageNumber>();
    body.member = Destination::read(in);
    return body;
}

Replay read_replay(RecordReader& in) {
    Replay body;
    body.session = in.id<SessionId>();
    body.filter = in.text();
    body.id.epoch = in.id<Epoch>();
    body.id.number = in.id<CommandNumber>();
    body.from.shard = in.id<ShardId>();
    body.from.after = in.text();
    const uint32_t count = read_count(in, 4);
    body.messages.reserve(count);
    for (uint32_t i = 0; i < count && !in.failed(); ++i)
        body.messages.push_back(in.text());
    if (!read_flag(in)) return body;
    const auto shard = in.id<ShardId>();
    body.next = Replay::Position{shard, in.text()};
    return body;
}

CommandHeader read_header(RecordReader& in) {
    CommandHeader header;
    const uint8_t lane_class = in.u8();
    if ((lane_class & 0x7FU) > static_cast<uint8_t>(LaneClass::Leader)) in.fail();
    header.lane.lane_class = static_cast<LaneClass>(lane_class & 3U);
    header.lane.incarnation = in.id<Incarnation>();
    header.lane.producer = in.u16();
    header.number = in.id<CommandNumber>();
    header.token = in.u64();
    if ((lane_class & 0x80U) != 0) {
        SourceFence fence;
        fence.source = in.id<ShardId>();
        fence.term = in.id<Term>();
        header.fence = fence;
    }
    return header;
}

CommandBody read_body(RecordReader& in, Kind kind) {
    switch (kind) {
        case Kind::Attach:
            return read_attach(in);
        case Kind::Detached:
            return read_detached(in);
        case Kind::Subscribe:
            return read_subscribe(in);
        case Kind::Unsubscribe:
            return read_unsubscribe(in);
        case Kind::Enqueue:
            return read_enqueue(in);
        case Kind::EnqueueGroup:
            return read_enqueue_group(in);
        case Kind::Ack:
            return read_ack(in);
        case Kind::OutboxPut:
            return read_outbox_put(in);
        case Kind::Release:
            return read_release(in);
        case Kind::Retain:
            return read_retain(in);
        case Kind::OutboxDone:
            return read_entries<OutboxDone>(in);
        case Kind::Route:
            return read_route(in);
        case Kind::Made:
            return read_made(in);
        case Kind::NodeDown:
            return NodeDown{in.id<Incarnation>()};
        case Kind::Tick:
            return Tick{};
        case Kind::Void:
            return read_void(in);
        case Kind::EndSession:
            return EndSession{in.text()};
        case Kind::GroupPick:
            return read_group_pick(in);
        case Kind::OutboxReturn:
            return read_entries<OutboxReturn>(in);
        case Kind::Replay:
            return read_replay(in);
    }
    in.fail();
    return Void{};
}

// The alternatives of CommandBody stand in the order of Kind.
Kind kind_of(const CommandBody& body) {
    return static_cast<Kind>(body.index() + 1);
}

template <typename Body>
void encode_as(std::string& out, Kind kind, const CommandHeader& header, const Body& body) {
    RecordWriter writer(out);
    write_header(writer, kind, header);
    write(writer, body);
}

}  // namespace

void encode_command(std::string& out, const CommandHeader& header, const CommandBody& body) {
    std::visit([&](const auto& b) { encode_as(out, kind_of(body), header, b); }, body);
}
void encode_command(std::string& out, const CommandHeader& header, const Enqueue& body) {
    encode_as(out, Kind::Enqueue, header, body);
}
void encode_command(std::string& out, const CommandHeader& header, const Ack& body) {
    encode_as(out, Kind::Ack, header, body);
}
void encode_command(std::string& out, const CommandHeader& header, const OutboxPut& body) {
    encode_as(out, Kind::OutboxPut, header, body);
}

Result<Command> decode_command(std::string_view in) {
    RecordReader reader(in);
    const uint8_t version = reader.u8();
    const auto kind = static_cast<Kind>(reader.u8());
    Command command;
    command.header = read_header(reader);
    command.body = read_body(reader, kind);
    if (version != kVersion || !reader.finished()) {
        return Error{ErrorCode::Corrupt, "not a command of this version"};
    }
    const bool numbered = command.header.number.value() != 0;
    if (numbered == (command.header.lane.lane_class == LaneClass::Leader)) {
        return Error{ErrorCode::Corrupt, "a command's number and its lane contradict each other"};
    }
    return command;
}

const char* command_name(const CommandBody& body) {
    switch (kind_of(body)) {
        case Kind::Attach:
            return "attach";
        case Kind::Detached:
            return "detached";
        case Kind::Subscribe:
            return "subscribe";
        case Kind::Unsubscribe:
            return "unsubscribe";
        case Kind::Enqueue:
            return "enqueue";
        case Kind::EnqueueGroup:
            return "enqueue-group";
        case Kind::Ack:
            return "ack";
        case Kind::OutboxPut:
            return "outbox-put";
        case Kind::Release:
            return "release";
        case Kind::Retain:
            return "retain";
        case Kind::OutboxDone:
            return "outbox-done";
        case Kind::Route:
            return "route";
        case Kind::Made:
            return "made";
        case Kind::NodeDown:
            return "node-down";
        case Kind::Tick:
            return "tick";
        case Kind::Void:
            return "void";
        case Kind::EndSession:
            return "end-session";
        case Kind::GroupPick:
            return "group-pick";
        case Kind::OutboxReturn:
            return "outbox-return";
        case Kind::Replay:
            return "replay";
    }
    return "unknown";
}

}  // namespace quorate::cluster
