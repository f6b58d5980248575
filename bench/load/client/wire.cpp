#include "bench/load/client/wire.h"

#include <limits>

namespace quorate::bench {
namespace {

constexpr std::uint8_t kSessionExpiryInterval = 0x11;
constexpr std::uint8_t kServerKeepAlive = 0x13;
constexpr std::uint8_t kReceiveMaximum = 0x21;
constexpr std::uint8_t kMaximumQos = 0x24;

void append_u16(Bytes& out, std::size_t value) {
    out.push_back(static_cast<std::uint8_t>((value >> 8U) & 0xFFU));
    out.push_back(static_cast<std::uint8_t>(value & 0xFFU));
}

void append_u32(Bytes& out, std::uint32_t value) {
    append_u16(out, value >> 16U);
    append_u16(out, value & 0xFFFFU);
}

void append_string(Bytes& out, std::string_view text) {
    append_u16(out, text.size());
    out.insert(out.end(), text.begin(), text.end());
}

void append_varint(Bytes& out, std::size_t value) {
    do {
        const std::size_t rest = value >> 7U;
        out.push_back(static_cast<std::uint8_t>((value & 0x7FU) | (rest != 0 ? 0x80U : 0U)));
        value = rest;
    } while (value != 0);
}

void append_packet(Bytes& out, std::uint8_t first, const Bytes& body) {
    out.push_back(first);
    append_varint(out, body.size());
    out.insert(out.end(), body.begin(), body.end());
}

// Reads big-endian fields; `ok` turns false at the first read beyond the end and stays so.
class Reader {
  public:
    explicit Reader(ByteSpan data) : data_(data) {}

    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] std::size_t left() const { return data_.size(); }
    [[nodiscard]] ByteSpan rest() const { return data_; }

    ByteSpan take(std::size_t count) {
        if (count > data_.size()) {
            ok_ = false;
            data_ = {};
            return {};
        }
        const ByteSpan taken = data_.first(count);
        data_ = data_.subspan(count);
        return taken;
    }
    std::uint8_t u8() {
        const ByteSpan b = take(1);
        return b.empty() ? std::uint8_t{0} : b[0];
    }
    std::uint16_t u16() {
        const ByteSpan b = take(2);
        return b.empty() ? std::uint16_t{0}
                         : static_cast<std::uint16_t>((static_cast<unsigned>(b[0]) << 8U) | b[1]);
    }
    std::size_t varint() {
        std::size_t value = 0;
        for (unsigned shift = 0; shift <= 21; shift += 7) {
            const std::uint8_t byte = u8();
            if (!ok_) return 0;
            value |= static_cast<std::size_t>(byte & 0x7FU) << shift;
            if ((byte & 0x80U) == 0) return value;
        }
        ok_ = false;
        return 0;
    }
    ByteSpan string() { return take(u16()); }

  private:
    ByteSpan data_;
    bool ok_ = true;
};

// Steps over one property value and returns it; `ok` of the reader is false when it is cut short or
// the identifier is unknown. Spec: MQTT 5 §2.2.2.2.
ByteSpan take_property(Reader& reader, std::uint8_t id) {
    switch (id) {
        case 0x01:
        case 0x17:
        case 0x19:
        case 0x24:
        case 0x25:
        case 0x28:
        case 0x29:
        case 0x2A:
            return reader.take(1);
        case 0x13:
        case 0x21:
        case 0x22:
        case 0x23:
            return reader.take(2);
        case 0x02:
        case 0x11:
        case 0x18:
        case 0x27:
            return reader.take(4);
        case 0x0B: {
            const ByteSpan before = reader.rest();
            static_cast<void>(reader.varint());
            return before.first(before.size() - reader.left());
        }
        case 0x03:
        case 0x08:
        case 0x09:
        case 0x12:
        case 0x15:
        case 0x16:
        case 0x1A:
        case 0x1C:
        case 0x1F:
            return reader.string();
        case 0x26:
            static_cast<void>(reader.string());
            return reader.string();
        default:
            return reader.take(std::numeric_limits<std::size_t>::max());
    }
}

bool well_formed_properties(ByteSpan properties) noexcept {
    Reader reader(properties);
    while (reader.ok() && reader.left() > 0) {
        const std::uint8_t id = reader.u8();
        static_cast<void>(take_property(reader, id));
    }
    return reader.ok();
}

}  // namespace

FrameScan scan_frame(ByteSpan data) noexcept {
    FrameScan scan;
    std::size_t length = 0;
    for (std::size_t i = 1; i < data.size(); ++i) {
        length |= static_cast<std::size_t>(data[i] & 0x7FU) << (7U * (i - 1));
        if ((data[i] & 0x80U) == 0) {
            scan.total = i + 1 + length;
            if (scan.total > data.size()) return scan;
            scan.status = ScanStatus::complete;
            scan.frame = Frame{data[0], data.subspan(i + 1, length)};
            return scan;
        }
        if (i == 4) {
            scan.status = ScanStatus::malformed;
            return scan;
        }
    }
    return scan;
}

void append_connect(Bytes& out, const ConnectFields& fields) {
    Bytes body;
    append_string(body, fields.version == Version::v31 ? "MQIsdp" : "MQTT");
    body.push_back(static_cast<std::uint8_t>(fields.version));
    std::uint8_t flags = fields.clean ? 0x02U : 0x00U;
    if (!fields.username.empty()) {
        flags |= 0x80U;
        if (!fields.password.empty()) flags |= 0x40U;
    }
    body.push_back(flags);
    append_u16(body, fields.keep_alive_s);
    if (fields.version == Version::v5) {
        if (fields.session_expiry_s != 0) {
            append_varint(body, 5);
            body.push_back(kSessionExpiryInterval);
            append_u32(body, fields.session_expiry_s);
        } else {
            append_varint(body, 0);
        }
    }
    append_string(body, fields.client_id);
    if (!fields.username.empty()) {
        append_string(body, fields.username);
        if (!fields.password.empty()) append_string(body, fields.password);
    }
    append_packet(out, 0x10, body);
}

void append_subscribe(Bytes& out, Version version, std::uint16_t packet_id,
                      std::span<const std::string> filters, std::uint8_t qos) {
    Bytes body;
    append_u16(body, packet_id);
    if (version == Version::v5) append_varint(body, 0);
    for (const std::string& filter : filters) {
        append_string(body, filter);
        body.push_back(qos);
    }
    append_packet(out, 0x82, body);
}

void append_ack(Bytes& out, PacketType type, std::uint16_t packet_id) {
    const auto nibble = static_cast<unsigned>(type) << 4U;
    const unsigned flags = type == PacketType::pubrel ? 0x02U : 0x00U;
    const std::uint8_t packet[4] = {static_cast<std::uint8_t>(nibble | flags), 2,
                                    static_cast<std::uint8_t>(packet_id >> 8U),
                                    static_cast<std::uint8_t>(packet_id & 0xFFU)};
    out.insert(out.end(), packet, packet + 4);
}

void append_pingreq(Bytes& out) {
    out.push_back(0xC0);
    out.push_back(0x00);
}

void append_disconnect(Bytes& out, Version version, bool end_session) {
    Bytes body;
    if (version == Version::v5 && end_session) {
        body.push_back(0x00);
        append_varint(body, 5);
        body.push_back(kSessionExpiryInterval);
        append_u32(body, 0);
    }
    append_packet(out, 0xE0, body);
}

PublishTemplate make_publish(const PublishShape& shape) {
    PublishTemplate made;
    const std::size_t header = 2 + shape.topic.size() + (shape.qos > 0 ? 2U : 0U) +
                               (shape.version == Version::v5 ? 1U : 0U);
    const unsigned first =
        0x30U | (static_cast<unsigned>(shape.qos) << 1U) | (shape.retain ? 1U : 0U);
    made.bytes.push_back(static_cast<std::uint8_t>(first));
    append_varint(made.bytes, header + shape.payload_bytes);
    append_string(made.bytes, shape.topic);
    if (shape.qos > 0) {
        made.packet_id_offset = made.bytes.size();
        append_u16(made.bytes, 0);
    }
    if (shape.version == Version::v5) append_varint(made.bytes, 0);
    made.payload_offset = made.bytes.size();
    made.bytes.resize(made.bytes.size() + shape.payload_bytes);
    return made;
}

std::optional<Connack> parse_connack(const Frame& frame, Version version) noexcept {
    if (frame.first != 0x20) return std::nullopt;
    Reader reader(frame.body);
    Connack connack;
    const std::uint8_t flags = reader.u8();
    connack.session_present = (flags & 1U) != 0;
    connack.code = reader.u8();
    if (!reader.ok() || (flags & 0xFEU) != 0) return std::nullopt;
    if (version != Version::v5 || (connack.code != 0 && reader.left() == 0)) {
        if (reader.left() != 0) return std::nullopt;
        return connack;
    }
    Reader properties(reader.take(reader.varint()));
    if (!reader.ok() || reader.left() != 0) return std::nullopt;
    while (properties.ok() && properties.left() > 0) {
        const std::uint8_t id = properties.u8();
        Reader value(take_property(properties, id));
        if (id == kReceiveMaximum) connack.receive_maximum = value.u16();
        if (id == kMaximumQos) connack.maximum_qos = value.u8();
        if (id == kServerKeepAlive) connack.server_keep_alive_s = value.u16();
    }
    if (!properties.ok() || connack.receive_maximum == 0) return std::nullopt;
    return connack;
}

bool parse_publish(const Frame& frame, Version version, Publish& publish) noexcept {
    publish.qos = static_cast<std::uint8_t>((frame.first >> 1U) & 3U);
    publish.dup = (frame.first & 0x08U) != 0;
    publish.retain = (frame.first & 0x01U) != 0;
    if (publish.qos == 3) return false;
    Reader reader(frame.body);
    const ByteSpan topic = reader.string();
    publish.topic = {reinterpret_cast<const char*>(topic.data()), topic.size()};
    publish.packet_id = publish.qos > 0 ? reader.u16() : std::uint16_t{0};
    if (publish.qos > 0 && publish.packet_id == 0) return false;
    if (version == Version::v5) {
        const ByteSpan properties = reader.take(reader.varint());
        if (!properties.empty() && !well_formed_properties(properties)) return false;
    }
    publish.payload = reader.rest();
    return reader.ok() && !topic.empty();
}

std::optional<Ack> parse_ack(const Frame& frame, Version version) noexcept {
    const std::uint8_t wanted = frame.type() == PacketType::pubrel ? 2 : 0;
    if (frame.flags() != wanted) return std::nullopt;
    Reader reader(frame.body);
    Ack ack;
    ack.packet_id = reader.u16();
    if (version == Version::v5 && reader.left() > 0) {
        ack.reason = reader.u8();
        if (reader.left() > 0 && !well_formed_properties(reader.take(reader.varint()))) {
            return std::nullopt;
        }
    }
    if (!reader.ok() || reader.left() != 0 || ack.packet_id == 0) return std::nullopt;
    return ack;
}

std::optional<Suback> parse_suback(const Frame& frame, Version version) noexcept {
    if (frame.first != 0x90) return std::nullopt;
    Reader reader(frame.body);
    Suback suback;
    suback.packet_id = reader.u16();
    if (version == Version::v5 && !well_formed_properties(reader.take(reader.varint()))) {
        return std::nullopt;
    }
    if (!reader.ok()) return std::nullopt;
    suback.reasons = reader.rest();
    return suback;
}

std::uint8_t disconnect_reason(const Frame& frame) noexcept {
    return frame.body.empty() ? std::uint8_t{0} : frame.body[0];
}

}  // namespace quorate::bench
