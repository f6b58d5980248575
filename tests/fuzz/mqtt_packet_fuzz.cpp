// libFuzzer target: a stream of packets, in any version and from either side.
// The first byte chooses version and sender and seeds the places where the stream is cut.
// Oracles: a cut stream yields the packets of the whole one; decode, encode, decode, encode again
// gives the same bytes, and no more of them than came; memory stays within 4 x input + 64 KiB.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "proto/mqtt/decoder.h"
#include "proto/mqtt/encoder.h"
#include "tests/unit/mqtt/wire_text.h"

namespace quorate::mqtt {
namespace {

constexpr uint32_t kPacketMax = 1 << 20;

void require(bool condition) {
    if (!condition) std::abort();
}

std::size_t memory_of(const test::Decoded& decoded) {
    return decoded.scratch.capacity() +
           decoded.subscribe.requests.capacity() * sizeof(SubscriptionRequest) +
           decoded.unsubscribe.filters.capacity() * sizeof(std::string_view) +
           decoded.suback.reasons.capacity() + decoded.unsuback.reasons.capacity();
}

void check_packet(ProtocolVersion version, std::string_view bytes, const DecodeLimits& limits) {
    test::Decoded first;
    const FrameScan scan = scan_frame(as_bytes(bytes), kPacketMax);
    require(scan.state == FrameScan::State::Complete && scan.total_size == bytes.size());
    const Frame frame = frame_of(as_bytes(bytes), scan);
    const DecodeResult result = test::decode_any(version, frame, limits, first);
    require(memory_of(first) <= 4 * bytes.size() + 64 * 1024);
    if (!result.ok()) {
        require(is_failure(result.reason));
        return;
    }
    require(result.reason == ReasonCode::Success);
    if (first.type == PacketType::Connect) version = first.connect.version;
    std::string once;
    require(test::encode_any(version, first, once));
    require(once.size() <= bytes.size());
    test::Decoded second;
    require(test::decode_bytes(version, once, second, limits).ok());
    std::string twice;
    require(test::encode_any(version, second, twice));
    require(once == twice);
    if (first.type == PacketType::Publish) {
        require(first.publish.topic == second.publish.topic);
        require(first.publish.payload == second.publish.payload);
        require(first.publish.forward == second.publish.forward);
        require(first.publish.message_expiry_s == second.publish.message_expiry_s);
    }
}

// The packets of `stream` when it arrives in pieces of 1 + (seed-driven) bytes.
std::vector<std::string> cut(std::string_view stream, uint32_t seed) {
    std::vector<std::string> packets;
    std::string buffer;
    for (;;) {
        const FrameScan scan = scan_frame(as_bytes(buffer), kPacketMax);
        if (scan.state == FrameScan::State::Error) {
            packets.emplace_back(scan.error.why);
            return packets;
        }
        if (scan.state == FrameScan::State::Complete) {
            packets.push_back(buffer.substr(0, scan.total_size));
            buffer.erase(0, scan.total_size);
            continue;
        }
        if (stream.empty()) return packets;
        seed = seed * 1664525U + 1013904223U;
        const std::size_t size = seed == 0 ? stream.size() : 1 + (seed >> 24) % 16;
        buffer.append(stream.substr(0, size));
        stream.remove_prefix(std::min(size, stream.size()));
    }
}

}  // namespace
}  // namespace quorate::mqtt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace quorate;
    using namespace quorate::mqtt;
    if (size == 0) return 0;
    constexpr ProtocolVersion kVersions[] = {ProtocolVersion::V5, ProtocolVersion::V311,
                                             ProtocolVersion::V31, ProtocolVersion::V5};
    const ProtocolVersion version = kVersions[data[0] & 3U];
    DecodeLimits limits;
    limits.sender = (data[0] & 4U) != 0 ? Sender::Server : Sender::Client;
    const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);

    std::vector<std::string> packets;
    std::string_view rest = stream;
    while (true) {
        const FrameScan scan = scan_frame(as_bytes(rest), kPacketMax);
        if (scan.state == FrameScan::State::Error) {
            packets.emplace_back(scan.error.why);
            break;
        }
        if (scan.state == FrameScan::State::NeedMore) break;
        if (scan.total_size > rest.size() || scan.total_size < 2) std::abort();
        check_packet(version, rest.substr(0, scan.total_size), limits);
        packets.emplace_back(rest.substr(0, scan.total_size));
        rest.remove_prefix(scan.total_size);
    }
    if (cut(stream, data[0]) != packets) std::abort();
    return 0;
}
