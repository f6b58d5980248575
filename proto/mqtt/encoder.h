// Packets to bytes, for both directions and all versions.
//
// A PUBLISH is sized first, so that it can be written straight into the place where it is sent
// from; the Packet Identifier is patched in afterwards when one encoding serves many receivers. All
// other packets are appended to a string.
//
// Thread: any; pure functions. Owner: the caller of every buffer. Errors: false or size 0 when the
// packet cannot be written under the receiver's limit; then nothing was. Contents are not
// validated: what came through the decoder may go out. Spec: MQTT 5 §3, [MQTT-3.1.2-24]
// [MQTT-3.1.2-25].
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proto/mqtt/packets.h"
#include "proto/mqtt/types.h"

namespace quorate::mqtt {

struct PublishFields {
    std::string_view topic;  // empty when the receiver knows the alias
    std::string_view payload;
    std::string_view forward;  // property bytes, see PublishView::forward
    QoS qos = QoS::AtMostOnce;
    bool retain = false;
    bool dup = false;
    PacketId packet_id;        // 0 at QoS 0
    uint16_t topic_alias = 0;  // 0: none
    std::optional<uint32_t> message_expiry_s;
    std::span<const uint32_t> subscription_ids;
};

struct PublishSize {
    uint32_t total = 0;       // bytes to write; 0: too large for any MQTT packet
    uint32_t remaining = 0;   // Remaining Length
    uint32_t properties = 0;  // Property Length
};

// Version 3 leaves all properties out.
[[nodiscard]] PublishSize publish_size(ProtocolVersion version, const PublishFields& fields);

// Writes `size.total` bytes to `out` and returns the offset of the Packet Identifier in them, 0 at
// QoS 0. Requires: `size` is publish_size() of the same version and fields, and not 0; room at
// `out`.
std::size_t write_publish(std::byte* out, ProtocolVersion version, const PublishFields& fields,
                          PublishSize size);

// Overwrites the identifier at the offset that write_publish returned.
inline void patch_packet_id(std::byte* at, PacketId id) {
    at[0] = static_cast<std::byte>(id.value() >> 8);
    at[1] = static_cast<std::byte>(id.value() & 0xFF);
}

// Sets or clears DUP in the first byte of a written PUBLISH.
inline void patch_dup(std::byte* first, bool dup) {
    *first = (*first & std::byte{0xF7}) | (dup ? std::byte{0x08} : std::byte{0});
}

// An acknowledgement without properties: at most kShortAckBytesMax bytes, returns how many.
inline constexpr std::size_t kShortAckBytesMax = 5;
std::size_t write_ack(std::byte* out, ProtocolVersion version, PacketType type, PacketId id,
                      ReasonCode reason = ReasonCode::Success);

// The append functions keep a packet within `packet_size_max`, the receiver's Maximum Packet Size
// (§3.1.2.11.4): User Properties are left out first, then the Reason String; if it is still too
// large they append nothing and return false.
bool append_publish(std::string& out, ProtocolVersion version, const PublishFields& fields,
                    uint32_t packet_size_max = kPacketSizeMax);
bool append_ack(std::string& out, ProtocolVersion version, const Ack& ack,
                uint32_t packet_size_max = kPacketSizeMax);
bool append_connect(std::string& out, const Connect& connect);
// Version 3: false, too, when it has no return code for the reason (close without a CONNACK).
bool append_connack(std::string& out, ProtocolVersion version, const Connack& connack,
                    uint32_t packet_size_max = kPacketSizeMax);
bool append_subscribe(std::string& out, ProtocolVersion version, const Subscribe& subscribe,
                      uint32_t packet_size_max = kPacketSizeMax);
bool append_suback(std::string& out, ProtocolVersion version, const Suback& suback,
                   uint32_t packet_size_max = kPacketSizeMax);
bool append_unsubscribe(std::string& out, ProtocolVersion version, const Unsubscribe& unsubscribe,
                        uint32_t packet_size_max = kPacketSizeMax);
bool append_unsuback(std::string& out, ProtocolVersion version, const Unsuback& unsuback,
                     uint32_t packet_size_max = kPacketSizeMax);
// Version 3: two bytes whatever the reason; only clients send it there.
bool append_disconnect(std::string& out, ProtocolVersion version, const Disconnect& disconnect,
                       uint32_t packet_size_max = kPacketSizeMax);
// Version 5 only; false in the others.
bool append_auth(std::string& out, ProtocolVersion version, const Auth& auth,
                 uint32_t packet_size_max = kPacketSizeMax);
void append_pingreq(std::string& out);
void append_pingresp(std::string& out);

}  // namespace quorate::mqtt
