// The few MQTT packets a load generator sends and reads, encoded and decoded without any code of
// the broker: a mistake in the broker's codec must show here and not be repeated.
//
// Thread: none; pure functions. Errors: malformed input is reported by the return value, never by
// an assertion, since the bytes come from a broker we do not trust. Spec: MQTT 3.1, MQTT 3.1.1 and
// MQTT 5.0, chapters 2 and 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::bench {

using Bytes = std::vector<std::uint8_t>;
using ByteSpan = std::span<const std::uint8_t>;

// The Protocol Level byte of CONNECT.
enum class Version : std::uint8_t { v31 = 3, v311 = 4, v5 = 5 };

enum class PacketType : std::uint8_t {
    connect = 1,
    connack = 2,
    publish = 3,
    puback = 4,
    pubrec = 5,
    pubrel = 6,
    pubcomp = 7,
    subscribe = 8,
    suback = 9,
    unsubscribe = 10,
    unsuback = 11,
    pingreq = 12,
    pingresp = 13,
    disconnect = 14,
    auth = 15,
};

// One packet inside a receive buffer; the body is valid as long as that buffer.
struct Frame {
    std::uint8_t first = 0;
    ByteSpan body;

    // The type nibble; 0 (reserved) is not a PacketType and matches no case of a switch.
    [[nodiscard]] PacketType type() const { return static_cast<PacketType>(first >> 4U); }
    [[nodiscard]] std::uint8_t flags() const { return first & 0x0FU; }
};

enum class ScanStatus { complete, incomplete, malformed };

// `total` is the length of the whole packet as soon as its fixed header is there, else 0.
struct FrameScan {
    ScanStatus status = ScanStatus::incomplete;
    std::size_t total = 0;
    Frame frame;
};

// Cuts the first packet out of `data`. Spec: MQTT 5 §2.1 (Fixed Header), §1.5.5 (Variable Byte
// Integer).
[[nodiscard]] FrameScan scan_frame(ByteSpan data) noexcept;

struct ConnectFields {
    Version version = Version::v311;
    std::string client_id{};
    std::string username{};  // empty: absent, and then there is no password either
    std::string password{};
    bool clean = true;                   // Clean Session or Clean Start
    std::uint16_t keep_alive_s = 60;     // 0: none
    std::uint32_t session_expiry_s = 0;  // version 5 only
};

void append_connect(Bytes& out, const ConnectFields& fields);
void append_subscribe(Bytes& out, Version version, std::uint16_t packet_id,
                      std::span<const std::string> filters, std::uint8_t qos);
// PUBACK, PUBREC, PUBREL or PUBCOMP with success: four bytes in every version.
void append_ack(Bytes& out, PacketType type, std::uint16_t packet_id);
void append_pingreq(Bytes& out);
// `end_session` sets Session Expiry Interval 0 in version 5; other versions cannot say it.
void append_disconnect(Bytes& out, Version version, bool end_session);

// A PUBLISH built once; a sender copies `bytes` and overwrites packet id and payload in the copy.
struct PublishTemplate {
    Bytes bytes;
    std::size_t packet_id_offset = 0;  // 0 for QoS 0
    std::size_t payload_offset = 0;
};

struct PublishShape {
    Version version = Version::v311;
    std::string topic;
    std::uint8_t qos = 0;
    bool retain = false;
    std::size_t payload_bytes = 0;
};

[[nodiscard]] PublishTemplate make_publish(const PublishShape& shape);

struct Connack {
    bool session_present = false;
    std::uint8_t code = 0;
    std::uint16_t receive_maximum = 65535;
    std::uint16_t server_keep_alive_s = 0;  // 0: not given
    std::uint8_t maximum_qos = 2;
};

struct Publish {
    std::uint8_t qos = 0;
    bool dup = false;
    bool retain = false;
    std::uint16_t packet_id = 0;  // 0 for QoS 0
    std::string_view topic;       // into the frame
    ByteSpan payload;             // into the frame
};

struct Ack {
    std::uint16_t packet_id = 0;
    std::uint8_t reason = 0;
};

struct Suback {
    std::uint16_t packet_id = 0;
    ByteSpan reasons;  // one for each filter; 0x80 and above: refused
};

[[nodiscard]] std::optional<Connack> parse_connack(const Frame& frame, Version version) noexcept;
[[nodiscard]] bool parse_publish(const Frame& frame, Version version, Publish& publish) noexcept;
[[nodiscard]] std::optional<Ack> parse_ack(const Frame& frame, Version version) noexcept;
[[nodiscard]] std::optional<Suback> parse_suback(const Frame& frame, Version version) noexcept;
// The Reason Code of a DISCONNECT from the server; 0 when it has none.
[[nodiscard]] std::uint8_t disconnect_reason(const Frame& frame) noexcept;

}  // namespace quorate::bench
