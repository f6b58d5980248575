#include "bench/load/feed.h"

#include <algorithm>

#include <fmt/format.h>

namespace quorate::bench {
namespace {

constexpr std::size_t kUnsentBytesMax = 256 * 1024;
constexpr std::size_t kPacketOverheadMax = 256 * 1024;
constexpr Nanos kLinger = std::chrono::milliseconds(200);

}  // namespace

Feed::Feed(const Options& options)
    : options_(options), loop_(options.payload_bytes + kPacketOverheadMax) {}

DialPlan Feed::plan(std::string_view kind, std::uint32_t number) const {
    DialPlan made;
    made.endpoint = &options_.subscriber_host(number);
    made.fields.version = options_.version;
    made.fields.client_id = options_.client_id(kind, number);
    made.fields.username = options_.username;
    made.fields.password = options_.password;
    made.fields.keep_alive_s = options_.keep_alive_s;
    made.qos = options_.qos;
    made.index = number;
    return made;
}

Failure Feed::connect_publisher() {
    std::vector<DialPlan> plans = {plan("p", 0)};
    plans[0].endpoint = &options_.publisher_host(0);
    plans[0].role = Role::publisher;
    Dialer dialer(
        loop_, *this,
        DialLimits{.timeout = options_.timeout, .connects_per_s = options_.connects_per_s});
    if (Failure failure = dialer.run(plans)) return failure;
    const Dialed& up = dialer.dialed()[0];
    publisher_ = up.connection;
    const std::uint32_t window =
        std::min<std::uint32_t>(options_.window, up.connack.receive_maximum);
    acks_ = std::make_unique<AckWindow>(options_.qos, window);
    return std::nullopt;
}

void Feed::append(const FeedMessage& message, Nanos now) {
    const std::size_t payload = message.empty ? 0 : options_.payload_bytes;
    PublishTemplate made =
        make_publish({options_.version, message.topic, options_.qos, message.retain, payload});
    const std::span<std::uint8_t> bytes(made.bytes);
    if (!message.empty) {
        const Stamper stamper(options_.run_id, bytes.subspan(made.payload_offset));
        Stamp stamp = message.stamp;
        stamp.sent = now;
        stamper.stamp(made.bytes.data() + made.payload_offset, stamp);
    }
    if (options_.qos > 0) {
        const std::uint16_t packet_id = acks_->begin(message.stamp.sequence, now);
        bytes[made.packet_id_offset] = static_cast<std::uint8_t>(packet_id >> 8U);
        bytes[made.packet_id_offset + 1] = static_cast<std::uint8_t>(packet_id & 0xFFU);
    }
    Bytes& out = publisher_->output();
    out.insert(out.end(), made.bytes.begin(), made.bytes.end());
}

Failure Feed::publish_all(std::uint64_t count,
                          const std::function<FeedMessage(std::uint64_t)>& make) {
    std::uint64_t next = 0;
    bool pinged = false;
    pong_ = false;
    Nanos now = monotonic_now();
    last_arrival_ = now;
    std::size_t unsent_before = 0;
    while (publisher_->open()) {
        while (next < count && publisher_->unsent() < kUnsentBytesMax &&
               (options_.qos == 0 || acks_->has_room())) {
            append(make(next++), now);
        }
        if (options_.qos == 0 && next == count && !pinged) {
            append_pingreq(publisher_->output());
            pinged = true;
        }
        if (next == count && acks_->unacknowledged() == 0 && (options_.qos > 0 || pong_)) {
            return std::nullopt;
        }
        // What the kernel takes is progress too: a QoS 0 publisher hears nothing until the end.
        if (publisher_->unsent() != unsent_before) last_arrival_ = now;
        unsent_before = publisher_->unsent();
        if (unsent_before > 0) loop_.touch(*publisher_);
        loop_.turn(std::chrono::milliseconds(50), *this);
        now = monotonic_now();
        if (now - last_arrival_ > options_.timeout) {
            findings_.unacknowledged += acks_->unacknowledged();
            return fmt::format("{} of {} messages sent, and then no acknowledgement", next, count);
        }
    }
    return "the broker closed the publisher's connection";
}

void Feed::wait_until(const std::function<bool()>& done) {
    Nanos now = monotonic_now();
    last_arrival_ = now;
    const Nanos end = now + 60 * options_.timeout;
    while (now < end && now - last_arrival_ < options_.drain && !done()) {
        loop_.turn(std::chrono::milliseconds(10), *this);
        now = monotonic_now();
    }
    const Nanos linger_end = now + kLinger;
    for (; now < linger_end; now = monotonic_now())
        loop_.turn(linger_end - now, *this);
}

void Feed::disconnect(Connection& connection, bool end_session) {
    if (!connection.open()) return;
    append_disconnect(connection.output(), connection.version, end_session);
    loop_.close(connection);
}

void Feed::on_connected(Connection&) {}

void Feed::on_frame(Connection& connection, const Frame& frame, Nanos now) {
    switch (frame.type()) {
        case PacketType::publish: {
            Publish publish;
            if (!parse_publish(frame, connection.version, publish)) break;
            last_arrival_ = now;
            if (publish.qos > 0) {
                append_ack(connection.output(),
                           publish.qos == 1 ? PacketType::puback : PacketType::pubrec,
                           publish.packet_id);
                loop_.touch(connection);
            }
            on_message(connection, publish, now);
            return;
        }
        case PacketType::pubrel: {
            const std::optional<Ack> ack = parse_ack(frame, connection.version);
            if (!ack) break;
            append_ack(connection.output(), PacketType::pubcomp, ack->packet_id);
            loop_.touch(connection);
            return;
        }
        case PacketType::puback:
        case PacketType::pubrec:
        case PacketType::pubcomp:
            on_ack(connection, frame, now);
            return;
        case PacketType::pingresp:
            if (&connection == publisher_) pong_ = true;
            return;
        case PacketType::disconnect:
            findings_.note(
                fmt::format("DISCONNECT with reason 0x{:02X}", disconnect_reason(frame)));
            return;
        case PacketType::connect:
        case PacketType::connack:
        case PacketType::subscribe:
        case PacketType::suback:
        case PacketType::unsubscribe:
        case PacketType::unsuback:
        case PacketType::pingreq:
        case PacketType::auth:
            break;
    }
    broken(connection, frame.first);
}

void Feed::broken(const Connection& connection, std::uint8_t first) {
    ++findings_.protocol_errors;
    findings_.note(
        fmt::format("client {}: malformed or unexpected packet 0x{:02X}", connection.index, first));
}

void Feed::on_ack(Connection& connection, const Frame& frame, Nanos now) {
    const std::optional<Ack> ack = parse_ack(frame, connection.version);
    Nanos latency{0};
    const AckOutcome outcome = ack && &connection == publisher_
                                   ? acks_->on_ack(frame.type(), *ack, now, latency)
                                   : AckOutcome::stray;
    last_arrival_ = now;
    switch (outcome) {
        case AckOutcome::done:
            ++acknowledged_;
            return;
        case AckOutcome::release:
            append_ack(connection.output(), PacketType::pubrel, ack->packet_id);
            loop_.touch(connection);
            return;
        case AckOutcome::refused:
            ++findings_.refused;
            findings_.note(fmt::format("a message was refused with 0x{:02X}", ack->reason));
            return;
        case AckOutcome::stray:
            broken(connection, frame.first);
            return;
    }
}

void Feed::on_closed(Connection& connection, std::string_view why) {
    ++findings_.disconnected;
    findings_.note(fmt::format("client {}: {}", connection.index, why));
}

void Feed::on_drained(Connection&) {}

void Feed::on_turn_read() {}

}  // namespace quorate::bench
