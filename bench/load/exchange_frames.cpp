// The receiving half of Exchange: what arrives on its connections.
#include <fmt/format.h>

#include "bench/load/exchange.h"

namespace quorate::bench {

void Exchange::on_connected(Connection&) {}

void Exchange::on_frame(Connection& connection, const Frame& frame, Nanos now) {
    switch (frame.type()) {
        case PacketType::publish:
            on_publish(connection, frame, now);
            return;
        case PacketType::puback:
        case PacketType::pubrec:
        case PacketType::pubcomp:
            on_ack(connection, frame, now);
            return;
        case PacketType::pubrel: {
            const std::optional<Ack> ack = parse_ack(frame, connection.version);
            if (!ack || options_.qos != 2) break;
            append_ack(connection.output(), PacketType::pubcomp, ack->packet_id);
            loop_.touch(connection);
            last_arrival_ = now;
            return;
        }
        case PacketType::pingresp:
            return;
        case PacketType::disconnect:
            findings_.note(fmt::format("{}: DISCONNECT with reason 0x{:02X}", name(connection),
                                       disconnect_reason(frame)));
            return;  // the broker closes next, which is counted
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
    broken(connection, fmt::format("malformed or unexpected packet 0x{:02X}", frame.first));
}

void Exchange::broken(Connection& connection, std::string_view what) {
    ++findings_.protocol_errors;
    findings_.note(fmt::format("{}: {}", name(connection), what));
}

std::string Exchange::name(const Connection& connection) const {
    switch (connection.role) {
        case Role::publisher:
            return fmt::format("publisher {}", connection.index);
        case Role::subscriber:
            return fmt::format("subscriber {}", connection.index);
        case Role::bystander:
            break;
    }
    return fmt::format("bystander {}", connection.index);
}

void Exchange::on_publish(Connection& connection, const Frame& frame, Nanos now) {
    Publish publish;
    if (!parse_publish(frame, connection.version, publish)) {
        broken(connection, "malformed PUBLISH");
        return;
    }
    last_arrival_ = now;
    if (publish.qos > 0) {
        append_ack(connection.output(), publish.qos == 1 ? PacketType::puback : PacketType::pubrec,
                   publish.packet_id);
        loop_.touch(connection);
    }
    on_message(connection, publish, now);
}

void Exchange::on_message(Connection& connection, const Publish& publish, Nanos now) {
    if (publish.payload.size() != options_.payload_bytes) {
        ++findings_.corrupted;
        findings_.note(fmt::format("{}: payload of {} bytes on '{}'", name(connection),
                                   publish.payload.size(), publish.topic));
        return;
    }
    const std::optional<Stamp> stamp = read_stamp(publish.payload, options_.run_id);
    if (!stamp) {
        ++findings_.corrupted;
        findings_.note(fmt::format("{}: damaged payload on '{}'", name(connection), publish.topic));
        return;
    }
    const std::uint32_t publisher = stamp->publisher - share_.first_publisher;
    const bool expected = connection.role == Role::subscriber && publisher < share_.publishers &&
                          (options_.mode != Mode::pairs || publisher == connection.index) &&
                          publish.topic == publishers_[publisher].topic() &&
                          stamp->sequence < publishers_[publisher].next() &&
                          publish.qos == options_.qos && !publish.retain;
    if (!expected) {
        ++findings_.misrouted;
        findings_.note(fmt::format("{}: got message {} of publisher {} on '{}', QoS {}, RETAIN {}",
                                   name(connection), stamp->sequence, stamp->publisher,
                                   publish.topic, publish.qos, publish.retain));
        return;
    }
    if (measuring_) end_to_end_.add(now - stamp->sent);
    judge(connection.index, publisher, stamp->sequence);
}

void Exchange::judge(std::uint32_t subscriber, std::uint32_t index, std::uint64_t sequence) {
    Publisher& publisher = publishers_[index];
    StreamChecker& stream = streams_[stream_of(subscriber, index)];
    const bool shared = options_.mode == Mode::shared;
    const std::uint64_t before = stream.next();
    const Verdict verdict = stream.accept(sequence);
    if (verdict == Verdict::duplicate) {
        ++findings_.duplicated;
        findings_.note(fmt::format("subscriber {}: message {} of publisher {} again", subscriber,
                                   sequence, index));
        return;
    }
    ++counters_.delivered;
    bool in_order = verdict == Verdict::next;
    if (shared) {
        std::uint64_t& next = subscribers_[subscriber].next_by_publisher[index];
        in_order = sequence >= next;
        if (in_order) next = sequence + 1;
        publisher.receipts.on_received_by_any(publisher.next());
    } else if (in_order) {
        publisher.receipts.on_received(before, sequence);
    }
    if (!in_order) {
        ++findings_.reordered;
        findings_.note(fmt::format("subscriber {}: message {} of publisher {} after {}", subscriber,
                                   sequence, index, before - 1));
    }
    make_ready(publisher);
}

void Exchange::on_ack(Connection& connection, const Frame& frame, Nanos now) {
    const std::optional<Ack> ack = parse_ack(frame, connection.version);
    if (!ack || connection.role != Role::publisher) {
        broken(connection, "malformed or unexpected acknowledgement");
        return;
    }
    last_arrival_ = now;
    Publisher& publisher = publishers_[connection.index];
    Nanos latency{0};
    switch (publisher.acks.on_ack(frame.type(), *ack, now, latency)) {
        case AckOutcome::release:
            append_ack(connection.output(), PacketType::pubrel, ack->packet_id);
            loop_.touch(connection);
            return;
        case AckOutcome::stray:
            broken(connection, fmt::format("acknowledgement of unknown packet {}", ack->packet_id));
            return;
        case AckOutcome::refused:
            ++publisher.refused;
            ++findings_.refused;
            findings_.note(fmt::format("{}: refused with 0x{:02X}", name(connection), ack->reason));
            break;
        case AckOutcome::done:
            ++counters_.acknowledged;
            if (measuring_) ack_.add(latency);
            break;
    }
    make_ready(publisher);
}

void Exchange::on_closed(Connection& connection, std::string_view why) {
    ++findings_.disconnected;
    findings_.note(fmt::format("{}: {}", name(connection), why));
}

void Exchange::on_drained(Connection& connection) {
    if (connection.role != Role::publisher) return;
    Publisher& publisher = publishers_[connection.index];
    if (publisher.held_by_socket()) make_ready(publisher);
}

}  // namespace quorate::bench
