// Long, because every member of a parcel is written and read here, side by side.
#include "cluster/router/remote/traffic_fields.h"

#include <utility>

#include "cluster/shard/answer_codec.h"
#include "cluster/shard/record_fields.h"
#include "proto/mqtt/message.h"

namespace quorate::cluster {
namespace {

// A batch's bytes are judged by reading it as its receiver will.
template <typename Batch, typename Check>
void read_batch(RecordReader& in, Batch& batch, Check&& check) {
    batch.count = in.u32();
    const std::string_view bytes = in.text();
    RecordReader items(bytes);
    uint32_t count = 0;
    while (!items.rest().empty() && !items.failed() && count <= batch.count) {
        check(items);
        ++count;
    }
    if (in.failed() || items.failed() || count != batch.count) return in.fail();
    batch.bytes = bytes;
}

template <typename Batch>
void write_batch(RecordWriter& out, const Batch& batch) {
    out.u32(batch.count);
    out.text(batch.bytes);
}

void check_message(RecordReader& in) {
    if (!mqtt::decode_message(in.text())) in.fail();
}

template <typename Enum>
Enum read_enum(RecordReader& in, Enum last) {
    const uint8_t value = in.u8();
    if (value > static_cast<uint8_t>(last)) in.fail();
    return in.failed() ? Enum{} : static_cast<Enum>(value);
}

SharedBytes read_message(RecordReader& in) {
    const std::string_view flat = in.text();
    if (!mqtt::decode_message(flat)) {
        in.fail();
        return {};
    }
    return SharedBytes(as_bytes(flat));
}

template <typename Value>
void write_optional(RecordWriter& out, const std::optional<Value>& value) {
    write_flag(out, value.has_value());
    if (value) value->write(out);
}

void write_cursor(RecordWriter& out, const RetainedCursor& cursor) {
    out.id(cursor.shard);
    out.text(cursor.after);
}

RetainedCursor read_cursor(RecordReader& in) {
    const auto shard = in.id<ShardId>();
    return {shard, std::string(in.text())};
}

}  // namespace

void write_field(RecordWriter& out, const CommandParcel& batch) {
    write_batch(out, batch);
}
void read_field(RecordReader& in, CommandParcel& batch) {
    read_batch(in, batch, [](RecordReader& item) {
        (void)item.id<GroupId>();
        (void)item.text();
    });
}

void write_field(RecordWriter& out, const PublishBatch& batch) {
    write_batch(out, batch);
}
void read_field(RecordReader& in, PublishBatch& batch) {
    read_batch(in, batch, [](RecordReader& item) {
        (void)item.u64();
        (void)item.u8();
        check_message(item);
    });
}

void write_field(RecordWriter& out, const GroupBatch& batch) {
    write_batch(out, batch);
}
void read_field(RecordReader& in, GroupBatch& batch) {
    read_batch(in, batch, [](RecordReader& item) {
        (void)item.id<ShardId>();
        (void)item.text();
        (void)item.u64();
        check_message(item);
    });
}

void write_field(RecordWriter& out, const DeliveryBatch& batch) {
    write_batch(out, batch);
}
void read_field(RecordReader& in, DeliveryBatch& batch) {
    read_batch(in, batch, [](RecordReader& item) {
        if (!DeliveryBatch::check(item)) item.fail();
    });
}

void write_field(RecordWriter& out, const TakenBatch::Taken& taken) {
    out.u64(taken.ticket);
    out.u32(taken.receivers);
    out.u8(static_cast<uint8_t>(taken.code));
}
void read_field(RecordReader& in, TakenBatch::Taken& taken) {
    taken.ticket = in.u64();
    taken.receivers = in.u32();
    taken.code = static_cast<mqtt::ReasonCode>(in.u8());
}

void write_field(RecordWriter& out, const GroupPublish& publish) {
    out.id(publish.group.shard);
    out.text(publish.group.group);
    out.u64(publish.ticket);
    out.text(publish.message.text());
    write_optional(out, publish.source);
    write_flag(out, publish.to_outbox);
}
void read_field(RecordReader& in, GroupPublish& publish) {
    publish.group.shard = in.id<ShardId>();
    publish.group.group = in.text();
    publish.ticket = in.u64();
    publish.message = read_message(in);
    if (read_flag(in)) publish.source = OutboxSource::read(in);
    publish.to_outbox = read_flag(in);
    // An outbox waits for an answer under the source's number.
    if (publish.to_outbox && !publish.source) in.fail();
}

void write_field(RecordWriter& out, const Want& want) {
    out.id(want.shard);
    out.id(want.session);
    out.id(want.epoch);
    out.id(want.next);
    out.u32(want.credit);
    out.u64(want.received);
    out.u64(want.room);
    out.u8(want.again ? 1 : 0);
}
void read_field(RecordReader& in, Want& want) {
    want.shard = in.id<ShardId>();
    want.session = in.id<SessionId>();
    want.epoch = in.id<Epoch>();
    want.next = in.id<MessageNumber>();
    want.credit = in.u32();
    want.received = in.u64();
    want.room = in.u64();
    want.again = read_flag(in);
}

void write_field(RecordWriter& out, const SharedAck& ack) {
    out.id(ack.shard);
    out.u64(ack.ticket);
    out.u8(static_cast<uint8_t>(ack.kind));
    write_connection(out, ack.connection);
}
void read_field(RecordReader& in, SharedAck& ack) {
    ack.shard = in.id<ShardId>();
    ack.ticket = in.u64();
    ack.kind = read_enum(in, SharedAck::Kind::Room);
    ack.connection = read_connection(in);
}

void write_field(RecordWriter& out, const SharedPresence& presence) {
    out.id(presence.shard);
    out.text(presence.group);
    presence.member.write(out);
    write_flag(out, presence.connected);
}
void read_field(RecordReader& in, SharedPresence& presence) {
    presence.shard = in.id<ShardId>();
    presence.group = in.text();
    presence.member = Destination::read(in);
    presence.connected = read_flag(in);
}

// Who asks is named, because a query of a durable session goes on from the worker of its shard to
// that of the topics, which answers the loop. Node 0: a loop of the sender.
void write_field(RecordWriter& out, const RetainedQuery& query) {
    out.id(query.from.node);
    out.id(query.from.port);
    out.u64(query.token);
    out.text(query.filter);
    write_cursor(out, query.at);
    write_flag(out, query.whole_worker);
    out.u32(query.room);
    write_flag(out, query.durable.has_value());
    if (!query.durable) return;
    out.id(query.durable->shard);
    out.id(query.durable->session);
    out.text(query.durable->filter);
    out.id(query.durable->replay.epoch);
    out.id(query.durable->replay.number);
    write_cursor(out, query.durable->from);
    write_flag(out, query.durable->then.has_value());
    if (query.durable->then) out.id(*query.durable->then);
}
void read_field(RecordReader& in, RetainedQuery& query) {
    query.from.node = in.id<Incarnation>();
    query.from.port = in.id<PortId>();
    query.token = in.u64();
    query.filter = in.text();
    query.at = read_cursor(in);
    query.whole_worker = read_flag(in);
    query.room = in.u32();
    if (!read_flag(in)) return;
    RetainedQuery::Durable durable;
    durable.shard = in.id<ShardId>();
    durable.session = in.id<SessionId>();
    durable.filter = in.text();
    durable.replay.epoch = in.id<Epoch>();
    durable.replay.number = in.id<CommandNumber>();
    durable.from = read_cursor(in);
    if (read_flag(in)) durable.then = in.id<ShardId>();
    query.durable = std::move(durable);
}

void write_field(RecordWriter& out, const RetainedPage& page) {
    out.u64(page.token);
    out.id(page.worker);
    write_flag(out, page.next.has_value());
    if (page.next) write_cursor(out, *page.next);
    out.u32(static_cast<uint32_t>(page.messages.size()));
    for (const SharedBytes& flat : page.messages)
        out.text(flat.text());
    write_flag(out, page.full);
    write_flag(out, page.noted);
}
void read_field(RecordReader& in, RetainedPage& page) {
    page.token = in.u64();
    page.worker = in.id<WorkerId>();
    if (read_flag(in)) page.next = read_cursor(in);
    const uint32_t count = read_count(in, sizeof(uint32_t));
    page.messages.reserve(count);
    for (uint32_t i = 0; i < count && !in.failed(); ++i)
        page.messages.push_back(read_message(in));
    page.full = read_flag(in);
    page.noted = read_flag(in);
}

void write_field(RecordWriter& out, const HandOver& entry) {
    entry.source.write(out);
    out.text(entry.group);
    out.text(entry.message.text());
    out.id(entry.term);
    out.u32(entry.attempt);
    out.id(entry.prev);
}
void read_field(RecordReader& in, HandOver& entry) {
    entry.source = OutboxSource::read(in);
    entry.group = in.text();
    entry.message = read_message(in);
    entry.term = in.id<Term>();
    entry.attempt = in.u32();
    entry.prev = in.id<OutboxNumber>();
}

void write_field(RecordWriter& out, const HandOverDone& done) {
    out.id(done.source);
    done.target.write(out);
    out.id(done.number);
}
void read_field(RecordReader& in, HandOverDone& done) {
    done.source = in.id<ShardId>();
    done.target = OutboxTarget::read(in);
    done.number = in.id<OutboxNumber>();
}

void write_field(RecordWriter& out, const SharedDelivery& delivery) {
    write_connection(out, delivery.connection);
    out.u64(delivery.ticket);
    out.id(delivery.shard);
    out.u8(static_cast<uint8_t>(delivery.qos));
    out.u64(delivery.group_hash);
    out.text(delivery.message.text());
}
void read_field(RecordReader& in, SharedDelivery& delivery) {
    delivery.connection = read_connection(in);
    delivery.ticket = in.u64();
    delivery.shard = in.id<ShardId>();
    delivery.qos = read_enum(in, mqtt::QoS::ExactlyOnce);
    delivery.group_hash = in.u64();
    delivery.message = read_message(in);
}

void write_field(RecordWriter& out, const LetGoRequest& request) {
    out.id(request.shard);
    write_connection(out, request.let_go.connection);
    out.id(request.let_go.session);
    out.id(request.let_go.epoch);
}
void read_field(RecordReader& in, LetGoRequest& request) {
    request.shard = in.id<ShardId>();
    request.let_go.connection = read_connection(in);
    request.let_go.session = in.id<SessionId>();
    request.let_go.epoch = in.id<Epoch>();
}

void write_field(RecordWriter& out, const GroupAnswer& answer) {
    std::string bytes;
    encode_answer(bytes, answer.answer);
    out.id(answer.group);
    out.text(bytes);
}
void read_field(RecordReader& in, GroupAnswer& answer) {
    answer.group = in.id<GroupId>();
    auto decoded = decode_answer(in.text());
    if (!decoded.ok()) return in.fail();
    answer.answer = std::move(decoded).value();
}

void write_field(RecordWriter& out, const StreamParcel& stream) {
    out.id(stream.shard);
    out.id(stream.loop);
    write_flag(out, stream.begin.has_value());
    if (stream.begin) {
        out.u32(stream.begin->attempt);
        out.id(stream.begin->term);
        out.u64(stream.begin->first);
    }
    out.u32(static_cast<uint32_t>(stream.items.size()));
    for (const StreamItem& item : stream.items) {
        out.u32(item.attempt);
        out.u64(item.number);
        out.u64(item.prev);
        out.u64(item.done);
        out.text(item.message.text());
    }
}
void read_field(RecordReader& in, StreamParcel& stream) {
    constexpr std::size_t kItemMin = 32;
    stream.shard = in.id<ShardId>();
    stream.loop = in.id<LoopId>();
    if (read_flag(in)) {
        StreamBegin& begin = stream.begin.emplace();
        begin.attempt = in.u32();
        begin.term = in.id<Term>();
        begin.first = in.u64();
    }
    const uint32_t count = read_count(in, kItemMin);
    stream.items.reserve(count);
    for (uint32_t i = 0; i < count && !in.failed(); ++i) {
        StreamItem& item = stream.items.emplace_back();
        item.attempt = in.u32();
        item.number = in.u64();
        item.prev = in.u64();
        item.done = in.u64();
        item.message = read_message(in);
    }
}

void write_field(RecordWriter& out, const StreamAnswer& answer) {
    out.id(answer.shard);
    out.u32(answer.attempt);
    write_flag(out, answer.refused);
    out.u64(answer.number);
    out.u32(answer.receivers);
    out.u8(static_cast<uint8_t>(answer.code));
}
void read_field(RecordReader& in, StreamAnswer& answer) {
    answer.shard = in.id<ShardId>();
    answer.attempt = in.u32();
    answer.refused = read_flag(in);
    answer.number = in.u64();
    answer.receivers = in.u32();
    answer.code = static_cast<mqtt::ReasonCode>(in.u8());
}

void write_field(RecordWriter& out, const NodeCopy& each) {
    out.id(each.to);
    out.u64(each.copy.number);
    out.id(each.copy.fence.source);
    out.id(each.copy.fence.term);
    write_optional(out, each.copy.source);
    out.text(each.copy.message.text());
}
void read_field(RecordReader& in, NodeCopy& each) {
    each.to = in.id<Incarnation>();
    each.copy.number = in.u64();
    each.copy.fence.source = in.id<ShardId>();
    each.copy.fence.term = in.id<Term>();
    if (read_flag(in)) each.copy.source = OutboxSource::read(in);
    each.copy.message = read_message(in);
}

void write_field(RecordWriter& out, const NodeCopyAnswer& answer) {
    out.id(answer.fence.source);
    out.id(answer.fence.term);
    out.id(answer.at);
    out.u64(answer.number);
    out.u8(static_cast<uint8_t>(answer.verdict));
    out.u32(answer.receivers);
}
void read_field(RecordReader& in, NodeCopyAnswer& answer) {
    answer.fence.source = in.id<ShardId>();
    answer.fence.term = in.id<Term>();
    answer.at = in.id<Incarnation>();
    answer.number = in.u64();
    answer.verdict = read_enum(in, CopyVerdict::Fenced);
    answer.receivers = in.u32();
}

}  // namespace quorate::cluster
