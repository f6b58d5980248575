// Bytes to packets, for both directions and all versions.
//
// First `scan_frame` finds where a packet ends, from whatever bytes have arrived; then the function
// for its type decodes the frame. Nothing is copied and nothing allocated for PUBLISH and the
// acknowledgements; the vectors of a Subscribe are reused when the caller reuses the struct.
//
// Thread: any; pure functions. Errors: DecodeResult with the Reason Code to refuse with; then `out`
// is unspecified, unless stated. No input can do worse. Memory: at most 4 x input + 64 KiB.
// Spec: MQTT 5 §2.1 and §3, [MQTT-4.13.1-1]; MQTT 3.1.1 §2.2 and §3.
#pragma once

#include <cstdint>
#include <string>

#include "proto/base/bytes.h"
#include "proto/mqtt/packets.h"
#include "proto/mqtt/topic.h"
#include "proto/mqtt/types.h"

namespace quorate::mqtt {

// What a decoder enforces beside the specification. One value per listener, shared by connections.
struct DecodeLimits {
    TopicLimits topics;
    PropertyLimits properties;
    uint32_t client_id_bytes_max = 256;      // 0x85 above
    uint32_t filters_per_packet_max = 4096;  // 0x97 above, for SUBSCRIBE and UNSUBSCRIBE
    uint16_t topic_alias_maximum = 32;       // 0x94 above, in PUBLISH
    bool check_payload_format = true;        // 0x99 for a payload that is not the UTF-8 it claims
    Sender sender = Sender::Client;          // who wrote the packets
};

// One whole packet: its type, the lower four bits of its first byte, and what follows the header.
struct Frame {
    PacketType type = PacketType::Pingreq;
    uint8_t flags = 0;
    ByteView body;
};

struct FrameScan {
    enum class State : uint8_t {
        NeedMore,  // the packet goes on beyond the input
        Complete,  // the first `total_size` bytes of the input are one packet
        Error,     // see `error`; the connection cannot be read any further
    };
    State state = State::NeedMore;
    PacketType type = PacketType::Pingreq;  // valid when total_size != 0
    uint8_t flags = 0;
    uint8_t header_size = 0;
    uint32_t total_size = 0;  // header and body; 0 while the header is not complete
    DecodeResult error;
};

// Looks at the start of `in`. Errors, as early as they can be known: 0x81 for packet type 0, flags
// the type does not have, QoS 3, DUP at QoS 0, and a Remaining Length of more than four bytes or an
// overlong one; 0x95 for a packet larger than `max_packet_size` (header included).
// [MQTT-2.1.3-1] [MQTT-1.5.5-1] [MQTT-3.3.1-4] [MQTT-3.3.1-2] [MQTT-3.1.2-24]
[[nodiscard]] FrameScan scan_frame(ByteView in, uint32_t max_packet_size);

// Requires: `scan` is Complete and was made from `in`.
[[nodiscard]] inline Frame frame_of(ByteView in, const FrameScan& scan) {
    return {scan.type, scan.flags,
            in.subspan(scan.header_size, scan.total_size - scan.header_size)};
}

// Each function below requires a frame of its own type.

// `scratch` is overwritten when the properties to forward do not lie side by side; `out` may then
// point into it. An alias alone leaves the topic empty: the caller resolves it. With 0x99 (payload
// format invalid) `out` is whole, so that the caller may answer with an acknowledgement instead.
[[nodiscard]] DecodeResult decode_publish(ProtocolVersion version, const Frame& frame,
                                          const DecodeLimits& limits, std::string& scratch,
                                          PublishView& out);

// PUBACK, PUBREC, PUBREL and PUBCOMP.
[[nodiscard]] DecodeResult decode_ack(ProtocolVersion version, const Frame& frame,
                                      const DecodeLimits& limits, Ack& out);

// On failure `out.version` says in which version to answer. Reasons: 0x84 for a protocol name or
// level we do not speak (a bridge's level with bit 0x80 is one of those), 0x85 for the client id,
// 0x90 for the Will Topic, 0x81, 0x82, 0x97. Whether version 3 has a code for the reason is what
// connack_return_code() tells. A password or user name that version 3.1 announces but leaves out at
// the end of the packet is absent, as that version demands.
[[nodiscard]] DecodeResult decode_connect(const Frame& frame, const DecodeLimits& limits,
                                          std::string& scratch, Connect& out);

[[nodiscard]] DecodeResult decode_connack(ProtocolVersion version, const Frame& frame,
                                          const DecodeLimits& limits, Connack& out);

// A malformed filter or ShareName refuses the packet with 0x8F; a well-formed one that is too long
// or too deep is marked in its SubscriptionRequest::refused. `$share` is known to every version.
[[nodiscard]] DecodeResult decode_subscribe(ProtocolVersion version, const Frame& frame,
                                            const DecodeLimits& limits, Subscribe& out);

[[nodiscard]] DecodeResult decode_suback(ProtocolVersion version, const Frame& frame,
                                         const DecodeLimits& limits, Suback& out);

[[nodiscard]] DecodeResult decode_unsubscribe(ProtocolVersion version, const Frame& frame,
                                              const DecodeLimits& limits, Unsubscribe& out);

[[nodiscard]] DecodeResult decode_unsuback(ProtocolVersion version, const Frame& frame,
                                           const DecodeLimits& limits, Unsuback& out);

[[nodiscard]] DecodeResult decode_disconnect(ProtocolVersion version, const Frame& frame,
                                             const DecodeLimits& limits, Disconnect& out);

// Version 5 only: 0x82 in the others.
[[nodiscard]] DecodeResult decode_auth(ProtocolVersion version, const Frame& frame,
                                       const DecodeLimits& limits, Auth& out);

// PINGREQ and PINGRESP have no body.
[[nodiscard]] DecodeResult decode_ping(const Frame& frame);

}  // namespace quorate::mqtt
