#include "cluster/sessions/session.h"

#include <algorithm>

#include "cluster/topics/destination.h"
#include "proto/base/hash.h"

namespace quorate::cluster {

namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kLaneClassMax = 1;  // a waiting Attach came by a numbered lane

constexpr unsigned kDurable = 1;
constexpr unsigned kAttached = 2;
constexpr unsigned kHasWill = 4;
constexpr unsigned kWaiting = 8;
constexpr unsigned kEndOnDetach = 16;

void write_will(RecordWriter& out, const Will& will) {
    out.id(will.body);
    out.u32(will.bytes);
    out.u32(will.delay_s);
    out.id(will.target);
    out.u8(static_cast<uint8_t>(will.qos | (will.expiry_s ? 0x80U : 0U)));
    out.u32(will.expiry_s.value_or(0));
}

Will read_will(RecordReader& in) {
    Will will;
    will.body = in.id<BodyId>();
    will.bytes = in.u32();
    will.delay_s = in.u32();
    will.target = in.id<ShardId>();
    const uint8_t flags = in.u8();
    const uint32_t expiry = in.u32();
    if ((flags & 0x80U) != 0) will.expiry_s = expiry;
    will.qos = flags & 0x7FU;
    if (will.qos > 2) in.fail();
    return will;
}

mqtt::ProtocolVersion read_version(RecordReader& in) {
    const uint8_t version = in.u8();
    if (version < 3 || version > 5) in.fail();
    return static_cast<mqtt::ProtocolVersion>(version);
}

void write_waiting(RecordWriter& out, const WaitingAttach& waiting) {
    out.id(waiting.lane_incarnation);
    out.u16(waiting.lane_producer);
    out.u8(waiting.lane_class);
    out.id(waiting.number);
    out.u64(waiting.token);
    out.u8(static_cast<uint8_t>(waiting.version));
    out.u8(static_cast<uint8_t>((waiting.clean_start ? 1U : 0U) | (waiting.will ? 2U : 0U)));
    out.u32(waiting.expiry_s);
    out.u16(waiting.receive_maximum);
    write_connection(out, waiting.connection);
    out.id(waiting.deadline);
    if (waiting.will) write_will(out, *waiting.will);
}

WaitingAttach read_waiting(RecordReader& in) {
    WaitingAttach waiting;
    waiting.lane_incarnation = in.id<Incarnation>();
    waiting.lane_producer = in.u16();
    waiting.lane_class = in.u8();
    if (waiting.lane_class > kLaneClassMax) in.fail();
    waiting.number = in.id<CommandNumber>();
    waiting.token = in.u64();
    waiting.version = read_version(in);
    const uint8_t flags = in.u8();
    if (flags > 3) in.fail();
    waiting.clean_start = (flags & 1U) != 0;
    waiting.expiry_s = in.u32();
    waiting.receive_maximum = in.u16();
    if (waiting.receive_maximum == 0) in.fail();
    waiting.connection = read_connection(in);
    waiting.deadline = in.id<ClusterTime>();
    if ((flags & 2U) != 0) waiting.will = read_will(in);
    return waiting;
}

}  // namespace

void write_session(RecordWriter& out, const Session& session) {
    out.u8(kVersion);
    const unsigned flags = (session.durable ? kDurable : 0U) |
                           (session.attached() ? kAttached : 0U) | (session.will ? kHasWill : 0U) |
                           (session.waiting ? kWaiting : 0U) |
                           (session.end_on_detach ? kEndOnDetach : 0U);
    out.u8(static_cast<uint8_t>(flags));
    out.text(session.client_id);
    out.text(session.identity);
    out.u8(static_cast<uint8_t>(session.version));
    out.u32(session.expiry_s);
    out.id(session.epoch);
    out.id(session.expires_at);
    out.id(session.will_due_at);
    if (session.attachment) {
        write_connection(out, session.attachment->connection);
        out.u64(session.attachment->token);
        out.u8(session.attachment->session_present ? 1 : 0);
        out.u16(session.attachment->receive_maximum);
    }
    if (session.will) write_will(out, *session.will);
    if (session.waiting) write_waiting(out, *session.waiting);
}

std::unique_ptr<Session> read_session(SessionId id, std::string_view value) {
    RecordReader in(value);
    auto session = std::make_unique<Session>();
    const uint8_t version = in.u8();
    const uint8_t flags = in.u8();
    session->id = id;
    session->client_id = in.text();
    session->identity = in.text();
    session->publisher = hash64(session->client_id);
    session->version = read_version(in);
    session->expiry_s = in.u32();
    session->epoch = in.id<Epoch>();
    session->expires_at = in.id<ClusterTime>();
    session->will_due_at = in.id<ClusterTime>();
    session->end_on_detach = (flags & kEndOnDetach) != 0;
    if ((flags & kDurable) != 0) session->durable = std::make_unique<DurableState>();
    if ((flags & kAttached) != 0) {
        Attachment attachment;
        attachment.connection = read_connection(in);
        attachment.token = in.u64();
        attachment.session_present = in.u8() == 1;
        attachment.receive_maximum = in.u16();
        if (attachment.receive_maximum == 0) in.fail();
        session->attachment = attachment;
    }
    if ((flags & kHasWill) != 0) session->will = std::make_unique<Will>(read_will(in));
    if ((flags & kWaiting) != 0) {
        session->waiting = std::make_unique<WaitingAttach>(read_waiting(in));
        session->takeover_at = session->waiting->deadline;
    }
    const bool sane = in.finished() && version == kVersion && flags < 32 && id.value() != 0 &&
                      (!session->waiting || session->attached()) &&
                      (session->will_due_at.value() == 0 || session->will) &&
                      (session->attached() || session->durable || session->will);
    return sane ? std::move(session) : nullptr;
}

void write_subscription(RecordWriter& out, const Subscription& subscription) {
    out.u8(kVersion);
    out.u8(static_cast<uint8_t>(subscription.qos));
    out.u8(static_cast<uint8_t>((subscription.no_local ? 1U : 0U) |
                                (subscription.retain_as_published ? 2U : 0U)));
    out.u8(static_cast<uint8_t>(subscription.retain_handling));
    out.u32(subscription.id);
    out.u16(subscription.share);
}

std::optional<Subscription> read_subscription(std::string_view value) {
    RecordReader in(value);
    const uint8_t version = in.u8();
    const uint8_t qos = in.u8();
    const uint8_t flags = in.u8();
    const uint8_t handling = in.u8();
    Subscription subscription;
    subscription.qos = static_cast<mqtt::QoS>(qos);
    subscription.no_local = (flags & 1U) != 0;
    subscription.retain_as_published = (flags & 2U) != 0;
    subscription.retain_handling = static_cast<mqtt::RetainHandling>(handling);
    subscription.id = in.u32();
    subscription.share = in.u16();
    if (!in.finished() || version != kVersion || qos > 2 || flags > 3 || handling > 2) return {};
    return subscription;
}

void write_cursor(RecordWriter& out, const Session& session) {
    const DurableState& durable = *session.durable;
    out.u8(kVersion);
    out.id(session.purge_at);
    durable.queue.write(out);
    out.u16(durable.next_share);
    out.u16(static_cast<uint16_t>(durable.shares.size()));
    for (const auto& [number, filter] : durable.shares) {
        out.u16(number);
        out.text(filter);
    }
}

bool read_cursor(std::string_view value, Session& session) {
    if (!session.durable) return false;
    DurableState& durable = *session.durable;
    RecordReader in(value);
    const uint8_t version = in.u8();
    session.purge_at = in.id<ClusterTime>();
    if (version != kVersion || !durable.queue.read(in)) return false;
    durable.next_share = in.u16();
    const uint16_t shares = in.u16();
    for (uint16_t i = 0; i < shares && !in.failed(); ++i) {
        const uint16_t number = in.u16();
        durable.shares.emplace(number, in.text());
    }
    return in.finished() && durable.shares.size() == shares && !durable.shares.contains(0) &&
           durable.next_share != 0;
}

void write_received(RecordWriter& out, const DurableState& durable) {
    out.u8(kVersion);
    for (const uint16_t id : durable.received)
        out.u16(id);
}

bool read_received(std::string_view value, DurableState& durable) {
    RecordReader in(value);
    if (in.u8() != kVersion || in.rest().size() % sizeof(uint16_t) != 0) return false;
    while (!in.rest().empty())
        durable.received.push_back(in.u16());
    const auto& ids = durable.received;
    const bool rising = std::ranges::adjacent_find(ids, std::ranges::greater_equal()) == ids.end();
    return !in.failed() && rising && (ids.empty() || ids.front() != 0);
}

void write_entry_head(RecordWriter& out, const EntryRecord& entry) {
    out.u8(kVersion);
    out.u8(static_cast<uint8_t>(static_cast<unsigned>(entry.qos) | (entry.retain ? 4U : 0U)));
    out.u16(entry.share);
    out.id(entry.expires_at);
    out.u32(entry.bytes);
    out.id(entry.body);
    out.u16(static_cast<uint16_t>(entry.subscription_ids.size()));
    for (const uint32_t id : entry.subscription_ids)
        out.u32(id);
}

bool read_entry(std::string_view value, EntryRecord& entry) {
    RecordReader in(value);
    const uint8_t version = in.u8();
    const uint8_t flags = in.u8();
    entry.qos = static_cast<mqtt::QoS>(flags & 3U);
    entry.retain = (flags & 4U) != 0;
    entry.share = in.u16();
    entry.expires_at = in.id<ClusterTime>();
    entry.bytes = in.u32();
    entry.body = in.id<BodyId>();
    const uint16_t ids = in.u16();
    entry.subscription_ids.clear();
    for (uint16_t i = 0; i < ids && !in.failed(); ++i)
        entry.subscription_ids.push_back(in.u32());
    entry.message = in.rest();
    const bool inline_fits =
        entry.body.value() == 0 ? entry.message.size() == entry.bytes : entry.message.empty();
    return !in.failed() && version == kVersion && flags < 8 && (flags & 3U) != 3 && inline_fits;
}

}  // namespace quorate::cluster
