// Every packet of every version: decode, encode, decode again; and every truncation of each.
#include <random>
#include <string>
#include <vector>

#include "proto/mqtt/decoder.h"
#include "tests/unit/catch.h"
#include "tests/unit/mqtt/wire_text.h"

using namespace quorate;
using namespace quorate::mqtt;
using namespace quorate::mqtt::test;

namespace {

struct Sample {
    ProtocolVersion version;
    std::string bytes;
};

std::vector<Sample> samples() {
    std::vector<Sample> out;
    const auto add = [&out](ProtocolVersion version, const char* text) {
        out.push_back({version, packet(text)});
    };
    const ProtocolVersion v31 = ProtocolVersion::V31;
    const ProtocolVersion v311 = ProtocolVersion::V311;
    const ProtocolVersion v5 = ProtocolVersion::V5;
    add(v31, "10 \"MQIsdp\" 03 c6 00 3c \"c\" \"w\" \"p\" \"u\" \"s\"");
    add(v311, "10 \"MQTT\" 04 ee 00 3c \"client\" \"w/t\" \"\" \"user\" \"pass\"");
    add(v311, "10 \"MQTT\" 04 02 00 00 \"\"");
    add(v5,
        "10 \"MQTT\" 05 c6 00 0a 0a 11 ff ff ff ff 22 00 0a 19 01 \"c\" "
        "0e 18 00 00 00 01 26 \"k\" \"v\" 01 00 \"w\" \"pp\" \"u\" 00 01 00");
    add(v5, "10 \"MQTT\" 05 40 00 00 00 \"c\" \"p\"");
    for (const ProtocolVersion version : {v31, v311}) {
        add(version, "20 00 00");
        add(version, "20 00 02");
        add(version, "30 \"a/b\" 'payload'");
        add(version, "3d \"a\" 00 09");
        for (const char* first : {"40 00 07", "50 00 07", "62 00 07", "70 00 07"}) {
            add(version, first);
        }
        add(version, "82 00 01 \"a/+\" 00 \"$share/g/#\" 02");
        add(version, "90 00 01 00 02 80");
        add(version, "a2 00 01 \"a\" \"#\"");
        add(version, "b0 00 01");
        for (const char* first : {"c0", "d0", "e0"})
            add(version, first);
    }
    add(v5, "20 01 00 00");
    add(v5,
        "20 00 00 2a 12 \"id\" 21 00 09 24 01 25 01 27 00 01 00 00 22 00 20 13 00 3c "
        "28 01 29 01 2a 01 1f \"\" 26 \"\" \"\" 11 00 00 00 00");
    add(v5, "20 00 9c 06 1c \"b:1\"");
    add(v5, "32 \"a/b\" 00 01 00 'x'");
    add(v5, "34 \"a/b\" 00 01 0e 02 00 00 00 07 23 00 01 01 01 03 \"t\" 'xx'");
    add(v5, "30 \"\" 03 23 00 20");
    add(v5, "31 \"t\" 14 01 01 03 \"ct\" 08 \"r\" 09 \"c\" 26 \"\" \"\" 'payload'");
    for (const char* text : {"40 00 07", "40 00 07 10", "50 00 07 97 04 1f \"w\"", "62 00 07 92",
                             "70 00 07 92 07 26 \"a\" \"b\""}) {
        add(v5, text);
    }
    add(v5, "82 00 01 03 0b 80 01 \"a/+\" 2e \"$share/g/#\" 19");
    add(v5, "90 00 01 04 1f \"r\" 00 01 02 80 97");
    add(v5, "a2 00 01 05 26 \"\" \"\" \"a\" \"$share/g/#\"");
    add(v5, "b0 00 01 00 00 11 87");
    for (const char* text :
         {"c0", "d0", "e0", "e0 04", "e0 8b 04 1f \"x\"", "f0", "f0 18 08 15 \"m\" 16 00 01 00"}) {
        add(v5, text);
    }
    return out;
}

DecodeLimits as_server() {
    DecodeLimits limits;
    limits.sender = Sender::Server;
    return limits;
}

}  // namespace

TEST_CASE("what is decoded and encoded is what was decoded, for every packet") {
    const DecodeLimits limits = as_server();
    for (const Sample& sample : samples()) {
        INFO(to_string(sample.version) << " type " << (static_cast<uint8_t>(sample.bytes[0]) >> 4));
        Decoded first;
        Decoded second;
        const DecodeResult result = decode_bytes(sample.version, sample.bytes, first, limits);
        INFO((result.why == nullptr ? "decoded" : result.why));
        REQUIRE(result.ok());
        std::string once;
        REQUIRE(encode_any(sample.version, first, once));
        CHECK(once == sample.bytes);
        REQUIRE(decode_bytes(sample.version, once, second, limits).ok());
        std::string twice;
        REQUIRE(encode_any(sample.version, second, twice));
        CHECK(twice == once);
    }
}

TEST_CASE("every truncation of every packet needs more or is refused, and never more than that",
          "[MQTT-4.13.1-1][MQTT311-4.8.0-1]") {
    const DecodeLimits limits = as_server();
    for (const Sample& sample : samples()) {
        for (std::size_t size = 0; size < sample.bytes.size(); ++size) {
            const std::string_view cut = std::string_view(sample.bytes).substr(0, size);
            CHECK(scan_frame(as_bytes(cut), kPacketSizeMax).state == FrameScan::State::NeedMore);
        }
        // The body cut, and a header that claims the cut length. All samples are below 128 bytes.
        const auto first = static_cast<uint8_t>(sample.bytes[0]);
        for (std::size_t size = 0; size + 2 < sample.bytes.size(); ++size) {
            const std::string cut = framed(first, std::string_view(sample.bytes).substr(2, size));
            Decoded out;
            const DecodeResult result = decode_bytes(sample.version, cut, out, limits);
            if (!result.ok()) {
                CHECK(is_failure(result.reason));
                continue;
            }
            // A shorter packet may be another valid one; then it is that one, byte for byte, but
            // for the credentials that version 3.1 may leave out.
            std::string again;
            REQUIRE(encode_any(sample.version, out, again));
            Decoded twice;
            CHECK(decode_bytes(sample.version, again, twice, limits).ok());
        }
    }
}

TEST_CASE("a packet with one byte changed is refused or is another packet") {
    const DecodeLimits limits = as_server();
    std::mt19937 random(17);
    for (const Sample& sample : samples()) {
        for (int round = 0; round < 500; ++round) {
            std::string bytes = sample.bytes;
            bytes[random() % bytes.size()] = static_cast<char>(static_cast<uint8_t>(random()));
            const FrameScan scan = scan_frame(as_bytes(bytes), kPacketSizeMax);
            if (scan.state != FrameScan::State::Complete) continue;
            const std::string_view whole = std::string_view(bytes).substr(0, scan.total_size);
            for (const ProtocolVersion version :
                 {ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5}) {
                Decoded out;
                const DecodeResult result = decode_bytes(version, whole, out, limits);
                CHECK(result.ok() == (result.reason == ReasonCode::Success));
                std::string again;
                if (result.ok() && encode_any(version, out, again)) {
                    Decoded twice;
                    CHECK(decode_bytes(
                              out.type == PacketType::Connect ? out.connect.version : version,
                              again, twice, limits)
                              .ok());
                }
            }
        }
    }
}
