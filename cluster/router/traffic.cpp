#include "cluster/router/traffic.h"

namespace quorate::cluster {
namespace {

// A length that is known only after what it measures was written.
std::size_t reserve_length(std::string& bytes) {
    bytes.append(sizeof(uint32_t), '\0');
    return bytes.size();
}

void fill_length(std::string& bytes, std::size_t start) {
    const auto size = static_cast<uint32_t>(bytes.size() - start);
    for (std::size_t i = 0; i < sizeof(uint32_t); ++i) {
        bytes[start - sizeof(uint32_t) + i] = static_cast<char>(size >> (8 * i));
    }
}

constexpr uint8_t kDup = 1;
constexpr uint8_t kPubrecKnown = 2;
constexpr uint8_t kRetain = 4;

}  // namespace

void PublishBatch::add(Ticket ticket, uint8_t flags, const mqtt::MessageView& message) {
    RecordWriter out(bytes);
    out.u64(ticket);
    out.u8(flags);
    const std::size_t start = reserve_length(bytes);
    mqtt::encode_message(bytes, message);
    fill_length(bytes, start);
    ++count;
}

void GroupBatch::add(const GroupRoute& group, Ticket ticket, const mqtt::MessageView& message) {
    RecordWriter out(bytes);
    out.id(group.shard);
    out.text(group.group);
    out.u64(ticket);
    const std::size_t start = reserve_length(bytes);
    mqtt::encode_message(bytes, message);
    fill_length(bytes, start);
    ++count;
}

uint64_t LoopParcel::message_bytes() const {
    uint64_t sum = publishes.bytes.size() + deliveries.bytes.size();
    for (const SharedDelivery& delivery : shared)
        sum += delivery.message.size();
    return sum;
}

uint64_t WorkerParcel::message_bytes() const {
    uint64_t sum = owned.bytes.size() + live.bytes.size() + group_batch.bytes.size();
    for (const GroupPublish& publish : groups)
        sum += publish.message.size();
    for (const HandOver& entry : hand_overs)
        sum += entry.message.size();
    for (const StreamParcel& stream : streams) {
        for (const StreamItem& item : stream.items)
            sum += item.message.size();
    }
    for (const NodeCopy& each : copies)
        sum += each.copy.message.size();
    return sum;
}

std::size_t CommandParcel::begin(GroupId group) {
    RecordWriter(bytes).id(group);
    ++count;
    return reserve_length(bytes);
}

void CommandParcel::end(std::size_t position) {
    fill_length(bytes, position);
}

void DeliveryBatch::add_head(const DeliveryView& delivery) {
    RecordWriter out(bytes);
    write_connection(out, delivery.connection);
    out.id(delivery.session);
    out.id(delivery.epoch);
    out.id(delivery.number);
    out.id(delivery.from);
    out.u8(static_cast<uint8_t>((delivery.dup ? kDup : 0) |
                                (delivery.pubrec_known ? kPubrecKnown : 0) |
                                (delivery.retain ? kRetain : 0)));
    out.u8(static_cast<uint8_t>(delivery.qos));
    out.u32(static_cast<uint32_t>(delivery.subscription_ids.size()));
    for (const uint32_t id : delivery.subscription_ids)
        out.u32(id);
    ++count;
}

void DeliveryBatch::add(const DeliveryView& delivery) {
    add_head(delivery);
    const std::size_t start = reserve_length(bytes);
    mqtt::encode_message(bytes, delivery.message);
    fill_length(bytes, start);
}

void DeliveryBatch::add_flat(const DeliveryView& delivery, std::string_view flat) {
    add_head(delivery);
    RecordWriter(bytes).text(flat);
}

bool DeliveryBatch::check(RecordReader& in) {
    (void)read_connection(in);
    (void)in.id<SessionId>();
    (void)in.id<Epoch>();
    (void)in.id<MessageNumber>();
    (void)in.id<MessageNumber>();
    const uint8_t flags = in.u8();
    const uint8_t qos = in.u8();
    const uint32_t ids = in.u32();
    if (ids > in.rest().size() / sizeof(uint32_t)) return false;
    (void)in.raw(ids * sizeof(uint32_t));
    const auto message = mqtt::decode_message(in.text());
    return message.has_value() && !in.failed() && flags <= (kDup | kPubrecKnown | kRetain) &&
           qos <= static_cast<uint8_t>(mqtt::QoS::ExactlyOnce);
}

DeliveryView DeliveryBatch::read(RecordReader& in, std::vector<uint32_t>& ids) {
    DeliveryView delivery;
    delivery.connection = read_connection(in);
    delivery.session = in.id<SessionId>();
    delivery.epoch = in.id<Epoch>();
    delivery.number = in.id<MessageNumber>();
    delivery.from = in.id<MessageNumber>();
    const uint8_t flags = in.u8();
    delivery.dup = (flags & kDup) != 0;
    delivery.pubrec_known = (flags & kPubrecKnown) != 0;
    delivery.retain = (flags & kRetain) != 0;
    delivery.qos = static_cast<mqtt::QoS>(in.u8());
    ids.resize(in.u32());
    for (uint32_t& id : ids)
        id = in.u32();
    delivery.subscription_ids = ids;
    const auto message = mqtt::decode_message(in.text());
    ASSERT(message.has_value() && !in.failed(), "a batch holds what this process encoded");
    delivery.message = *message;
    delivery.message.qos = delivery.qos;
    delivery.message.retain = delivery.retain;
    return delivery;
}

}  // namespace quorate::cluster
