// Packets written as text, so that a test shows the bytes it is about.
//
// `wire(R"(30 "topic" 'payload')")`: two hex digits are a byte, '...' stands for its characters,
// "..." for its characters behind a two-byte length. `packet(R"(30 ...)")` puts the Remaining
// Length after the first byte.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "proto/mqtt/decoder.h"
#include "proto/mqtt/encoder.h"

namespace quorate::mqtt::test {

inline uint8_t hex_digit(char c) {
    if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<uint8_t>(c - 'A' + 10);
    throw std::invalid_argument("not a hex digit");
}

inline std::string length_prefix(std::size_t size) {
    return {static_cast<char>(static_cast<uint8_t>(size >> 8)), static_cast<char>(size & 0xFF)};
}

inline std::string wire(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const char c = text.front();
        if (c == ' ' || c == '\n') {
            text.remove_prefix(1);
        } else if (c == '\'' || c == '"') {
            const std::size_t end = text.find(c, 1);
            const std::string_view inside = text.substr(1, end - 1);
            if (c == '"') out += length_prefix(inside.size());
            out += inside;
            text.remove_prefix(end + 1);
        } else {
            out += static_cast<char>(hex_digit(c) * 16 + hex_digit(text.at(1)));
            text.remove_prefix(2);
        }
    }
    return out;
}

inline std::string prefixed(std::string_view text) {
    return length_prefix(text.size()).append(text);
}

inline std::string framed(uint8_t first, std::string_view body) {
    std::string out(1, static_cast<char>(first));
    std::size_t left = body.size();
    do {
        const std::size_t digit = left % 128;
        left /= 128;
        out += static_cast<char>(static_cast<uint8_t>(digit | (left > 0 ? 128U : 0U)));
    } while (left > 0);
    return out.append(body);
}

inline std::string packet(std::string_view text) {
    const std::string bytes = wire(text);
    return framed(static_cast<uint8_t>(bytes.at(0)), std::string_view(bytes).substr(1));
}

// A frame over `bytes`, which must be one whole packet that scan_frame accepts.
inline Frame frame_in(std::string_view bytes) {
    const FrameScan scan = scan_frame(as_bytes(bytes), kPacketSizeMax);
    if (scan.state != FrameScan::State::Complete || scan.total_size != bytes.size()) {
        throw std::invalid_argument("not one packet");
    }
    return frame_of(as_bytes(bytes), scan);
}

// A packet of any type, decoded, with the bytes it points into.
struct Decoded {
    PacketType type = PacketType::Pingreq;
    std::string bytes;
    std::string scratch;
    Connect connect;
    Connack connack;
    PublishView publish;
    Ack ack;
    Subscribe subscribe;
    Suback suback;
    Unsubscribe unsubscribe;
    Unsuback unsuback;
    Disconnect disconnect;
    Auth auth;
};

inline DecodeResult decode_any(ProtocolVersion version, const Frame& frame,
                               const DecodeLimits& limits, Decoded& out) {
    out.type = frame.type;
    switch (frame.type) {
        case PacketType::Connect:
            return decode_connect(frame, limits, out.scratch, out.connect);
        case PacketType::Connack:
            return decode_connack(version, frame, limits, out.connack);
        case PacketType::Publish:
            return decode_publish(version, frame, limits, out.scratch, out.publish);
        case PacketType::Puback:
        case PacketType::Pubrec:
        case PacketType::Pubrel:
        case PacketType::Pubcomp:
            return decode_ack(version, frame, limits, out.ack);
        case PacketType::Subscribe:
            return decode_subscribe(version, frame, limits, out.subscribe);
        case PacketType::Suback:
            return decode_suback(version, frame, limits, out.suback);
        case PacketType::Unsubscribe:
            return decode_unsubscribe(version, frame, limits, out.unsubscribe);
        case PacketType::Unsuback:
            return decode_unsuback(version, frame, limits, out.unsuback);
        case PacketType::Pingreq:
        case PacketType::Pingresp:
            return decode_ping(frame);
        case PacketType::Disconnect:
            return decode_disconnect(version, frame, limits, out.disconnect);
        case PacketType::Auth:
            return decode_auth(version, frame, limits, out.auth);
    }
    return malformed("no such packet type");
}

// The answer of scan and decoder to whole bytes.
inline DecodeResult decode_bytes(ProtocolVersion version, std::string_view bytes, Decoded& out,
                                 const DecodeLimits& limits = {}) {
    const FrameScan scan = scan_frame(as_bytes(bytes), kPacketSizeMax);
    if (scan.state == FrameScan::State::Error) return scan.error;
    if (scan.state == FrameScan::State::NeedMore || scan.total_size != bytes.size()) {
        throw std::invalid_argument("not one packet");
    }
    out.bytes.assign(bytes);
    return decode_any(version, frame_of(as_bytes(out.bytes), scan), limits, out);
}

inline DecodeResult decode_bytes(ProtocolVersion version, std::string_view bytes,
                                 const DecodeLimits& limits = {}) {
    Decoded out;
    return decode_bytes(version, bytes, out, limits);
}

// What was decoded, written again. False when the encoder has no such packet.
inline bool encode_any(ProtocolVersion version, const Decoded& in, std::string& out) {
    switch (in.type) {
        case PacketType::Connect:
            return append_connect(out, in.connect);
        case PacketType::Connack:
            return append_connack(out, version, in.connack);
        case PacketType::Publish: {
            std::vector<uint32_t> ids;
            for (const Property& property : in.publish.properties) {
                if (property.id == PropertyId::SubscriptionIdentifier) {
                    ids.push_back(property.number);
                }
            }
            PublishFields fields;
            fields.topic = in.publish.topic;
            fields.payload = in.publish.payload;
            fields.forward = in.publish.forward;
            fields.qos = in.publish.qos;
            fields.retain = in.publish.retain;
            fields.dup = in.publish.dup;
            fields.packet_id = in.publish.packet_id;
            fields.topic_alias = in.publish.topic_alias;
            fields.message_expiry_s = in.publish.message_expiry_s;
            fields.subscription_ids = ids;
            return append_publish(out, version, fields);
        }
        case PacketType::Puback:
        case PacketType::Pubrec:
        case PacketType::Pubrel:
        case PacketType::Pubcomp:
            return append_ack(out, version, in.ack);
        case PacketType::Subscribe:
            return append_subscribe(out, version, in.subscribe);
        case PacketType::Suback:
            return append_suback(out, version, in.suback);
        case PacketType::Unsubscribe:
            return append_unsubscribe(out, version, in.unsubscribe);
        case PacketType::Unsuback:
            return append_unsuback(out, version, in.unsuback);
        case PacketType::Pingreq:
            append_pingreq(out);
            return true;
        case PacketType::Pingresp:
            append_pingresp(out);
            return true;
        case PacketType::Disconnect:
            return append_disconnect(out, version, in.disconnect);
        case PacketType::Auth:
            return append_auth(out, version, in.auth);
    }
    return false;
}

}  // namespace quorate::mqtt::test
